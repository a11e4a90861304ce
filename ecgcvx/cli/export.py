"""`ecgcvx export`: write a fitted model for use without ecgcvx."""

import argparse
import json
from pathlib import Path

from ecgcvx.cli.arguments import JSON_HELP, add_model, load_model
from ecgcvx.cli.terminal import show
from ecgcvx.export import TARGETS

DESCRIPTION = """\
Write a fitted model for use without ecgcvx. Every target takes a window in mV, oldest sample first, and gives the
forecast in mV; of joined leads it takes the windows of all, one lead after another, that of the forecast last:

    numpy    arrays in one .npz file
    c        a C99 header and source: float32, no malloc, one function
    onnx     a graph in float64, opset 17 (needs the extra ecgcvx[onnx])
    torch    the state dict of a module in float64, see ecgcvx.export.torch_module (needs the extra ecgcvx[torch])"""
EXAMPLES = """\
examples:
  ecgcvx export out/208 --to c --output firmware/ecg_model
  ecgcvx export out/208 --to onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_model(parser)
    parser.add_argument("--to", required=True, choices=tuple(TARGETS), help="what to write")
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help="of the files, without ending (default: ecg_model beside the model)"
    )
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from ecgcvx.export import export

    forecaster = load_model(options)
    folder = options.model if options.model.is_dir() else options.model.parent
    files = export(forecaster, options.to, options.output or folder / "ecg_model")
    needs = {}
    if options.to == "c":
        from ecgcvx.export.c_source import cost

        weights, products = cost(forecaster)
        needs = {"constants_bytes": 4 * weights, "products": products}
    sizes = {str(file): file.stat().st_size for file in files}
    if options.json:
        print(json.dumps({"target": options.to, "neurons": forecaster.network.neurons, "files": sizes, **needs}))
        return 0
    written = ", ".join(f"{file} ({size:,} bytes)" for file, size in sizes.items())
    show(f"{forecaster.network.activation} network of {forecaster.network.neurons} neurons: wrote {written}")
    if needs:
        show(f"{needs['constants_bytes']:,} bytes of constants, {needs['products']:,} products a forecast")
    return 0
