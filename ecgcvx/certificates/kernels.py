"""How the loops of the branch and bound are compiled."""

import numba

FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums in any order; infinities and NaN keep their meaning
kernel = numba.njit(fastmath=FAST, cache=True, nogil=True, error_model="numpy")
strict = numba.njit(fastmath=False, cache=True, nogil=True, error_model="numpy")
# For what is called for each row or cluster: a call hands over every array of a named tuple, which takes 50 ns.
inlined = numba.njit(fastmath=FAST, cache=True, nogil=True, error_model="numpy", inline="always")
OUTWARD = 1e-12  # relative widening of every length that decides a sign; rounding in d terms is far below it
