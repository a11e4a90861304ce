"""Text that comes from outside, made fit for a terminal, a log, a figure or a one-line message."""

import unicodedata

LONGEST = 600  # characters of a message
_KEPT = frozenset("\u200c\u200d")  # joiners that some scripts need; they do not touch what stands around them


def clean(text: object, longest: int = LONGEST) -> str:
    """Return `text` as one printable line of at most `longest` characters.

    Whatever could steer a terminal or turn the order of a line becomes visible or goes: line breaks and tabs become
    blanks; other control characters (ESC, NUL, C1), marks that change the direction of writing (U+202E), surrogates and
    unassigned code points become U+FFFD. Markup of any kind is left as it is: escape it where it would be read.
    """
    whole = str(text)
    if len(whole) > longest:  # what is too long loses its middle: a message begins with a name and ends with a cure
        whole = f"{whole[: longest // 2 - 3]} ... {whole[len(whole) - (longest - longest // 2 - 2) :]}"
    return "".join(map(_printable, whole)).strip()


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    return "\ufffd" if unicodedata.category(character)[0] == "C" and character not in _KEPT else character
