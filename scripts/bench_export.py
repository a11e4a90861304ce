"""What the C source of a model costs: bytes of machine code and constants, processor cycles of one forecast.

Usage: python scripts/bench_export.py out/208 [MODEL ...]

Compiles with `cc -O2` for this processor (x86-64, whose time stamp counter counts the cycles) and forecasts from
100,000 windows of noise; the median of 21 runs is printed.
"""

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from ecgcvx.errors import EcgcvxError, InputError
from ecgcvx.export import export
from ecgcvx.export.c_source import cost
from ecgcvx.model_file import load
from harness import machine, parser, table

PROGRAM = """\
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>
#include "model.h"
#define SAMPLES 100000
static float signal[SAMPLES + INPUTS];
static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
int main(void)
{
    uint32_t state = 1;
    for (int i = 0; i < SAMPLES + INPUTS; i++) {
        state = state * 1664525u + 1013904223u;
        signal[i] = (float)(state >> 8) / 16777216.0f - 0.5f;
    }
    for (int run = 0; run < 21; run++) {
        volatile float last = 0.0f;
        const double started = seconds();
        const uint64_t before = __rdtsc();
        for (int i = 0; i < SAMPLES; i++)
            last = model_predict(signal + i);
        const uint64_t after = __rdtsc();
        printf("%.1f %.4f\\n", (double)(after - before) / SAMPLES, 1e6 * (seconds() - started) / SAMPLES);
    }
    return 0;
}
"""


def main() -> int:
    """Measure every model that is named and print a table."""
    options = parser(__doc__)
    options.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="output folder of a fit, or model file")
    try:
        rows = [measured(model) for model in options.parse_args().models]
    except EcgcvxError as error:
        print(f"bench_export: {error}", file=sys.stderr)
        return 2
    print(table(("model", "neurons", "constants", "products", "code", "cycles", "microseconds"), rows))
    print(machine())
    return 0


def measured(path: Path) -> tuple[str, ...]:
    """One row of the table."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise InputError("cc: no C compiler is installed")
    forecaster = load(path)
    weights, products = cost(forecaster)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        export(forecaster, "c", folder / "model")
        (folder / "main.c").write_text(PROGRAM)
        subprocess.run([compiler, "-std=c99", "-O2", "-c", "model.c"], cwd=folder, check=True)
        told = subprocess.run(["size", "model.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
        code = int(re.split(r"\s+", told.splitlines()[1].strip())[0]) - 4 * weights
        inputs = f"-DINPUTS={forecaster.network.inputs - 1}"
        subprocess.run([compiler, "-O2", inputs, "-o", "run", "main.c", "model.o"], cwd=folder, check=True)
        lines = subprocess.run([folder / "run"], capture_output=True, text=True, check=True).stdout.splitlines()
    cycles, microseconds = zip(*(map(float, line.split()) for line in lines), strict=True)
    return (
        str(path), str(forecaster.network.neurons), f"{4 * weights:,} bytes", f"{products:,}", f"{code:,} bytes",
        f"{statistics.median(cycles):,.0f}", f"{statistics.median(microseconds):.2f}",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
