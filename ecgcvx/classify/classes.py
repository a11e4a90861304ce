"""The classes of heart beats that ANSI/AAMI EC57 groups the annotations of WFDB into."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError

SYMBOLS = {
    "N": "NLRBej",  # normal, bundle branch block, atrial and nodal escape beats
    "S": "AaJSn",  # supraventricular premature and escape beats
    "V": "VEr",  # ventricular premature and escape beats
    "F": "F",  # fusion of a ventricular and a normal beat
    "Q": "/fQ",  # paced, fusion of a paced and a normal beat, unclassifiable
}
"""The WFDB symbols of each class."""
NAMES = {"N": "normal", "S": "supraventricular", "V": "ventricular", "F": "fusion"}
UNKNOWN = "Q"
PACED = "/f"
_CLASS_OF = {symbol: name for name, symbols in SYMBOLS.items() for symbol in symbols}


def class_of(symbols: Sequence[str]) -> NDArray[np.str_]:
    """Return the class (n,) of every WFDB symbol, '' of one that says none, such as the '?' of a detector."""
    return np.array([_CLASS_OF.get(symbol, "") for symbol in symbols], dtype="<U1")


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return classes as a tuple; InputError unless they are two or more different ones of N, S, V, F."""
    found = tuple(classes)
    if len(found) < 2 or len(set(found)) < len(found) or not set(found) <= set(NAMES):
        raise InputError(
            f"classes = {','.join(found)}: give two or more of {', '.join(NAMES)}, the usual beat first, e.g. N,V"
        )
    return found
