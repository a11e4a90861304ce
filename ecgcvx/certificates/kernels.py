"""How the loops of the branch and bound are compiled."""

import numba

FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums in any order; infinities and NaN keep their meaning
kernel = numba.njit(fastmath=FAST, cache=True, nogil=True, error_model="numpy")
strict = numba.njit(fastmath=False, cache=True, nogil=True, error_model="numpy")
OUTWARD = 1e-12  # relative widening of every length that decides a sign; rounding in d terms is far below it
