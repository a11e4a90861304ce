"""The public interface: what `import ecgcvx` offers, what it costs, and which signals it takes."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import ecgcvx
from ecgcvx.errors import InputError
from ecgcvx.fit_options import fit_options
from ecgcvx.fitting import fit as fit_with
from ecgcvx.types import silent

WANTED = {
    "read_recording", "Recording", "split_windows", "Windows", "fit", "load", "predict", "certify", "interpret",
    "compare", "regularisation_path", "StreamPredictor", "solve", "programs", "solvers", "losses", "errors",
    "__version__",
}  # fmt: skip


def test_every_public_name_exists_and_no_other_is_offered():
    assert set(ecgcvx.__all__) >= WANTED
    for name in ecgcvx.__all__:
        assert getattr(ecgcvx, name) is not None
    for package in (ecgcvx.programs, ecgcvx.solvers):
        for name in package.__all__:
            assert getattr(package, name) is not None
    assert dir(ecgcvx) == sorted(ecgcvx.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = ecgcvx.fitt


def test_the_import_is_free_until_something_is_used():
    code = "import sys, ecgcvx; print(any(name in sys.modules for name in ('numpy', 'scipy', 'numba', 'pandas')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.fixture(scope="module")
def recording(record_208):
    return ecgcvx.read_recording(record_208, end=20)


def test_array_series_and_recording_give_the_same_network_as_the_layer_below(recording):
    options = {"network": "gated", "patterns": 6, "beta": 1e-4}
    expected = fit_with(recording, fit_options(**options), silent).forecaster.network
    times = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(len(recording.signal)) / 360.0, unit="s")
    signals = (
        (recording, {}),
        (recording.signal, {"sampling_frequency": 360.0}),
        (list(recording.signal), {"sampling_frequency": 360}),
        (pd.Series(recording.signal, name="MLII"), {"sampling_frequency": 360.0}),
        (pd.Series(recording.signal, index=times, name="MLII"), {}),
    )
    for signal, rate in signals:
        found = ecgcvx.fit(signal, **options, **rate).forecaster
        np.testing.assert_array_equal(found.network.W1, expected.W1)
        assert found.sampling_frequency == pytest.approx(360.0, rel=1e-6)
    assert ecgcvx.fit(signals[3][0], **options, sampling_frequency=360.0).forecaster.lead == "MLII"


@pytest.mark.parametrize(
    ("signal", "rate", "named"),
    [
        (np.zeros((10, 2)), 360.0, "signal has shape"),
        ([], 360.0, "signal has shape"),
        (["a"], 360.0, "not an array of numbers"),
        (np.zeros(10), None, "sampling_frequency = None"),
        (np.zeros(10), 0.0, "sampling_frequency = 0"),
        (pd.Series(np.zeros(3), index=pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-05"])), None, "evenly"),
    ],
)
def test_signals_that_are_none_are_refused(signal, rate, named):
    with pytest.raises(InputError, match=named):
        ecgcvx.fit(signal, sampling_frequency=rate)


def test_a_recording_keeps_its_own_frequency(recording):
    with pytest.raises(InputError, match="the recording has 360 Hz"):
        ecgcvx.fit(recording, sampling_frequency=250.0)


def test_solve_takes_the_solver_that_fits_the_program(recording):
    train = ecgcvx.split_windows(recording.signal).train
    program = ecgcvx.programs.AllPatterns(train.X, train.y, 1e-1)
    solution = ecgcvx.solve(program, gap=1e-3, confirm_starts=50)
    assert solution.gap <= 1e-3
    same = ecgcvx.solve(program, ecgcvx.solvers.ActiveSetSolver(gap=1e-3, confirm_starts=50))
    assert same.primal == solution.primal
    with pytest.raises(InputError, match="gap: options belong to the default solver"):
        ecgcvx.solve(program, ecgcvx.solvers.ActiveSetSolver(), gap=1e-3)


def test_the_path_and_the_forecast_are_those_of_the_command_line(recording):
    path = ecgcvx.regularisation_path(recording, "polynomial", betas=3, ratio=1e-3)
    assert len(path.points) == 3
    fitted = ecgcvx.fit(recording, "polynomial", beta=path.chosen.beta)
    np.testing.assert_array_equal(ecgcvx.predict(fitted.forecaster, recording), fitted.forecaster.predict(recording))
