"""Units of voltage and time as people write them, alone or in the name of a column."""

import re
from dataclasses import dataclass

ADU = "adu"  # ADC units: counts, no voltage

# How many of a unit make a mV, under its plain spelling.
VOLTAGES = {"V": 1e-3, "mV": 1.0, "uV": 1e3, "nV": 1e6}
_VOLTAGE = {
    "V": ("v", "volt", "volts"),
    "mV": ("mv", "millivolt", "millivolts", "milli-volt", "milli-volts", "milli volt", "milli volts", "mvolt"),
    "uV": (
        "uv", "microvolt", "microvolts", "micro-volt", "micro-volts", "micro volt", "micro volts", "uvolt", "uvolts",
        "mcv",
    ),
    "nV": ("nv", "nanovolt", "nanovolts"),
    ADU: (
        "adu", "adus", "adc", "adc units", "adc unit", "adc counts", "adc count", "adc value", "count", "counts",
        "raw counts", "lsb", "digit", "digits", "digital", "digital units", "bit", "bits",
    ),
}  # fmt: skip
_TIME = {
    1.0: ("s", "sec", "secs", "second", "seconds"),
    1e-3: ("ms", "msec", "msecs", "millis", "millisec", "millisecs", "millisecond", "milliseconds"),
    1e-6: ("us", "usec", "usecs", "micros", "microsec", "microsecs", "microsecond", "microseconds"),
    1e-9: ("ns", "nsec", "nsecs", "nanos", "nanosec", "nanosecs", "nanosecond", "nanoseconds"),
    60.0: ("min", "mins", "minute", "minutes"),
    3600.0: ("h", "hr", "hrs", "hour", "hours"),
}
_CLOCK = re.compile(
    r"\[?([dmy./-]+[t ]?)?(h{1,2}:)?m{1,2}:s{1,2}([.,:][msf0]+)?( [dmy./-]+)?\]?|iso[ -]?8601|utc|date[ -]?time"
)
_VOLTAGE_OF = {spelling: unit for unit, spellings in _VOLTAGE.items() for spelling in spellings}
_TIME_OF = {spelling: unit for unit, spellings in _TIME.items() for spelling in spellings}


def plain_unit(unit: str) -> str | None:
    """Return V, mV, uV, nV or adu for any usual spelling of it; None when `unit` is none of them."""
    return _VOLTAGE_OF.get(_fold(unit))


def per_millivolt(unit: str) -> float | None:
    """Return how many units make a mV; None when `unit` is not a voltage."""
    return VOLTAGES.get(plain_unit(unit) or "")


def seconds_per(unit: str) -> float | None:
    """Return the length in s of a unit of time, 0.0 for a form of clock times such as hh:mm:ss; None for no time."""
    folded = _fold(unit)
    if _CLOCK.fullmatch(folded):
        return 0.0
    return _TIME_OF.get(folded)


def _fold(unit: str) -> str:
    text = unit.strip(" '\"\t").replace("µ", "u").replace("μ", "u").lower().replace("_", " ")
    return " ".join(text.split())


@dataclass(frozen=True)
class Head:
    """Name and unit of a column as its file has them, "" where there is none."""

    name: str
    unit: str


_BRACKETS = re.compile(r"(?P<name>.*?)[\s_,;:/-]*[(\[{<](?P<unit>[^()\[\]{}<>]*)[)\]}>]\s*")
_AFTER = re.compile(
    r"(?P<name>.*?)(?P<mark>\s*[,;:/|]\s*|[\s_.-]+)(in[\s_]+)?"
    r"(?P<unit>(?:(?:milli|micro|nano|adc|raw|digital)[\s_-])?[^\s,;:/|_.-]+)",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"(?P<unit>[^\s,;:/|_.()\[\]{}<>-]+)[\s,;:/|_.-]+(?P<name>.+)")
_GLUED = re.compile(r"(?P<name>.+?)(?P<unit>[munµμ]V|(?:Milli|Micro)?[vV]olts?|Ms|Us|Ns|Sec(?:onds)?|Millis)")


