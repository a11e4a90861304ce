"""The choice of a lead among those that a file has."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgcvx.errors import RecordError
from ecgcvx.formats.units import ADU, Head, is_ecg_name, is_generic_name, plain_unit

SHOWN = 12  # leads in a message


@dataclass(frozen=True)
class Choice:
    """Number of a lead, the numbers of the other ECG leads when it was taken by default, and what to say of it."""

    number: int
    others: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def list_leads(leads: Sequence[Head]) -> str:
    """Return the numbers, names and units of leads as a part of a line."""
    shown = [
        f"{number}: {lead.name[:40] or 'unnamed'}{f' ({lead.unit[:20]})' if lead.unit else ''}"
        for number, lead in enumerate(leads[:SHOWN])
    ]
    more = [f"and {len(leads) - SHOWN} more"] if len(leads) > SHOWN else []
    return ", ".join(shown + more)


def choose_lead(leads: Sequence[Head], wanted: str | int | None, source: str, *, any_unit: bool = False) -> Choice:
    """Return the lead asked for, or the first ECG lead, or, where no name is that of a lead, the only signal there is.

    any_unit : the caller gives the unit, so that one which is not understood is no obstacle.

    Raises
    ------
    RecordError
        when there is no such lead, or its unit is not a voltage.
    """
    if wanted is None:
        return _default(leads, source, any_unit)
    names = [lead.name.casefold() for lead in leads]
    label = str(wanted).strip().casefold()
    notes: tuple[str, ...] = ()
    signals = _generic(leads, any_unit)
    if isinstance(wanted, str) and label and label in names:
        number = names.index(label)
    elif label.isascii() and label.isdecimal() and len(label) < 9 and int(label) < len(leads):
        number = int(label)
    elif is_ecg_name(label) and len(signals) == 1 and not any(is_ecg_name(lead.name) for lead in leads):
        number = signals[0]
        notes = (f"no lead is named {wanted}; the only signal ({list_leads([leads[number]])[3:]}) was taken for it",)
    else:
        raise RecordError(f"{source}: no lead {str(wanted)[:40]!r}; there are {list_leads(leads)}")
    if not _readable(leads[number], any_unit):
        raise RecordError(f"{source}: {unknown_unit(leads[number], number)}, or choose another of {list_leads(leads)}")
    return Choice(number, notes=notes)


def unknown_unit(lead: Head, number: int) -> str:
    """Return a part of a line that refuses a lead for its unit."""
    return f"lead {lead.name or number} is in {lead.unit}, which is not a voltage; give its unit as mV, uV, V or adu"


def _default(leads: Sequence[Head], source: str, any_unit: bool) -> Choice:
    known = [number for number, lead in enumerate(leads) if is_ecg_name(lead.name)]
    found = [number for number in known if _readable(leads[number], any_unit)]
    # Counts only where no lead is in volts.
    found.sort(key=lambda number: plain_unit(leads[number].unit) == ADU)
    if found:
        return Choice(found[0], tuple(found[1:]))
    # A file with a single signal that has no lead's name leaves no doubt which one is meant.
    generic = _generic(leads, any_unit)
    if len(generic) == 1 and not known:
        return Choice(generic[0])
    if len(known) == 1:
        raise RecordError(f"{source}: {unknown_unit(leads[known[0]], known[0])}; no ECG lead among {list_leads(leads)}")
    raise RecordError(f"{source}: no ECG lead among {list_leads(leads)}; name the one to use with lead")


def _generic(leads: Sequence[Head], any_unit: bool) -> list[int]:
    return [n for n, lead in enumerate(leads) if is_generic_name(lead.name) and _readable(lead, any_unit)]


def _readable(lead: Head, any_unit: bool) -> bool:
    return any_unit or not lead.unit or plain_unit(lead.unit) is not None
