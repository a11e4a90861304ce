"""Backprop by every optimiser against the convex program, on the same windows, objective and time.

contenders   the optimisers, and the step sizes that each may try
race         runs: tuned first, then from many initialisations, spread over processes
study        the whole comparison of a recording
report       table, fairness, JSON, files
figures      objective against time, and against the step size
"""
