"""Public names of a package, imported when they are first asked for: importing the package costs nothing."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(
    package: str, names: Mapping[str, str], namespace: dict[str, Any]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package.

    names : the module, below the package, of every public name; '' for a name that is a module itself, and a dotted
    path 'a.b' for a module of another name. namespace : `globals()` of the package.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        where = names[name]
        module = import_module(f"{package}.{where.rstrip(':') or name}")
        found = module if not where or where.endswith(":") else getattr(module, name)
        namespace[name] = found
        return found

    return get, lambda: sorted(namespace["__all__"])
