"""Which records a list of names, folders, patterns and list files stands for."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from ecgcvx.errors import InputError

TABLES = (".csv", ".tsv", ".edf", ".bdf", ".parquet", ".npy", ".npz", ".mat")
LISTS = re.compile(r"RECORDS[\w.-]*\Z")  # PhysioNet's name for a list of the records of a folder


def expand_sources(sources: Sequence[str]) -> list[str]:
    """Return the records of some sources, in their order; a name that is none of the others is a record as it stands.

    A folder stands for its WFDB headers, or where it has none for its tables; a pattern (`*`, `?`, `[`) for what it
    matches; a file whose name begins with RECORDS for the names in its lines, relative to its folder. Headers of one
    segment of a record of several are left out.

    Raises InputError for a source without records and for a record that comes twice.
    """
    found: list[str] = []
    for source in sources:
        found += _records_of(source)
    if not found:
        raise InputError("records: the list is empty; name at least one record")
    seen: dict[str, str] = {}
    for name in found:
        key = str(_stem(name).resolve()) if _local(name) else name
        if key in seen:
            raise InputError(f"{name}: given twice (also as {seen[key]}); give every record once")
        seen[key] = name
    return found


def stands_for_several(source: str) -> bool:
    """Whether a source is a folder, a list of records or a pattern, in place of a record."""
    path = Path(source)
    return path.is_dir() or _is_list(path) or _is_pattern(source)


def _is_list(path: Path) -> bool:
    return path.is_file() and LISTS.match(path.name) is not None


def _is_pattern(source: str) -> bool:
    return not _local(source) and glob.has_magic(source)


def _records_of(source: str) -> list[str]:
    path = Path(source)
    if path.is_dir():
        records = _of_folder(path)
        if not records:
            raise InputError(f"{source}: a folder without records (.hea, {', '.join(TABLES)}); name another one")
        return records
    if _is_list(path):
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
        names = [line for line in lines if line and not line.startswith("#")]
        if not names:
            raise InputError(f"{source}: a list without records; write one name a line")
        return [str(path.parent / name) for name in names]
    if _is_pattern(source):
        found = {*glob.glob(source), *glob.glob(f"{source}.hea")}  # records are named without extension
        matches = sorted(match for match in found if Path(match).suffix in (".hea", *TABLES))
        if not matches:
            raise InputError(f"{source}: matches no record (.hea, {', '.join(TABLES)}); check the pattern")
        return [str(_stem(match)) for match in matches]
    return [source]


def _of_folder(folder: Path) -> list[str]:
    headers = sorted(folder.glob("*.hea"))
    parts = {segment for header in headers for segment in _segments(header)}
    if headers:
        return [str(header.with_suffix("")) for header in headers if header.stem not in parts]
    return [str(file) for file in sorted(folder.iterdir()) if file.suffix.lower() in TABLES]


def _segments(header: Path) -> list[str]:
    """Names of the segments of a header of several; none for another header."""
    lines = header.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    if not lines or "/" not in lines[0].split()[0]:
        return []
    return [line.split()[0] for line in lines[1:]]


def _local(name: str) -> bool:
    return Path(name).exists() or Path(f"{name}.hea").exists()


def _stem(name: str) -> Path:
    path = Path(name)
    return path.with_suffix("") if path.suffix == ".hea" else path
