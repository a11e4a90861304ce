"""C99: a header and a source with the weights in float32, one function, no allocation, no library but <stddef.h>."""

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.export.parts import Part, asked, parts_of
from ecgcvx.files import atomic_write
from ecgcvx.types import Array

if TYPE_CHECKING:
    from ecgcvx.forecaster import Forecaster

NUMBERS_A_LINE = 8


def write(forecaster: "Forecaster", path: Path) -> list[Path]:
    """Write PATH.h and PATH.c, which define `float NAME_predict(const float window[])`, NAME the last part of PATH.

    The header says what `window` holds; of joined leads it is NAME_LEADS windows of NAME_WINDOW samples.

    Raises InputError for a name that is no C identifier, ModelError for a network that cannot be exported.
    """
    name = path.name
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise InputError(f"output {path}: {name!r} is no C identifier; choose letters, digits and _, e.g. ecg_model")
    header, source = path.with_name(f"{name}.h"), path.with_name(f"{name}.c")
    text = source_text(forecaster, name)
    atomic_write(header, lambda out: out.write(header_text(forecaster, name).encode()))
    atomic_write(source, lambda out: out.write(text.encode()))
    return [header, source]


def header_text(forecaster: "Forecaster", name: str) -> str:
    """Return the header."""
    guard, upper = f"{name.upper()}_H", name.upper()
    words = asked(forecaster).replace("*/", "* /").replace("/*", "/ *")
    comment = textwrap.fill(words, 100, initial_indent="/* ", subsequent_indent="   ", break_long_words=False)
    leads = f"#define {upper}_LEADS {len(forecaster.leads)} /* windows in a row */\n" if forecaster.joined else ""
    weights, products = cost(forecaster)
    return f"""\
/* {forecaster.network.neurons} neurons; made by ecgcvx.
   Constants: {4 * weights:,} bytes. One forecast: {products:,} products. */
#ifndef {guard}
#define {guard}

#define {upper}_WINDOW {forecaster.window} /* samples in a window */
{leads}#define {upper}_HORIZON {forecaster.horizon} /* samples from the last one to the one that is forecast */
#define {upper}_HZ {_number(forecaster.sampling_frequency)} /* sampling frequency */

#ifdef __cplusplus
extern "C" {{
#endif

{comment} */
float {name}_predict(const float window[{_size(forecaster, name)}]);

#ifdef __cplusplus
}}
#endif

#endif
"""


def cost(forecaster: "Forecaster") -> tuple[int, int]:
    """Return the numbers of float32 constants and of products of one forecast, scaler and gates among them."""
    weights = products = 0
    for member in parts_of(forecaster.network):
        width = forecaster.network.inputs
        for part in member:
            q, m = part.features, part.neurons
            tables = [part.W1, part.W2, part.gates, part.linear, part.projection]
            weights += sum(table.size for table in tables if table is not None)
            products += q * m * (1 if part.gates is None else 2) + m * (1 if part.polynomial is None else 3)
            products += (0 if part.linear is None else q) + (0 if part.projection is None else q * width)
            width += m
    return weights, products + forecaster.network.inputs  # one product a column for the scaler