def read_head(cell: str) -> Head:
    """Split what stands over a column: `ECG (uV)`, `ECG [uV]`, `ECG_uV`, `ECG, uV`, `uV`, `time_ms`, `Time (s)`, `II`.

    What stands in brackets is a unit whatever it says, so that one which is not understood is refused by name; behind
    a blank, underscore or comma only a known unit is one. V alone, or after a blank, underscore or point, is the chest
    lead of monitors, not a unit.
    """
    text = " ".join(cell.strip(" '\"\t").split())
    if match := _BRACKETS.fullmatch(text):
        name, inside = match["name"].strip(), re.sub(r"^in\s+", "", match["unit"].strip(), flags=re.IGNORECASE)
        if not inside or (is_ecg_name(inside) and not plain_unit(inside)):
            return Head(f"{name} {inside}".strip(), "")  # a lead, as in `ECG (II)`
        return Head(name, inside)
    if seconds_per(text) is not None and text.lower() not in ("h", "min"):
        return Head(text, text)
    if text.casefold() != "v" and plain_unit(text):
        return Head("", text)
    if (match := _AFTER.fullmatch(text)) and _is_unit_of(match["name"], match["unit"], match["mark"]):
        return Head(match["name"].strip(), match["unit"])
    if (match := _BEFORE.fullmatch(text)) and plain_unit(match["unit"]) in ("mV", "uV", "nV"):
        return Head(match["name"].strip(), match["unit"])
    if (match := _GLUED.fullmatch(text)) and _is_unit_of(match["name"], match["unit"], "/"):
        return Head(match["name"], match["unit"])
    return Head(text, "")


def _is_unit_of(name: str, unit: str, mark: str) -> bool:
    if is_time(Head(name, "")):
        return seconds_per(unit) is not None
    # `ECG V` is a lead, `ECG/V` and `ECG, V` are in volts.
    return plain_unit(unit) is not None and (unit.casefold() != "v" or mark.strip() not in ("", "_", ".", "-"))


# ECG leads in PhysioNet's databases and in clinical use: limb, augmented, chest, bipolar monitor and Holter leads.
_ECG_NAME = re.compile(
    r"(ecg|ekg).*"
    r"|(lead[ _-]?)?((ml|d)?i{1,3}|(ml|d)[1-6]|-?(mod\.?)?a?v[rlf]|(mod\.?|m)?v([1-9]r?|[xyz])?(-v[1-9])?)"
    r"|mcl[1-6]?|c[mcsb][1-6]|a-s|a-i|e-s",
    re.IGNORECASE,
)


def is_ecg_name(name: str) -> bool:
    """Tell whether `name` is that of an ECG lead."""
    return _ECG_NAME.fullmatch(name) is not None


# Names that say no more than "the signal": they stand for the ECG where no other column does.
_GENERIC_NAME = re.compile(
    r"(raw|filtered|clean(ed)?)?[ _-]*(signal|values?|voltages?|amplitudes?|data|samples?[ _-]values?|potential|"
    r"(ch(an(nel)?)?|lead|sensor|col(umn)?|analog(in)?|v(ar)?)[ _.-]*\d*|[ay]\d*|\d+)?[ _-]*(raw|filtered)?",
    re.IGNORECASE,
)


def is_generic_name(name: str) -> bool:
    """Tell whether `name` is empty or says nothing beyond that it is a signal."""
    return _GENERIC_NAME.fullmatch(name) is not None


_TIME_WORDS = frozenset(
    [
        "time",
        "times",
        "timestamp",
        "timestamps",
        "datetime",
        "elapsed",
        "clock",
        "epoch",
        "unixtime",
        "zeit",
        "temps",
        "tiempo",
        "tempo",
        "hora",
        "date",
    ]
)
_COUNTER = re.compile(
    r"(#|no\.?|nr\.?|idx|index|row|sample|samples|counter|seq|sequence|frame|packet|unnamed: ?0)"
    r"([ _.-]*(#|no\.?|nr\.?|number|num|index|idx|id|counter))?",
    re.IGNORECASE,
)


def is_time(head: Head) -> bool:
    """Tell whether a column holds times: `time`, `timestamp(s)`, `Elapsed time`, `time_ms`, `t`, `seconds`, ..."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", head.name)
    words = re.split(r"[\s_.,:/-]+", split.lower())
    if plain_unit(head.unit):
        return False
    alone = head.name in ("", head.unit) and seconds_per(head.unit) is not None
    return alone or head.name.lower() in ("t", "ts") or any(word in _TIME_WORDS for word in words)


def is_counter(head: Head) -> bool:
    """Tell whether a column is named as one of sample numbers: `sample`, `sample #`, `index`, ..."""
    return not head.unit and _COUNTER.fullmatch(head.name) is not None
