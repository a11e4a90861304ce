"""Work side by side in processes of their own, which a signal finds only inside their tasks.

A worker that starts or waits for its next task is deaf to Ctrl-C and SIGTERM, as it would die of them with a traceback.
Inside a task both do what they do in a program (see `ecgcvx.interruption`): it keeps what it has. Where this process
stops, tasks that run are interrupted and others are not begun; where it is killed, its workers end.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from typing import Any, Generic, TypeVar

from ecgcvx.cores import usable_cores
from ecgcvx.errors import SolverError
from ecgcvx.interruption import ENDING, check, deaf, hearing, keeping

Task = TypeVar("Task")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Task], Result], tasks: Sequence[Task], jobs: int | None = None, *, bound: bool = False
) -> Iterator[tuple[Task, Result]]:
    """Yield tasks with their results as they come, each made in one of `jobs` processes (None: as many as cores).

    One process is this one. work : may be pickled; every worker gets it once. bound : to a core each, so that every
    library takes one thread there.

    What `work` raises passes through. The end of the iteration, by KeyboardInterrupt or otherwise, ends the tasks.
    Raises SolverError when a process dies.
    """
    count = min(jobs or usable_cores(), len(tasks))
    if count <= 1:
        for task in tasks:
            yield task, work(task)
        return
    context, others = get_context("spawn"), set(active_children())
    setup = _Setup(work, context.Event(), context.Queue() if bound else None)
    if bound:
        for core in _cores(count):
            setup.cores.put(core)
    pool = ProcessPoolExecutor(count, context, _begin, (setup,))
    try:
        with keeping():  # a worker whose queues are gone before it has begun dies with a traceback
            with _held_back():
                waiting: dict[Future[Result], Task] = {pool.submit(_do, task): task for task in tasks}
            check()
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
    except BrokenProcessPool:
        raise SolverError(f"jobs = {count}: a process ended, perhaps for want of memory; ask for fewer") from None
    finally:
        with keeping():
            setup.ending.set()
            for process in set(active_children()) - others:
                with suppress(ProcessLookupError):
                    os.kill(process.pid or 0, signal.SIGINT)
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class _Setup(Generic[Task, Result]):
    """What every worker gets: the work, an event after which no task is begun, a queue of cores to be bound to one."""

    work: Callable[[Task], Result]
    ending: Any
    cores: Any


def _cores(count: int) -> list[int | None]:
    if not hasattr(os, "sched_getaffinity"):
        return [None] * count
    usable = sorted(os.sched_getaffinity(0))
    return [usable[k % len(usable)] for k in range(count)]


@contextmanager
def _held_back() -> Iterator[None]:
    """Let signals wait, where the system can, and so in the processes that start meanwhile until they have begun.

    It is only this thread that they do not reach.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_setup: _Setup[Any, Any] | None = None  # of this worker process


def _begin(setup: _Setup[Any, Any]) -> None:
    global _setup
    deaf()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if setup.cores is not None:
        core = setup.cores.get()
        if core is not None:
            os.sched_setaffinity(0, {core})
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)
    _setup = setup


def _end_with_parent() -> None:
    """End this process when the one that started it has been killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _do(task: Any) -> Any:
    assert _setup is not None
    with hearing():
        if _setup.ending.is_set():  # a worker has its next task waiting, and may take it after the signal
            raise KeyboardInterrupt
        return _setup.work(task)
