"""Reductions on a Dask cluster of this machine: the same bits as in memory, also when a worker is killed."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from record_tables import write_record
from test_reductions import fit_records, model_bytes, options, rows_of

from ecgcvx.errors import InputError
from ecgcvx.programs.moments import MonomialSums
from ecgcvx.reductions import LocalEngine, cluster, held, interface
from ecgcvx.reductions.cluster import dask_engine
from ecgcvx.types import silent


@pytest.fixture
def records(tmp_path):
    return [write_record(tmp_path / f"r{k}.csv", k, samples=1500, gap=k == 1) for k in range(3)]


def test_without_dask_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'ecgcvx\[dask\]'"), dask_engine():
        pass


class Slow(MonomialSums):
    """Sums that take their time, so that a worker dies amid them."""

    def of(self, X, y):
        time.sleep(0.1)
        return super().of(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_workers_give_the_model_file_of_memory(records, workers, tmp_path):
    pytest.importorskip("distributed")
    list(fit_records(records, options(), tmp_path / "memory", silent))
    list(fit_records(records, options("dask", jobs=workers), tmp_path / "dask", silent))
    assert model_bytes(tmp_path / "dask") == model_bytes(tmp_path / "memory")


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_changes_nothing(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(interface, "PIECE", 200)
    X, y = rows_of(5, n=4000)
    wanted = LocalEngine(1).total(MonomialSums(5), held(X, y))
    with dask_engine(workers=2) as engine:
        pids = {info["pid"] for info in _identities(engine.client)}
        victim = next(iter(pids))
        threading.Timer(0.5, os.kill, (victim, signal.SIGKILL)).start()
        found = engine.total(Slow(5), held(X, y))
        deadline = time.monotonic() + 30
        while victim in {info["pid"] for info in _identities(engine.client)} and time.monotonic() < deadline:
            time.sleep(0.1)
        assert victim not in {info["pid"] for info in _identities(engine.client)}
    for a, b in zip(found, wanted, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECT", 0.5)
    with (
        pytest.raises(InputError, match=r"cluster = tcp://127\.0\.0\.1:9: no scheduler answers"),
        dask_engine("tcp://127.0.0.1:9"),
    ):
        pass


def _identities(client):
    return [{"pid": pid} for pid in client.run(os.getpid, on_error="ignore").values()]
