"""scikit-learn's MLPRegressor and HistGradientBoostingRegressor as forecasters.

Usage: python forecast_sklearn.py PROGRAM.npz RESULT.npz --threads 2 --model mlp [--option tol=1e-6 ...]
PROGRAM holds X (n, d) with a last column of ones, y (n,) and X_test (n', d). RESULT gets seconds (1,), cpu_seconds,
predictions (1, n') and version.
"""

import argparse
import ast
import time
import warnings

import numpy as np
import sklearn
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

MODELS = {"mlp": MLPRegressor, "boosting": HistGradientBoostingRegressor}


def main() -> None:
    """Parse the command line, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--option", action="append", default=[], help="NAME=VALUE of the model, as tol=1e-6")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    options = {name: ast.literal_eval(value) for name, value in (pair.split("=") for pair in arguments.option)}
    data = np.load(arguments.program)
    X, y, X_test = data["X"][:, :-1].astype(np.float32), data["y"], data["X_test"][:, :-1].astype(np.float32)
    model = MODELS[arguments.model](random_state=arguments.seed, **options)
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(arguments.threads):
        started, cpu_started = time.perf_counter(), time.process_time()
        model.fit(X, y)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    np.savez(
        arguments.result, seconds=[seconds], cpu_seconds=cpu_seconds, predictions=model.predict(X_test)[None],
        version=f"scikit-learn {sklearn.__version__}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
