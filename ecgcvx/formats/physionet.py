"""Records of PhysioNet: downloaded whole, once, into the user's cache directory, and read from there."""

import contextlib
import posixpath
import re
import time
from pathlib import Path

from ecgcvx.errors import RecordError
from ecgcvx.files import atomic_folder
from ecgcvx.formats.shared import reason
from ecgcvx.formats.wfdb_header import LARGEST as LARGEST_HEADER
from ecgcvx.formats.wfdb_header import check_size, read_header, signal_bytes
from ecgcvx.formats.wfdb_record import check_samples

FILES, PAGES = "https://physionet.org/files/", "https://physionet.org/content/"
CONNECT, READ = 10.0, 30.0  # s without a connection, without a byte
PATIENCE, SLOWEST = 60.0, 10_000.0  # s, and bytes a second beyond them: a slower download ends
LARGEST_PAGE, LARGEST_ANNOTATION, LARGEST_SIGNAL = 1 << 22, 1 << 26, 1 << 33  # bytes
CHUNK = 1 << 16

_NAME = re.compile(
    r"(?P<database>[a-z0-9][a-z0-9-]{0,60})/((?P<version>\d{1,6}(\.\d{1,6}){1,4})/)?(?P<folder>(\w[\w.-]{0,60}/){0,8})"
    r"(?P<record>[-\w]{1,60})",
    re.ASCII,
)
LONGEST = 200  # of a name, which becomes that of a folder


def is_physionet_name(name: str) -> bool:
    """Tell whether `name` has the form database/[version/][folder/]record."""
    return len(name) <= LONGEST and _NAME.fullmatch(name) is not None


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
            raise RecordError(
                f"{name}: PhysioNet sent a damaged record ({error}); try again later, or fetch its files yourself"
            ) from error
        except Exception as error:  # of the network, the file system, or a page of versions that has changed
            raise RecordError(
                f"{name}: no such local file, and it cannot be downloaded from PhysioNet ({_cause(error)}); "
                "check the name and the network"
            ) from error
    return folder / match["record"]


def _cause(error: Exception) -> str:
    """A word for the failures of the network, whose own messages run over many lines."""
    name = type(error).__name__
    if "Timeout" in name:
        return "no answer"
    return "no connection" if name in ("ConnectionError", "SSLError", "ProxyError") else reason(error)


def _download(match: re.Match[str], folder: Path) -> None:
    """Put the header, all segments, all signal files and, where there is one, the annotation into `folder`."""
    version = match["version"] or _latest_version(match["database"])
    address = posixpath.join(FILES, match["database"], version, match["folder"])

    def fetch(file: str, largest: int) -> None:
        (folder / file).write_bytes(_get(posixpath.join(address, file), largest, page=False))

    record = match["record"]
    fetch(f"{record}.hea", LARGEST_HEADER)
    names = [segment for segment, _ in read_header(folder / record).segments if segment != "~"]
    for name in dict.fromkeys(names):
        fetch(f"{name}.hea", LARGEST_HEADER)
    for name in dict.fromkeys(names or [record]):
        header = read_header(folder / name)
        for file in header.files:
            if not (folder / file).exists():
                # The header bounds what its files can hold; a FLAC file is shorter than its samples.
                known = signal_bytes(header, file) if header.frames else None
                fetch(file, LARGEST_SIGNAL if known is None else known + CHUNK)
            check_size(header, file)
        check_samples(header)
    with contextlib.suppress(FileNotFoundError):
        fetch(f"{record}.atr", LARGEST_ANNOTATION)


def _latest_version(database: str) -> str:
    page = _get(posixpath.join(PAGES, database) + "/", LARGEST_PAGE, page=True).decode("utf-8", "replace")
    found = re.search(r"Version:\s*(\d{1,6}(\.\d{1,6}){1,4})", page)
    if found is None:
        raise ValueError(f"no version on the page of {database}")
    return found[1]


def _get(address: str, largest: int, page: bool) -> bytes:
    """Return a file of at most `largest` bytes.

    FileNotFoundError when the server does not have it; RecordError when it sends less than it announces, more than
    `largest`, a page in place of a file, or compressed data; the exceptions of `requests` and TimeoutError otherwise.
    """
    import requests  # slow to import, so only when there is something to fetch

    headers = {"Accept-Encoding": "identity"}  # what comes is what it is: nothing can unfold
    begun = time.monotonic()
    name = posixpath.basename(address.rstrip("/"))
    with requests.get(address, headers=headers, stream=True, timeout=(CONNECT, READ)) as response:
        if response.status_code == 404:
            raise FileNotFoundError(address)
        response.raise_for_status()
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise RecordError(f"{name}: compressed, though that was not asked for")
        if not page and response.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise RecordError(f"{name}: a web page in place of the file")
        content = bytearray()
        for data in response.iter_content(CHUNK):
            content += data
            if len(content) > largest:
                raise RecordError(f"{name}: longer than {largest:,} bytes")
            if time.monotonic() - begun > PATIENCE + len(content) / SLOWEST:
                raise TimeoutError(f"{name}: too slow")
        announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) != len(content):
        raise RecordError(f"{name}: cut short, {len(content)} of {announced} bytes")
    if not page and content[:512].lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise RecordError(f"{name}: a web page in place of the file")
    return bytes(content)
