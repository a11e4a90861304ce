"""Who carries out a reduction: threads of this process, or a cluster (`ecgcvx.reductions.cluster`)."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from threadpoolctl import threadpool_limits

from ecgcvx.cores import blas_threads
from ecgcvx.errors import InputError
from ecgcvx.reductions.interface import Reduction, Result, Rows, Tree, reduced
from ecgcvx.types import Progress, silent


class Engine(Protocol):
    """Anything with this method carries out reductions."""

    def total(self, reduction: Reduction[Result], pieces: Sequence[Rows], progress: Progress = silent) -> Result:
        """Return the result of all pieces, joined along the tree of `Tree`; KeyboardInterrupt ends it."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Threads of this process, by default as many as BLAS would use: the kernels of all reductions release the GIL.

    A piece at a time is held by each, so that pieces of records (`ecgcvx.dataset.rows`) take constant memory.
    Raises InputError for fewer than one thread.
    """

    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads = {self.threads}: give at least 1")

    def total(self, reduction: Reduction[Result], pieces: Sequence[Rows], progress: Progress = silent) -> Result:
        """Return the result of all pieces."""
        tree = Tree(reduction, len(pieces))
        threads = min(self.threads or blas_threads(), len(pieces))
        # One thread of BLAS, whose number may decide the bits of a product.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
            running: deque[Future[Any]] = deque()
            started = 0
            try:
                for done in range(len(pieces)):
                    while started < len(pieces) and len(running) < threads:
                        running.append(pool.submit(reduced, reduction, pieces[started]))
                        started += 1
                    tree.add(done, running.popleft().result())
                    progress("sums over the rows", (done + 1) / len(pieces))
            finally:
                for future in running:
                    future.cancel()
        return tree.root()
