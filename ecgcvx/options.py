"""Options as fields of frozen dataclasses: stated once, checked when they are made, read by the command line.

    @dataclass(frozen=True, kw_only=True)
    class Gated(NetworkKind):
        patterns: int | None = option(None, "activation patterns to sample (default 100)", least=3)

`check_options` refuses a value out of its range; None stands for 'not given'. Nothing here needs NumPy, so that
`--help` does not wait for it.
"""

import math
import types
import typing
from dataclasses import Field, dataclass, field, fields
from typing import Any

from ecgcvx.errors import InputError


@dataclass(frozen=True)
class Option:
    """What is known of an option besides its type.

    help : one line for the command line. metavar : its unit there. choices : the values that it may have. least,
    above : the smallest value, and one that it must exceed. methods : the training methods that own it, () for all of
    its network. bare : its value on a command line that names it without one. several : whether it takes a tuple of
    values.
    """

    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    least: float | None = None
    above: float | None = None
    below: float | None = None
    example: str = ""
    methods: tuple[str, ...] = ()
    bare: float | None = None
    several: bool = False


def option(default: Any, help: str, **known: Any) -> Any:
    """Return a dataclass field that is an option; see `Option`."""
    return field(default=default, metadata={"option": Option(help, **known)})


def options_of(kind: Any) -> dict[str, tuple[Field[Any], Option]]:
    """Return the options of a dataclass by name."""
    return {one.name: (one, one.metadata["option"]) for one in fields(kind) if "option" in one.metadata}


def given(instance: Any) -> dict[str, Any]:
    """Return the options of an instance that do not have their default, by name."""
    found = {name: (getattr(instance, name), one.default) for name, (one, _) in options_of(instance).items()}
    return {name: value for name, (value, default) in found.items() if value is not default and value != default}


def value_type(kind: Any, name: str) -> type:
    """Return the type of an option's values: int, float, str, bool or Path; of several, that of each."""
    hint = typing.get_type_hints(kind)[name]
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) is typing.Literal:
        return str
    found: type = hint
    return found


def check_options(instance: Any) -> None:
    """Refuse a value of the wrong type or outside its range: InputError naming option, value and what to do."""
    for name, (one, known) in options_of(instance).items():
        value = getattr(instance, name)
        if value is None or value is one.default:
            continue
        if known.several:
            _check_several(instance, name, value, known)
            continue
        if known.choices and value not in known.choices:
            raise InputError(f"{name} = {value!r}: choose one of {', '.join(known.choices)}")
        expected = value_type(type(instance), name)
        if expected in (int, float):
            _check_number(name, value, expected, known)


def _check_several(instance: Any, name: str, values: Any, known: Option) -> None:
    if not isinstance(values, tuple | list) or not len(values):
        raise InputError(f"{name} = {values!r}: give one or several, e.g. {known.example}")
    for value in values:
        _check_number(name, value, value_type(type(instance), name), known)


def _check_number(name: str, value: Any, expected: type, known: Option) -> None:
    example = f", e.g. {known.example}" if known.example else ""
    number = not isinstance(value, bool) and (hasattr(value, "__index__") or (expected is float and _real(value)))
    if not number:
        wanted = "a whole number" if expected is int else "a number"
        raise InputError(f"{name} = {value!r}: give {wanted}{example}")
    if known.least is not None and not value >= known.least:
        raise InputError(f"{name} = {value:g}: give at least {known.least:g}")
    if known.above is not None and not value > known.above:
        sort = "a positive number" if known.above == 0 else f"a number above {known.above:g}"
        raise InputError(f"{name} = {value:g}: give {sort}{example}")
    if known.below is not None and not value < known.below:
        raise InputError(f"{name} = {value:g}: give a number below {known.below:g}{example}")
    if not math.isfinite(value):
        raise InputError(f"{name} = {value:g}: give a finite number{example}")


def _real(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, str | bytes)
