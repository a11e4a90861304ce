"""An exported model says what the model says, whichever the target, the kind of network and its depth."""

import importlib.util
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from ecgcvx.activations import RELU_LIKE
from ecgcvx.cli import main
from ecgcvx.errors import InputError, ModelError
from ecgcvx.export import TARGETS, export
from ecgcvx.export.parts import parts_of
from ecgcvx.forecaster import Forecaster
from ecgcvx.models import GatedNetwork, PolynomialNetwork, ReluNetwork, Stack, Stage
from ecgcvx.models.batch_norm import FoldedNetwork
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.models.maps import balance
from ecgcvx.models.three_layer import ThreeLayerNetwork
from ecgcvx.patches import Convolution
from ecgcvx.records import Lead, Recording
from ecgcvx.windows import Scaler

WINDOW = 6


def networks():
    random = np.random.default_rng(0)

    def normal(*shape):
        return 0.5 * random.standard_normal(shape)

    def stage(columns, q, m):
        return Stage(normal(columns, q), normal(q), ReluNetwork(normal(q, m), normal(m)), 1e-3)

    d = WINDOW + 1
    return {
        "relu": ReluNetwork(normal(d, 11), normal(11)),
        "nothing": ReluNetwork(normal(d, 0), normal(0)),
        "gated": GatedNetwork(normal(d, 5), normal(5), normal(d, 5)),
        "polynomial": PolynomialNetwork(normal(d, 4), normal(4), RELU_LIKE),
        "batch norm": FoldedNetwork(normal(d, 3), normal(3)),
        "conv": ConvolutionalNetwork(normal(4, 3), normal(3), Convolution(3, 2, "average"), d),
        "gated conv": ConvolutionalNetwork(normal(3, 4), normal(4), Convolution(2, 1, "sum"), d, normal(3, 4)),
        "segments": ConvolutionalNetwork(normal(3, 4), normal(2, 4), Convolution(2, 1, segments=2), d),
        "three layers": ThreeLayerNetwork(normal(5, 3, d), np.sign(normal(5, 3)), normal(5), False),
        "linear inner neurons": ThreeLayerNetwork(normal(5, 3, d), np.sign(normal(5, 3)), normal(5), True),
        "one linear inner neuron": ThreeLayerNetwork(normal(5, 1, d), np.ones((5, 1)), normal(5), True),
        "stack": Stack(((stage(d, 5, 6), stage(d + 6, 4, 3), stage(d + 9, 9, 2)), (stage(d, 4, 3),))),
    }


NETWORKS = networks()


JOINED = "joined leads, "  # the same networks on two windows of half the length


