"""Small faults put into the package one at a time: does a test see each of them?

    python -m attack.mutants --sample 120              # in scripts/
    python -m attack.mutants --only windows --seconds 600
    python -m attack.mutants --line ecgcvx/windows.py:32

A mutant is one change: an operator (+ and -, * and /, < and <=, == and !=, 'and' and 'or'), a number (by 1, or times
1.5), min and max, sqrt left out, a negation left out, += and -= or =. It is made in a copy of the project, and the
quick tests of its module run until one fails, then, if none does, all tests of its module. 'survived' is a fault that
no test sees, or no fault at all: these are looked at by hand. The sample is drawn evenly by a seed.

Tests run in forks of a process that has imported what the package stands on. Where kernels are changed they run as
Python, as numba's cache would go on with the old code of whatever calls them.
"""

import argparse
import ast
import copy
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


class Tests(NamedTuple):
    """Arguments of pytest: quick tests, then all of them. compiled : whether kernels are, in the quick ones."""

    quick: tuple[str, ...]
    every: tuple[str, ...]
    compiled: bool = True


AROUND = tuple(f"tests/certificates/test_{name}.py" for name in ("majorant", "tree", "axes"))
BOUND = "tests/certificates/test_bound.py"
WORK = tuple(f"{BOUND}::test_the_work_is_what_it_was[{case}]" for case in ("6-300-1.01-27", "8-300-1.01-52"))
SMALL = tuple(
    f"{BOUND}::test_it_proves_what_enumeration_finds_and_nothing_below[{case}]"
    for case in ("0-general", "0-a column of ones", "1-general", "1-rank 2", "1-one column")
)
PROOF = Tests((*AROUND, *SMALL, *WORK), (*AROUND, BOUND), compiled=False)
CERTIFICATE = Tests(
    ("tests/test_polynomial_certificates.py", "tests/certificates/test_certify.py"),
    ("tests/certificates", "tests/test_polynomial_certificates.py", "tests/test_linear_option.py"),
)
RECORDS = Tests(
    ("tests/records",), ("tests/records", "tests/test_records.py", "tests/test_dataset.py", "tests/classify")
)
INTERPRET = Tests(
    ("tests/interpret", "--deselect=tests/interpret/test_interpret_planted.py"), ("tests/interpret", "tests/report")
)
SOLVER = Tests(
    ("tests/solvers/active_set",),
    ("tests/solvers/active_set", "tests/solvers/test_column_generation.py", "tests/test_polynomial_fit.py"),
)
WINDOWS = Tests(("tests/test_windows.py",), ("tests/test_windows.py", "tests/test_fitting.py"))
TESTS = {
    "ecgcvx/certificates/certify.py": CERTIFICATE,
    "ecgcvx/certificates/polynomial.py": CERTIFICATE,
    "ecgcvx/certificates/kkt.py": Tests(("tests/certificates/test_kkt.py",), CERTIFICATE.every),
    "ecgcvx/certificates": PROOF,
    "ecgcvx/windows.py": WINDOWS,
    "ecgcvx/records.py": RECORDS,
    "ecgcvx/formats": RECORDS,
    "ecgcvx/interpretation": INTERPRET,
    "ecgcvx/solvers/active_set": SOLVER,
}
"""Of modules and packages; the first that fits counts."""
SECONDS_A_MUTANT = 900.0  # of processor time; a mutant that runs on for ever is killed: it does not pass
SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Lt: ast.LtE,
    ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or,
    ast.Or: ast.And, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "argmin": "argmax", "argmax": "argmin"}
CHANGED = (
    ast.Constant, ast.AugAssign, ast.BinOp, ast.BoolOp, ast.Compare, ast.UnaryOp, ast.Name, ast.Attribute, ast.Call
)  # fmt: skip
LEFT_ALONE = (ast.Raise, ast.Import, ast.ImportFrom, ast.JoinedStr)


class Mutant(NamedTuple):
    """A change of a module: path from the root, line, what is changed, and the number of the node and of the change."""

    path: str
    line: int
    what: str
    place: int
    change: int

    def source(self, original: str) -> str:
        """Return the module with the change."""
        tree = ast.parse(original)
        _change(list(_changeable(tree))[self.place], self.change)
        return ast.unparse(ast.fix_missing_locations(tree))


def mutants(path: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module. Type hints, docstrings and messages of errors are left alone."""
    for place, node in enumerate(_changeable(ast.parse(source))):
        if not isinstance(node, CHANGED):
            continue
        for change in range(2):
            what = _change(copy.deepcopy(node), change)
            if what is not None:
                yield Mutant(path, node.lineno, what, place, change)


def _changeable(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, LEFT_ALONE):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            yield child
            yield from _changeable(child)


def _change(node: ast.AST, change: int) -> str | None:
    """Change a node in place; return what was done, None where there is no such change."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            return None
        before = node.value
        node.value = before + 1 if change == 0 else before * 1.5 if isinstance(before, float) and before else before - 1
        return f"{before} to {node.value}"
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub):
        if change == 1:
            node.op = SWAPS[type(node.op)]()
            return f"to {ast.unparse(node)}"
        node.op, node.value = ast.Add(), ast.BinOp(node.value, ast.Sub(), _loaded(node.target))
        return f"= in place of += or -=: {ast.unparse(node)}"
    if change == 1:
        return None
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS:
        if isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
            return None
        node.op = SWAPS[type(node.op)]()
        return f"to {ast.unparse(node)}"
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        node.ops[0] = SWAPS[type(node.ops[0])]()
        return f"to {ast.unparse(node)}"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        node.op = ast.UAdd() if isinstance(node.op, ast.USub) else node.op
        if isinstance(node.op, ast.Not):
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
        return f"to {ast.unparse(node)}"
    if isinstance(node, ast.Name) and node.id in NAMES:
        node.id = NAMES[node.id]
        return f"to {node.id}"
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        node.attr = NAMES[node.attr]
        return f"to {node.attr}"
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.sqrt":
        node.func = ast.Name("float" if isinstance(node.args[0], ast.Call) else "abs", ast.Load())
        return f"no root: {ast.unparse(node)}"
    return None


