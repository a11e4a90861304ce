"""Text files as blocks of whole lines in UTF-8, whatever their encoding and line ends; what is no text is refused."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecgcvx.errors import RecordError

BLOCK = 1 << 22  # bytes
LONGEST_LINE = 1 << 26  # bytes
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"),
)  # fmt: skip
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive or Excel workbook; save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook; save it as CSV"),
    (b"\x1f\x8b", "compressed with gzip; decompress it"),
    (b"\x89HDF", "an HDF5 file; save it as CSV"),
    (b"%PDF", "a PDF; give the samples as a table"),
)
_CONTROL = bytes([*range(9), *range(14, 32), 127])
_BLANK = re.compile(rb"(?m)^[ \t]*\n")
_PAIR = re.compile(rb"[^\s]\n[ \t]*\n")
_BREAK = re.compile(rb"\r*\n|\r")


@dataclass(frozen=True)
class TextFile:
    """A text file: its encoding, its lines, and whether every second of them is blank (and left out)."""

    path: Path
    encoding: str
    lines: int
    spaced: bool

    @property
    def step(self) -> int:
        """Lines from a row to the next."""
        return 2 if self.spaced else 1

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number of the first line, from 1; whole lines in UTF-8, each ended by a single \\n)."""
        line = 1
        rest = b""
        for data in _decoded(self.path, self.encoding):
            text = rest + data
            cut = text.rfind(b"\n") + 1
            block, rest = text[:cut], text[cut:]
            if block:
                count = block.count(b"\n")
                yield line, block
                line += count
            elif len(rest) > LONGEST_LINE:
                raise RecordError(f"{self.path}: line {line} is longer than {LONGEST_LINE:,} bytes; not a table")
        if rest.strip():
            yield line, rest + b"\n"

    def head(self, size: int) -> list[str]:
        """Lines of the first blocks, `size` characters or more where there are as many, none of them cut."""
        lines: list[str] = []
        total = 0
        for _, block in self.blocks():
            lines += block.decode("utf-8").split("\n")[:-1]
            total += len(block)
            if total >= size:
                break
        return lines


def open_text(path: Path) -> TextFile:
    """Look through a file once: encoding, number of lines, blank lines.

    Raises
    ------
    RecordError
        when it is missing, empty or no text.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    except ValueError as error:  # a NUL in the name
        raise RecordError(f"{path}: cannot be read ({error}); check the path") from error
    for magic, cure in _FOREIGN:
        if start.startswith(magic):
            raise RecordError(f"{path}: not a text table but {cure}")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise RecordError(f"{path}: not a text table but a page of HTML or XML; give a CSV file")
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), None) or _without_mark(start)
    known = encoding
    if encoding is None:
        encoding = "utf-8" if _is_utf8(path) else "latin-1"
    text = TextFile(path, encoding, 0, False)
    lines = blank = pairs = 0
    last = b"\n"
    any_text = False
    for number, block in text.blocks():
        if len(block.translate(None, _CONTROL)) != len(block):
            place = next(at for at, byte in enumerate(block) if byte in _CONTROL)
            line = number + block.count(b"\n", 0, place)
            raise RecordError(
                f"{path}: not a text table, line {line} has the byte 0x{block[place]:02x}"
                + (f" (read as {known.upper()})" if known else "")
                + "; give a CSV file"
            )
        any_text = any_text or bool(block.strip())
        lines += block.count(b"\n")
        if block[:1] in b"\n \t" or any(mark in block for mark in (b"\n\n", b"\n ", b"\n\t")):
            blank += len(_BLANK.findall(block))
            pairs += len(_PAIR.findall(last + block))
        last = block[-2:]
    if not any_text:
        raise RecordError(f"{path}: the file is empty; give one with samples")
    spaced = lines >= 6 and blank >= lines // 2 - 1 and pairs >= blank - 1
    return TextFile(path, encoding, lines, spaced)


def _without_mark(start: bytes) -> str | None:
    """UTF-16 without its mark, as every other byte of plain text is 0."""
    even, odd = start[0::2], start[1::2]
    if len(start) >= 8 and odd.count(0) >= 0.9 * len(odd) and even.count(0) == 0:
        return "utf-16-le"
    if len(start) >= 8 and even.count(0) >= 0.9 * len(even) and odd.count(0) == 0:
        return "utf-16-be"
    return None


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with open(path, "rb") as file:
            while data := file.read(BLOCK):
                if not data.isascii() or decoder.getstate()[0]:
                    decoder.decode(data)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _decoded(path: Path, encoding: str) -> Iterator[bytes]:
    """Blocks in UTF-8 with \\n between lines."""
    decoder = codecs.getincrementaldecoder(encoding)()
    plain = encoding == "utf-8"
    try:
        with open(path, "rb") as file:
            held = b""  # carriage returns at the end of a block belong to what follows
            while data := file.read(BLOCK):
                data = held + (data if plain else decoder.decode(data).encode("utf-8"))
                text = data.rstrip(b"\r")
                held = data[len(text) :]
                yield _BREAK.sub(b"\n", text) if b"\r" in text else text
            tail = held + (b"" if plain else decoder.decode(b"", final=True).encode("utf-8"))
            yield _BREAK.sub(b"\n", tail)
    except UnicodeError as error:
        raise RecordError(f"{path}: not text in {encoding.upper()} ({error}); save it as UTF-8") from error
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}); check the file") from error
