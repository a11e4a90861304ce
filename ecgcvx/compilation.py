"""Compiled functions whose cache never stands in the way.

Numba keeps compiled code beside the source, or in the user's cache directory. Where neither can be written it refuses
to compile at all, and a cache file that was cut short (a full disk, a copy that was interrupted) is an error at every
start. Here the first is compiled without a cache, and the second is made again.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache


class _Cache(FunctionCache):
    """A cache whose files may be damaged, or impossible to write."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the cached code of a signature; None where there is none that can be read."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling and linking of a damaged file raise
            try:
                self.flush()
            except OSError:
                self.disable()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code of a signature, where that is possible."""
        try:
            super().save_overload(sig, data)
        except Exception:
            self.disable()


def cached_njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator as `numba.njit(cache=True, **options)`."""

    def decorate(function: Callable[..., Any]) -> Any:
        found = njit(**options)(function)
        with suppress(RuntimeError, OSError):  # no place for a cache
            found._cache = _Cache(function)
        return found

    return decorate
