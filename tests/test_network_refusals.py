"""What a network cannot take is refused in one line before any training, by the command line and by Python alike."""

import re

import numpy as np
import pytest

import ecgcvx
from ecgcvx.arrangements import sample_patterns
from ecgcvx.atoms.batch_norm import BatchNormFamily
from ecgcvx.atoms.convolutional import ConvolutionalFamily
from ecgcvx.atoms.three_layer import ThreeLayerFamily
from ecgcvx.cli import main
from ecgcvx.errors import InputError, SolverError
from ecgcvx.patches import Convolution, PatchMatrix
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.convolutional import ConvolutionalFeatures
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.programs.program import relu_program
from ecgcvx.programs.three_layer import TupleFeatures, sample_tuples
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.column_generation import ColumnGeneration
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.sgd import SgdSolver

SAMPLES, QUIET = 200, 150  # 160 train: the first sample of the last of their windows is number 144
REFUSED = [
    ("conv", {"taps": 16}, "taps = 16: longer than the window of 15 samples; give fewer taps"),
    ("conv", {"taps": 0}, "taps = 0: give at least 1"),
    ("conv", {"stride": 0}, "stride = 0: give at least 1"),
    ("conv", {"stride": -2}, "stride = -2: give at least 1"),
    ("conv", {"segments": 0}, "segments = 0: give at least 1"),
    ("conv", {"segments": 12}, "segments = 12: the window has 11 patches; give at most as many"),
    ("conv", {"segments": 2, "prove": 1.0}, "prove = 1: not an option of network='conv' with segments=2; leave it out"),
    ("batchnorm", {"prove": 1.0}, "prove = 1: not an option of network='batchnorm' with order='after'; leave it out"),
    ("three-layer", {"inner": 0}, "inner = 0: give at least 1"),
    ("three-layer", {"inner": 146}, "inner neurons = 146: give from 1 to 145, the number of rows"),
    ("conv", {"solver": "osqp"}, "solver = osqp: not an option of network='conv'; it is one of relu, gated"),
    ("batchnorm", {"patterns": 9}, "patterns = 9: not an option of network='batchnorm'; it is one of relu, gated"),
    ("three-layer", {"taps": 3}, "taps = 3: not an option of network='three-layer'; it is one of conv"),
]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A sine."""
    return write(tmp_path_factory.mktemp("sine") / "sine.csv", np.sin(np.arange(SAMPLES)))


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """A lead that is 0 where the first samples of all training windows lie, and not elsewhere."""
    signal = np.where(np.arange(SAMPLES) < QUIET, 0.0, np.sin(np.arange(SAMPLES)))
    return write(tmp_path_factory.mktemp("flat") / "flat.csv", signal)


def write(path, signal):
    path.write_text("time,ecg\n" + "".join(f"{k / 100},{value}\n" for k, value in enumerate(signal)))
    return path


@pytest.fixture(autouse=True)
def no_training(monkeypatch):
    def solve(*_, **__):
        raise AssertionError("it trains")

    monkeypatch.setattr(ActiveSetSolver, "solve", solve)


@pytest.mark.parametrize("beta", [None, 1e-2])
@pytest.mark.parametrize(("network", "options", "message"), REFUSED)
def test_what_does_not_fit_is_refused_before_training(record, tmp_path, capsys, network, options, message, beta):
    if beta is None and options.get("inner") == 146:
        message = "inner neurons = 146: give from 1 to "  # the path trains on a part of the windows
    check_refused(record, tmp_path, capsys, network, options | ({} if beta is None else {"beta": beta}), message)


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_constant_column_is_refused_before_batch_norm_divides_by_its_deviation(flat, tmp_path, capsys, order):
    check_refused(flat, tmp_path, capsys, "batchnorm", {"order": order, "beta": 1e-2}, "X: column 0 is constant (-0.")


def check_refused(record, folder, capsys, network, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        ecgcvx.fit(ecgcvx.read_recording(record), network, **options)
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    assert main(["fit", str(record), "--network", network, *words, "--output", str(folder / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len([line for line in said.splitlines() if line.startswith("ecgcvx: ")]) == 1
    assert not (folder / "out" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("network", "option", "value"), [("conv", "pooling", "max"), ("batchnorm", "order", "between")]
)
def test_a_choice_that_there_is_not_is_refused(record, capsys, network, option, value):
    with pytest.raises(InputError, match=f"{option} = '?{value}'?: choose"):
        ecgcvx.fit(ecgcvx.read_recording(record), network, **{option: value})
    with pytest.raises(SystemExit):
        main(["fit", str(record), "--network", network, f"--{option}", value])
    assert f"invalid choice: '{value}'" in capsys.readouterr().err


def data():
    random = np.random.default_rng(0)
    X = np.c_[random.standard_normal((30, 4)), np.ones(30)]
    return X, np.where(random.random(30) < 0.5, 1.0, -1.0)


def programs(loss=None):
    X, y = data()
    convolution = Convolution(3)
    patterns = sample_patterns(PatchMatrix(X, convolution), 3, 0)
    extra = () if loss is None else (loss,)
    return {
        "conv": relu_program(ConvolutionalFeatures(X, convolution, patterns), y, 0.1, *extra),
        "three-layer": relu_program(TupleFeatures(X, sample_tuples(X, 2, 3, 0)), y, 0.1, *extra),
    }


@pytest.mark.parametrize("name", ["conv", "three-layer"])
def test_solvers_that_cannot_take_a_program_say_so(name):
    logistic = programs(LogisticLoss())[name]
    for solver in (AdmmSolver(), OsqpSolver()):
        with pytest.raises(SolverError, match=r"loss = LogisticLoss: .* works on the Gram matrix of a squared loss"):
            solver.solve(logistic)
    with pytest.raises(SolverError, match="SGD takes minibatches"):
        SgdSolver().solve(programs()[name])


@pytest.mark.parametrize(
    "family",
    [ConvolutionalFamily(Convolution(3), 5), BatchNormFamily(), ThreeLayerFamily(2)],
    ids=lambda f: type(f).__name__,
)
def test_column_generation_says_that_it_takes_relu_neurons_alone(family):
    X, y = data()
    with pytest.raises(SolverError, match=f"family = {type(family).__name__}: column generation works on ReLU neurons"):
        ColumnGeneration("cvxpy").solve(AllPatterns(X, y, 0.1, family=family))


@pytest.mark.parametrize("family", [ConvolutionalFamily(Convolution(3), 5), BatchNormFamily(), ThreeLayerFamily(2)])
def test_the_logistic_loss_takes_labels_alone(family):
    X, y = data()
    with pytest.raises(InputError, match="y"):
        AllPatterns(X, y * 0.5, 0.1, LogisticLoss(), family)
