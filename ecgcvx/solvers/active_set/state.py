"""Where a run stands, and its checkpoint: a safetensors file from which the run goes on as if it had not stopped."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx.atoms.family import Atoms
from ecgcvx.checkpoint import read_checkpoint, save_checkpoint
from ecgcvx.errors import InputError, SolverError
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.active_set.pricing import Bank
from ecgcvx.solvers.active_set.solution import Round
from ecgcvx.types import Array

FORMAT, NAME = 3, "ecgcvx_checkpoint"


@dataclass(frozen=True, eq=False)
class State:
    """All that the next round depends on besides the data, so that a round is a function of it.

    level : how many times the rows were divided by four. number : rounds so far. pool : atoms that were found but not
    used. bank : maxima of the last search. far : whether no round so far has come close to the optimum. width :
    relative width of the rounded kinks. excess : largest price found last, relative to beta, minus one.
    """

    level: int
    atoms: Atoms
    pool: Atoms
    bank: Bank
    width: float
    far: bool = True
    excess: float = float("inf")
    number: int = 0
    seconds: float = 0.0
    history: tuple[Round, ...] = ()

    def after(self, **changes: object) -> "State":
        """The state with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


NUMBERS = ("level", "far", "width", "excess", "number", "seconds")


def fingerprint(program: AllPatterns, settings: dict[str, object]) -> str:
    """A digest of the data and of what the run was asked for: a checkpoint of another problem is refused."""
    passes = program.passes
    some = passes.starts(3, passes.none(), np.random.default_rng(0))
    digest = hashlib.blake2b(np.ascontiguousarray(program.y).tobytes(), digest_size=16)
    digest.update(passes.outputs(some).tobytes())
    known = {"beta": program.beta, "loss": type(program.loss).__name__, "family": repr(program.family), **settings}
    digest.update(json.dumps(known, sort_keys=True).encode())
    return digest.hexdigest()


def save_state(path: Path, state: State, of: str) -> None:
    """Write a checkpoint; one that is there is replaced whole or not at all."""
    tensors = {
        "points": state.atoms.points,
        "tags": state.atoms.tags,
        "pool_points": state.pool.points,
        "pool_tags": state.pool.tags,
        "bank_points": state.bank.atoms.points,
        "bank_tags": state.bank.atoms.tags,
        "bank_inverse": state.bank.inverse,
        "history": np.array(state.history, dtype=np.float64).reshape(-1, len(Round._fields)),
    }
    head = {"format": FORMAT, "of": of, **{name: _number(getattr(state, name)) for name in NUMBERS}}
    save_checkpoint(path, NAME, head, tensors)


def load_state(path: Path, of: str) -> State:
    """Read a checkpoint of the same problem.

    Raises InputError when there is none, SolverError when it is damaged or of another problem.
    """
    try:
        head, tensors = read_checkpoint(path, NAME)
        if head["format"] != FORMAT or head["of"] != of:
            raise SolverError(f"{path}: a checkpoint of another record, option or version; delete it to start afresh")
        return State(
            atoms=Atoms(tensors["points"], tensors["tags"]),
            pool=Atoms(tensors["pool_points"], tensors["pool_tags"]),
            bank=Bank(Atoms(tensors["bank_points"], tensors["bank_tags"]), tensors["bank_inverse"]),
            history=tuple(_round(line) for line in tensors["history"]),
            **{name: _given(head[name]) for name in NUMBERS},
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no checkpoint to resume from; leave --resume out to start afresh") from None
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise SolverError(f"{path}: damaged checkpoint ({error}); delete it to start afresh") from None


def _number(value: float) -> float:
    """A number as JSON can hold it exactly."""
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


def _given(value: object) -> Any:
    if not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:40]!r} is no number")
    return value


def _round(line: Array) -> Round:
    seconds, rows, primal, dual, gap, neurons, starts, confirmed = line.tolist()
    return Round(seconds, int(rows), primal, dual, gap, int(neurons), int(starts), bool(confirmed))
