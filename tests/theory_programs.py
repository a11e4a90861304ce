"""The two-layer cases of theory_cases.json: small data with optima found by methods other than ours."""

import json
from pathlib import Path

import numpy as np

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.programs.program import gated_relu_program, relu_program

CASES = json.loads((Path(__file__).parent / "theory_cases.json").read_text())


def theory_programs():
    """Yield (name, program over all patterns, optimum)."""
    for name, case in CASES.items():
        if not name.startswith("relu_") or "free_bias" in name:
            continue
        X, y = np.array(case["X"]), np.array(case["y"])
        features = PatternFeatures(X, enumerate_patterns(X))
        loss = LogisticLoss() if "logistic" in name else None
        yield f"relu-{name}", relu_program(features, y, case["beta"], loss), case["convex"]
        if "gated" in case:
            yield f"gated-{name}", gated_relu_program(features, y, case["beta"]), case["gated"]