def source_text(forecaster: "Forecaster", name: str) -> str:
    """Return the source."""
    members = parts_of(forecaster.network)
    inputs = forecaster.network.inputs
    kinds = {part.polynomial or ("gated" if part.gates is not None else "relu") for one in members for part in one}
    assert len(kinds) == 1  # no network of ours mixes neurons
    arrays: list[str] = []
    body: list[str] = []
    widest = max(part.features for one in members for part in one)
    columns = max(inputs + sum(part.neurons for part in one[:-1]) for one in members)
    for k, member in enumerate(members):
        width = inputs
        for s, part in enumerate(member):
            arrays += _arrays(part, f"{k}_{s}")
            body += _calls(part, f"{k}_{s}", width, keep=part is not member[-1])
            width += part.neurons
    scaler, length = forecaster.scaler, forecaster.window
    scaled = [
        f"    for (size_t i = {k * length}; i < {(k + 1) * length}; i++)\n"
        f"        h[i] = (window[i] - {_number(one.mean)}) / {_number(one.scale)};"
        for k, one in enumerate(scaler.leads)
    ]
    mean, scale = _number(scaler.mean), _number(scaler.scale)
    phi = f"    float phi[{widest}];\n" if any(part.projection is not None for one in members for part in one) else ""
    outer = "f" if len(members) == 1 else f"f / {_number(len(members))}"
    return f"""\
#include "{name}.h"

#include <stddef.h>

{chr(10).join(arrays)}
static float dot(const float *a, const float *b, size_t n)
{{
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}}

{_neurons_function(members[0][0])}
float {name}_predict(const float window[{_size(forecaster, name)}])
{{
    float h[{columns}];
{phi}    float f = 0.0f;
{chr(10).join(scaled)}
    h[{inputs - 1}] = 1.0f;
{chr(10).join(body)}
    return ({outer}) * {scale} + {mean};
}}
"""


def _size(forecaster: "Forecaster", name: str) -> str:
    """How many samples a forecast takes, by the names of the header."""
    upper = name.upper()
    return f"{upper}_LEADS * {upper}_WINDOW" if forecaster.joined else f"{upper}_WINDOW"


def _neurons_function(part: Part) -> str:
    gates = "const float *gates, " if part.gates is not None else ""
    rule = "z > 0.0f ? z : 0.0f"
    if part.gates is not None:
        rule = "dot(gates + j * q, x, q) >= 0.0f ? z : 0.0f"
    if part.polynomial is not None:
        a, b, c = map(_number, part.polynomial)
        rule = f"({a} * z + {b}) * z + {c}"
    return f"""\
/* The sum of m neurons on q features; their activations go to `above` unless it is NULL. */
static float neurons(const float *W1, {gates}const float *W2, const float *x, size_t q, size_t m, float *above)
{{
    float sum = 0.0f;
    for (size_t j = 0; j < m; j++) {{
        const float z = dot(W1 + j * q, x, q);
        const float a = {rule};
        sum += W2[j] * a;
        if (above != NULL)
            above[j] = a;
    }}
    return sum;
}}
"""


def _arrays(part: Part, name: str) -> list[str]:
    found = [_array(f"W1_{name}", part.W1.T), _array(f"W2_{name}", part.W2)]
    if part.gates is not None:
        found.append(_array(f"gates_{name}", part.gates.T))
    if part.projection is not None:
        found.append(_array(f"M_{name}", part.projection.T))
    if part.linear is not None:
        found.append(_array(f"w_{name}", part.linear))
    return found


def _calls(part: Part, name: str, width: int, *, keep: bool) -> list[str]:
    x, lines = "h", []
    if part.projection is not None:
        x = "phi"
        lines += [
            f"    for (size_t i = 0; i < {part.features}; i++)",
            f"        phi[i] = dot(M_{name} + i * {width}, h, {width});",
        ]
    if part.linear is not None:
        lines.append(f"    f += dot(w_{name}, {x}, {part.features});")
    gates = f"gates_{name}, " if part.gates is not None else ""
    above = f"h + {width}" if keep else "NULL"
    lines.append(f"    f += neurons(W1_{name}, {gates}W2_{name}, {x}, {part.features}, {part.neurons}, {above});")
    return lines


def _array(name: str, values: Array) -> str:
    numbers = [_number(value) for value in values.ravel()] or ["0.0f"]  # C has no array of none
    lines = [", ".join(numbers[i : i + NUMBERS_A_LINE]) for i in range(0, len(numbers), NUMBERS_A_LINE)]
    return f"static const float {name}[{len(numbers)}] = {{\n    " + ",\n    ".join(lines) + "\n};"


def _number(value: float) -> str:
    """A float32 literal that is read back as it is."""
    text = np.format_float_scientific(np.float32(value), trim="0")
    return f"{text}f"