def _loaded(target: ast.expr) -> ast.expr:
    loaded = copy.deepcopy(target)
    for part in ast.walk(loaded):
        if hasattr(part, "ctx"):
            part.ctx = ast.Load()
    return loaded


def chosen(
    only: str | None, lines: list[str] | None = None, sample: int | None = None, seed: int = 0
) -> list[tuple[Mutant, Tests]]:
    """The mutants of the modules whose path holds `only`, or of lines, with the tests of each: some in any order."""
    found: list[tuple[Mutant, Tests]] = []
    seen = set[Path]()
    for place, tests in TESTS.items():
        files = sorted((ROOT / place).rglob("*.py")) if (ROOT / place).is_dir() else [ROOT / place]
        for file in files:
            path = str(file.relative_to(ROOT))
            if file not in seen and (only is None or only in path):
                found += [(mutant, tests) for mutant in mutants(path, file.read_text())]
            seen.add(file)
    if lines is not None:
        found = [(mutant, tests) for mutant, tests in found if f"{mutant.path}:{mutant.line}" in lines]
    order = np.random.default_rng(seed).permutation(len(found))
    return [found[k] for k in order[:sample]]


def fails(arguments: tuple[str, ...], compiled: bool, project: Path) -> bool:
    """Whether a test fails, or does not end, in a copy of the project; the tests run in a fork."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1] != 0
    code = 1
    try:
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(silent, descriptor)
        resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS_A_MUTANT), int(SECONDS_A_MUTANT)))
        os.chdir(project)
        sys.dont_write_bytecode = True
        sys.path[:0] = [str(project)]
        import numba
        import pytest

        vars(numba.config)["DISABLE_JIT"] = not compiled
        code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", *arguments])
    finally:
        os._exit(int(code))


def is_killed(mutant: Mutant, tests: Tests, project: Path) -> bool:
    """Whether a test sees a mutant in a copy of the project, which is restored."""
    file = project / mutant.path
    original = file.read_text()
    try:
        file.write_text(mutant.source(original))
        if fails(tests.quick, tests.compiled, project):
            return True
        if not tests.compiled:
            remove_compiled(project)
        return fails(tests.every, True, project)
    finally:
        file.write_text(original)
        if not tests.compiled:
            remove_compiled(project)


def remove_compiled(project: Path) -> None:
    """Remove numba's cache of the modules whose kernels call each other."""
    for file in (project / "ecgcvx" / "certificates").glob("__pycache__/*.nb?"):
        file.unlink()


def import_foundations() -> None:
    """Import what the package and its tests stand on, not the package itself, and make no threads."""
    import hypothesis  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import numba  # noqa: F401
    import pandas  # noqa: F401
    import pytest  # noqa: F401
    import rich  # noqa: F401
    import scipy.optimize  # noqa: F401
    import wfdb  # noqa: F401


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="part of the path of the modules")
    parser.add_argument("--line", nargs="*", help="the mutants of these lines, e.g. ecgcvx/windows.py:32")
    parser.add_argument("--sample", type=int, help="how many mutants, all without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="how many of the sample were done before")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no new mutant after that")
    parser.add_argument("--count", action="store_true", help="only say how many there are")
    options = parser.parse_args()
    todo = chosen(options.only, options.line, options.sample, options.seed)[options.skip :]
    if options.count:
        for path, number in sorted(Counter(mutant.path for mutant, _ in todo).items()):
            print(f"{number:6} {path}")
        return 0
    import_foundations()
    started, verdicts = time.monotonic(), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        ignored = shutil.ignore_patterns(".*", "out", "__pycache__")
        shutil.copytree(ROOT, project, ignore=ignored)
        for tests in dict.fromkeys(tests for _, tests in todo):
            if fails(tests.quick, tests.compiled, project):
                print(f"{' '.join(tests.quick)}: a test fails without any mutant", file=sys.stderr)
                return 1
        for number, (mutant, tests) in enumerate(todo, start=options.skip):
            if time.monotonic() - started > options.seconds:
                break
            verdict = "killed" if is_killed(mutant, tests, project) else "survived"
            verdicts[verdict] += 1
            print(f"{number}: {verdict}: {mutant.path}:{mutant.line}: {mutant.what}", flush=True)
    total = sum(verdicts.values())
    print(f"{total} mutants, {verdicts['killed']} killed ({verdicts['killed'] / max(total, 1):.0%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
