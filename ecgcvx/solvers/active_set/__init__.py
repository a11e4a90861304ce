"""Training over all patterns: a sparse sum of atoms, found by pricing and moved by descent.

    minimise over finite sums of atoms  P = L(sum_j f(X; p_j)) + beta sum_j ||p_j||

Atoms and their passes over rows are in `ecgcvx.atoms`, the program in `ecgcvx.programs.all_patterns`. P is convex in
the measure that the atoms make up though not in the p_j of a fixed number of them: descent moves the atoms, pricing
finds the ones that are missing, and the largest price bounds what is left to gain.

    amplitudes  the exact sizes of atoms of fixed direction
    descent     all atoms at once: L-BFGS with a block-diagonal preconditioner on a smoothed objective
    pricing     atoms that would improve P, and the lower bound
    solution    what a run returns, and its history
    state       where a run stands, and its checkpoint file
    loop        rounds of all that
    sparsify    fewer atoms for a little more P

Sources: Bach (2017), Breaking the curse of dimensionality with convex neural networks (atoms, prices); Denoyelle,
Duval, Peyre, Soubies (2020), The sliding Frank-Wolfe algorithm; Pilanci and Ergen (2020) (the program).
"""
