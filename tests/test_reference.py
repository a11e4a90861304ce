"""The docstrings of the reference keep NumPy's form."""

import importlib
import inspect
import re
from pathlib import Path

import pytest
from numpydoc.validate import validate

API = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
# Left to the writer: sections See Also and Examples and an extended summary; parameters and results that the summary
# tells, or whose types the signature has; a small letter where a description begins, or a formula; and "Labels as ...",
# which is taken for a verb in the third person.
LEFT = {"SA01", "EX01", "ES01", "PR01", "PR04", "PR08", "RT01", "SS02", "SS05"}


def objects():
    names = re.findall(r"auto(?:class|function):: (\S+)", API)
    for module in re.findall(r"automodule:: (\S+)", API):
        loaded = importlib.import_module(module)
        exported = getattr(loaded, "__all__", None) or [
            name for name, found in vars(loaded).items()
            if getattr(found, "__module__", "") == module and not name.startswith("_") and callable(found)
        ]  # fmt: skip
        names += [f"{module}.{name}" for name in exported]
    return sorted(set(names))


def documented(name):
    """The object of a name, and its public members but for those that take over the docstring of a base class."""
    module, _, last = name.rpartition(".")
    found = getattr(importlib.import_module(module), last)
    members = vars(found).items() if inspect.isclass(found) else ()
    kinds = (property, classmethod, staticmethod)
    return [name] + [
        f"{name}.{key}"
        for key, member in members
        if not key.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, kinds))
        and (member.__doc__ or not inspect.getdoc(getattr(found, key)))
    ]


@pytest.mark.parametrize("name", objects())
def test_docstrings_have_the_form_of_numpy(name):
    said = [(one, *fault) for one in documented(name) for fault in validate(one)["errors"]]
    assert not [fault for fault in said if fault[1] not in LEFT]