@pytest.fixture(
    params=[*NETWORKS, *(JOINED + name for name in ("relu", "gated", "polynomial", "three layers", "stack"))]
)
def forecaster(request):
    network = NETWORKS[request.param.removeprefix(JOINED)]
    if request.param.startswith(JOINED):
        scaler = Scaler(-0.3, 0.6, (Scaler(0.2, 1.7),))
        return Forecaster(network, scaler, "MLII", 360.0, WINDOW // 2, 2, 1e-3, joined=("V*/1",))
    return Forecaster(network, Scaler(-0.3, 0.6), "MLII", 360.0, WINDOW, 2, 1e-3)


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(1).standard_normal((200, WINDOW)) - 0.3


def expected(forecaster, windows):
    """What the model says of a recording of these windows, one after another."""
    length, horizon = forecaster.window, forecaster.horizon
    rows = windows.reshape(len(windows), -1, length)
    every = np.concatenate([rows, np.zeros((*rows.shape[:2], horizon))], axis=2)
    *others, signal = every.transpose(1, 0, 2).reshape(rows.shape[1], -1)
    joined = tuple(Lead(name, other) for name, other in zip(forecaster.joined, others, strict=True))
    recording = Recording(signal, forecaster.sampling_frequency, forecaster.lead, "r", joined=joined)
    return forecaster.predict(recording)[length - 1 + horizon :: length + horizon]


def test_c_compiles_without_a_warning_and_forecasts_in_float32(forecaster, windows, tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    header, source = export(forecaster, "c", tmp_path / "ecg_model")
    assert "malloc" not in source.read_text()
    program = tmp_path / "main.c"
    program.write_text(
        """#include <stdio.h>
#include "ecg_model.h"
int main(void)
{
    float window[INPUTS];
    while (fread(window, sizeof window, 1, stdin) == 1) {
        const float f = ecg_model_predict(window);
        fwrite(&f, sizeof f, 1, stdout);
    }
    return 0;
}
"""
    )
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    size = "-DINPUTS=ECG_MODEL_LEADS*ECG_MODEL_WINDOW" if forecaster.joined else "-DINPUTS=ECG_MODEL_WINDOW"
    subprocess.run([compiler, *flags, size, "-o", tmp_path / "run", program, source], check=True, cwd=tmp_path)
    asked = windows.astype(np.float32)
    done = subprocess.run([tmp_path / "run"], input=asked.tobytes(), capture_output=True, check=True)
    made = np.frombuffer(done.stdout, dtype=np.float32)
    wanted = expected(forecaster, asked.astype(np.float64))
    np.testing.assert_allclose(made, wanted, rtol=0, atol=2e-6 * max(1.0, np.abs(wanted).max()))
    assert f"#define ECG_MODEL_HORIZON {forecaster.horizon} " in header.read_text()
    assert ("of the leads V* /1, MLII at" in header.read_text()) == bool(forecaster.joined)


def test_the_header_says_what_a_forecast_costs(forecaster, tmp_path):
    header, source = export(forecaster, "c", tmp_path / "ecg_model")
    tables = re.findall(r"static const float \w+\[(\d+)\] = \{\s*([^}]*)\}", source.read_text())
    constants = sum(int(size) for size, values in tables if values.strip() != "0.0f")
    (told,) = re.findall(r"Constants: ([\d,]+) bytes", header.read_text())
    assert int(told.replace(",", "")) == 4 * constants
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    counted = source.read_text().replace("sum += a[i] * b[i];", "sum += a[i] * b[i], products++;")
    counted = counted.replace("sum += W2[j] * a;", "sum += W2[j] * a, products += PER_NEURON;")
    source.write_text("extern int products;\n" + counted)
    program = tmp_path / "main.c"
    program.write_text(
        """#include <stdio.h>
#include "ecg_model.h"
int products;
int main(void)
{
    const float window[INPUTS] = {0};
    ecg_model_predict(window);
    return printf("%d", products + INPUTS + 1) < 1;
}
"""
    )
    each = 3 if isinstance(forecaster.network, PolynomialNetwork) else 1
    sizes = [f"-DPER_NEURON={each}", f"-DINPUTS={WINDOW}"]
    subprocess.run([compiler, *sizes, "-o", tmp_path / "run", program, source], check=True)
    done = subprocess.run([tmp_path / "run"], capture_output=True, text=True, check=True)
    (told,) = re.findall(r"One forecast: ([\d,]+) products", header.read_text())
    assert told.replace(",", "") == done.stdout


def test_arrays_hold_the_network_and_its_scaler(forecaster, windows, tmp_path):
    (file,) = export(forecaster, "numpy", tmp_path / "model")
    with np.load(file, allow_pickle=False) as found:
        about = json.loads(str(found["about"]))
        assert (about["network"], about["window"]) == (forecaster.network.activation, forecaster.window)
        assert about.get("leads", []) == (["V*/1", "MLII"] if forecaster.joined else [])
        if about["network"] not in ("relu", "gated", "polynomial", "batchnorm"):
            assert set(forecaster.network.tensors()) < set(found)
            return
        x = np.concatenate([(windows - found["mean"]) / found["scale"], np.ones((len(windows), 1))], axis=1)
        z = x @ found["W1"]
        a, b, c = about.get("polynomial", (0, 0, 0))
        activations = {
            "relu": lambda: np.maximum(z, 0), "batchnorm": lambda: np.maximum(z, 0),
            "gated": lambda: z * (x @ found["gates"] >= 0), "polynomial": lambda: a * z**2 + b * z + c,
        }[about["network"]]()  # fmt: skip
        made = activations @ found["W2"] * found["scale"].flat[-1] + found["mean"].flat[-1]
    np.testing.assert_allclose(made, expected(forecaster, windows), rtol=1e-12, atol=1e-12)


def test_onnx_runs_to_the_same_forecast(forecaster, windows, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    (file,) = export(forecaster, "onnx", tmp_path / "model")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (made,) = session.run(["forecast"], {"window": windows})
    np.testing.assert_allclose(made, expected(forecaster, windows), rtol=0, atol=1e-6)


def test_torch_reads_its_state_back(forecaster, windows, tmp_path):
    torch = pytest.importorskip("torch")
    from ecgcvx.export.torch_module import module

    (file,) = export(forecaster, "torch", tmp_path / "model")
    again = module(forecaster)
    with torch.no_grad():
        for one in again.parameters():
            one.zero_()
    again.load_state_dict(torch.load(file, weights_only=True))
    made = again(torch.from_numpy(windows)).detach().numpy()
    np.testing.assert_allclose(made, expected(forecaster, windows), rtol=0, atol=1e-10)


@pytest.mark.parametrize("target", ["onnx", "torch"])
def test_a_library_that_is_missing_is_named(target, tmp_path):
    if importlib.util.find_spec(target) is not None:
        pytest.skip(f"{target} is installed")
    model = Forecaster(NETWORKS["relu"], Scaler(0.0, 1.0), "MLII", 360.0, WINDOW, 1, 1e-3)
    with pytest.raises(InputError, match=rf"{target} is not installed; pip install 'ecgcvx\[{target}\]'"):
        export(model, target, tmp_path / "model")


def test_what_cannot_be_exported_is_refused(tmp_path):
    class Other(ReluNetwork):
        activation = "other"

    model = Forecaster(NETWORKS["relu"], Scaler(0.0, 1.0), "MLII", 360.0, WINDOW, 1, 1e-3)
    with pytest.raises(ModelError, match="network = 'other': it cannot be exported"):
        parts_of(Other(np.ones((2, 1)), np.ones(1)))
    with pytest.raises(InputError, match="target = 'fortran': choose one of numpy, c, onnx, torch"):
        export(model, "fortran", tmp_path / "model")
    with pytest.raises(InputError, match="'my-model' is no C identifier"):
        export(model, "c", tmp_path / "my-model")
    assert not list(tmp_path.iterdir())


def test_the_command_names_its_files(tmp_path, capsys):
    model = Forecaster(balance(NETWORKS["relu"]), Scaler(0.0, 1.0), "MLII", 360.0, WINDOW, 1, 1e-3)
    model.save(tmp_path / "model.safetensors")
    assert main(["export", str(tmp_path), "--to", "c", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["files"]) == {str(tmp_path / "ecg_model.h"), str(tmp_path / "ecg_model.c")}
    assert all((tmp_path / name).stat().st_size == size for name, size in told["files"].items())
    assert main(["export", str(tmp_path), "--to", "numpy", "--output", str(tmp_path / "plain")]) == 0
    assert "relu network of 11 neurons: wrote" in capsys.readouterr().out
    assert (tmp_path / "plain.npz").exists()
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path), "--to", "fortran"])
    assert set(TARGETS) == {"numpy", "c", "onnx", "torch"}
