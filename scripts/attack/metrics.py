"""The metrics of a fit, as a report reads them: what is damaged is refused in a line, what is read can be told."""

import math
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from attack.common import main, pick, refusal
from attack.damage import hostile_json, json_text
from ecgcvx.errors import ModelError
from ecgcvx.report.sections import bar
from ecgcvx.report.training import read_training
from ecgcvx.report.words import certificate, contender_name, size

DIGEST = "0123456789abcdef"


def model(name: str, neurons: int | None, objective: float | None, gap: float | None) -> dict[str, Any]:
    """A line of the comparison."""
    return {
        "name": name, "neurons": neurons, "train_rmse_mv": 0.01, "test_rmse_mv": 0.02, "objective": objective,
        "gap": gap, "gap_kind": None if gap is None else "searched", "gap_detail": None, "gap_of": "",
        "proved_gap": None, "seconds": 1.5,
    }  # fmt: skip


WHOLE: dict[str, Any] = {
    "record": "208", "lead": "MLII", "sampling_frequency_hz": 360.0, "window": 15, "horizon": 1, "beta": 1e-4,
    "beta_chosen_by": "validation", "windows": {"train": 100, "test": 30, "excluded": 0},
    "models": [model("persistence", None, None, None), model("convex", 12, 1e-3, 5e-3)],
    "interrupted": None, "proof": {"primal": 1e-3, "dual_proved": 9e-4, "proved_gap": 0.1}, "output": "out/208",
    "version": "0.1.0", "model_digest": DIGEST,
    "options": {"network": "relu", "solver": "active-set", "patterns": None, "seed": 0, "train_fraction": 0.8},
    "solver": {"primal": 1e-3, "dual": 9e-4, "status": "optimal", "detail": "8 rounds", "seconds": 2.0},
}  # fmt: skip


def try_one(random: np.random.Generator, folder: Path) -> str:
    """Read metrics as written or damaged, and tell what a report tells of them."""
    whole = random.random() < 0.1
    value: Any = WHOLE
    for _ in range(0 if whole else int(random.integers(1, 3))):
        value = hostile_json(random, value)
    text = json_text(np.random.default_rng(1) if whole else random, value)
    (folder / "metrics.json").write_text(text, encoding="utf-8", errors="replace")
    own = pick(random, (None, DIGEST, "another"))
    try:
        found = read_training(folder, own)
    except ModelError as error:
        said = str(error)
        assert not whole, f"refused: {said}"
        return refusal(error)
    if found is None:
        assert own == "another" or not whole
        return "of another model"
    every: tuple[Any, ...] = (*found.contenders, found)
    numbers = [number for one in every for number in astuple(one) if isinstance(number, float)]
    assert all(map(math.isfinite, numbers)), f"a number that is none: {numbers}"
    certificate(found)
    largest = max(one.test_rmse_mv for one in found.contenders)
    for one in found.contenders:
        assert size(one.train_rmse_mv)
        assert contender_name(one) is not None
        bar(one.test_rmse_mv, 0.0, largest)
    return "read"


if __name__ == "__main__":
    sys.exit(main(try_one, (__doc__ or "").splitlines()[0]))
