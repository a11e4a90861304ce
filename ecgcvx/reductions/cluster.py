"""Reductions on a Dask cluster: processes of this machine, or workers of a scheduler elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ecgcvx.errors import InputError
from ecgcvx.reductions.interface import Reduction, Result, Rows, Tree, reduced
from ecgcvx.types import Progress, silent

CONNECT = 30.0  # s to wait for a scheduler, and for the first worker
RETRIES = 2  # of a piece whose worker fails
LOST = 5  # workers that may die over one piece


@dataclass(frozen=True, eq=False)
class DaskEngine:
    """The workers of a cluster; a worker that dies is replaced, and its pieces are reduced again.

    client : `distributed.Client`. Pieces must be readable where the workers are. Results have the bits of `LocalEngine`
    on machines whose BLAS takes the same kernels. `dask_engine` opens a client and closes it.
    """

    client: Any

    def total(self, reduction: Reduction[Result], pieces: Sequence[Rows], progress: Progress = silent) -> Result:
        """Return the result of all pieces; InputError where a piece killed its workers again and again."""
        from distributed import KilledWorker, as_completed

        tree = Tree(reduction, len(pieces))
        futures = {
            self.client.submit(_on_worker, reduction, piece, pure=False, retries=RETRIES): k
            for k, piece in enumerate(pieces)
        }
        try:
            for done, future in enumerate(as_completed(futures), 1):
                tree.add(futures[future], future.result())
                future.release()
                progress("sums over the rows, on the cluster", done / len(pieces))
        except KilledWorker as error:
            raise InputError(
                f"cluster: {LOST} workers died over one piece of the data ({error}); look at their memory"
            ) from None
        finally:
            self.client.cancel(list(futures))
        return tree.root()


@contextmanager
def dask_engine(address: str | None = None, workers: int = 1) -> Iterator[DaskEngine]:
    """An engine on the scheduler at `address`, e.g. tcp://host:8786, or on so many new processes of this machine.

    Raises InputError where dask is not installed, and for a scheduler that does not answer or has no worker.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("cluster: needs dask, which is not installed; pip install 'ecgcvx[dask]'") from None
    with dask.config.set({"distributed.scheduler.allowed-failures": LOST}):
        if address is None:
            with LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, protocol="tcp://"
            ) as cluster, Client(cluster) as client:  # fmt: skip
                yield DaskEngine(client)
            return
        try:
            client = Client(address, timeout=CONNECT)
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(f"cluster = {address}: no scheduler answers ({error}); check the address") from None
        with client:
            try:
                client.wait_for_workers(1, timeout=CONNECT)
            except TimeoutError:
                raise InputError(f"cluster = {address}: its scheduler has no worker; start one: dask worker") from None
            yield DaskEngine(client)


def _on_worker(reduction: Reduction[Result], rows: Rows) -> Result:
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)  # for good: tasks of one worker may overlap
    return reduced(reduction, rows)
