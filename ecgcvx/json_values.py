"""Values of the JSON of a file, whatever their type is: TypeError or ValueError, naming them, for what does not fit."""

import math


def number(
    value: object, name: str, *, positive: bool = False, least: float = -math.inf, most: float = math.inf
) -> float:
    """A finite number within its range, no truth value and no text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} = {str(value)[:40]!r} is no number")
    if not (math.isfinite(value) and least <= value <= most) or (positive and value <= 0):
        raise ValueError(f"{name} = {value:g}")
    return float(value)


def whole(value: object, name: str, *, least: int, most: int) -> int:
    """A whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} = {str(value)[:40]!r} is no whole number")
    if not least <= value <= most:
        raise ValueError(f"{name} = {str(value)[:40]}")
    return value


def truth(value: object, name: str) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} = {str(value)[:40]!r} is neither true nor false")
    return value


def text(value: object, name: str, *, longest: int) -> str:
    """A text of some characters at most."""
    if not isinstance(value, str):
        raise TypeError(f"{name} = {str(value)[:40]!r} is no text")
    if len(value) > longest:
        raise ValueError(f"{name} has {len(value):,} characters")
    return value
