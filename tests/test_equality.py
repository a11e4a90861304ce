"""Frozen dataclasses can be compared and hashed: those that hold arrays or tables by identity, the others by value."""

import collections.abc
import dataclasses
import importlib
import inspect
import pkgutil
import typing

import numpy as np
import pandas as pd
import pytest

import ecgcvx
from ecgcvx.windows import split_windows

ARRAYS = (np.ndarray, pd.DataFrame, pd.Series)
UNHASHABLE = (dict, list, set)


def dataclasses_of_the_package():
    for info in pkgutil.walk_packages(ecgcvx.__path__, "ecgcvx."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for name, found in vars(module).items():
            if inspect.isclass(found) and dataclasses.is_dataclass(found) and found.__module__ == info.name:
                yield pytest.param(found, vars(module), id=f"{info.name}.{name}")


def holds(hint, kinds):
    """Whether values of this type hold one of these kinds."""
    origin = typing.get_origin(hint) or hint
    if origin is collections.abc.Callable:
        return False
    return origin in kinds or any(holds(part, kinds) for part in typing.get_args(hint))


@pytest.mark.parametrize(("kind", "names"), list(dataclasses_of_the_package()))
def test_a_class_that_holds_arrays_compares_by_identity_and_no_hash_meets_a_list(kind, names):
    if kind.__eq__ is object.__eq__:
        return  # by identity, whatever it holds
    hints = typing.get_type_hints(kind, vars(typing) | names)
    fields = dataclasses.fields(kind)
    assert not any(holds(hints[field.name], ARRAYS) for field in fields)
    if kind.__dataclass_params__.frozen:
        assert not [field.name for field in fields if field.hash is not False and holds(hints[field.name], UNHASHABLE)]


def test_windows_and_splits_are_compared_and_hashed():
    signal = np.sin(np.arange(200) / 7)
    split, again = split_windows(signal), split_windows(signal)
    for one, other in ((split, again), (split.train, again.train)):
        assert one == one
        assert one != other
        assert len({one, other, one}) == 2
