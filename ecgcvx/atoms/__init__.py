"""Atoms: what a network over all patterns is a sum of, and the passes over rows that solvers ask of them.

    f(x) = sum_j f(x; p_j),     penalty beta sum_j ||p_j||

    family   the interface: a family without data, its passes over given rows, a list of atoms
    relu     ReLU neurons f(x; p) = s (x'p)_+
    convolutional, batch_norm, three_layer   those of the other networks
    kernels  compiled passes over chunks of rows
    workers  threads whose number changes no result

A new network over all patterns is a new family; no solver knows which one it works for.
"""
