"""Records of PhysioNet: downloaded whole, once, into the user's cache directory, and read from there."""

import contextlib
import posixpath
import re
from pathlib import Path

from ecgcvx.errors import RecordError
from ecgcvx.files import atomic_folder
from ecgcvx.formats.shared import reason
from ecgcvx.formats.wfdb_header import check_size, read_header

_NAME = re.compile(
    r"(?P<database>[a-z0-9][a-z0-9-]*)/((?P<version>\d+(\.\d+)+)/)?(?P<folder>(\w[\w.-]*/)*)(?P<record>[-\w]+)",
    re.ASCII,
)


def is_physionet_name(name: str) -> bool:
    """Tell whether `name` has the form database/[version/][folder/]record."""
    return _NAME.fullmatch(name) is not None


def fetch_record(name: str) -> Path:
    """Return the path, without extension, of the cached copy of a PhysioNet record, downloaded when there is none.

    Raises
    ------
    RecordError
        when PhysioNet does not have it or cannot be reached; nothing stays in the cache then.
    """
    import platformdirs

    match = _NAME.fullmatch(name)
    if match is None:
        raise RecordError(f"{name}: not a PhysioNet name; give one like mitdb/100")
    # A name has no +, so no two records share a folder.
    folder = platformdirs.user_cache_path("ecgcvx", appauthor=False) / "physionet" / name.replace("/", "+")
    if not folder.is_dir():
        try:
            atomic_folder(folder, lambda target: _download(match, target))
        except FileNotFoundError as error:
            raise RecordError(f"{name}: neither a local file nor a record of PhysioNet; check the name") from error
        except RecordError as error:
            raise RecordError(f"{name}: PhysioNet sent a damaged record ({error}); try again later") from error
        except Exception as error:  # of the network, the file system, or wfdb when the page of versions has changed
            raise RecordError(
                f"{name}: no such local file, and it cannot be downloaded from PhysioNet ({_cause(error)}); "
                "check the name and the network"
            ) from error
    return folder / match["record"]


def _cause(error: Exception) -> str:
    """A word for the failures of the network, whose own messages run over many lines."""
    return "no connection" if type(error).__name__ == "ConnectionError" else reason(error)


def _download(match: re.Match[str], folder: Path) -> None:
    """Put the header, all segments, all signal files and, where there is one, the annotation into `folder`."""
    from wfdb.io import download  # slow to import, so only when there is something to fetch

    version = match["version"] or download.get_version(match["database"])
    address = posixpath.join(download.config.db_index_url, match["database"], version, match["folder"])

    def fetch(file: str) -> None:
        download.dl_full_file(posixpath.join(address, file), str(folder / file))

    record = match["record"]
    fetch(f"{record}.hea")
    names = [segment for segment, _ in read_header(folder / record).segments if segment != "~"]
    for name in dict.fromkeys(names):
        fetch(f"{name}.hea")
    for name in dict.fromkeys(names or [record]):
        header = read_header(folder / name)
        for file in header.files:
            if not (folder / file).exists():
                fetch(file)
            check_size(header, file)
    with contextlib.suppress(FileNotFoundError):
        fetch(f"{record}.atr")
