"""How the loops of the branch and bound are compiled."""

from ecgcvx.compilation import cached_njit

FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums in any order; infinities and NaN keep their meaning
kernel = cached_njit(fastmath=FAST, nogil=True, error_model="numpy")
strict = cached_njit(fastmath=False, nogil=True, error_model="numpy")
# For what is called for each row or cluster: a call hands over every array of a named tuple, which takes 50 ns.
inlined = cached_njit(fastmath=FAST, nogil=True, error_model="numpy", inline="always")
OUTWARD = 1e-12  # relative widening of every length that decides a sign; rounding in d terms is far below it
