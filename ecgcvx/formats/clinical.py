"""One lead of a file of a clinical device: HL7 aECG, SCP-ECG, DICOM, ISHNE, MFER and others (ecgdatakit reads them)."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx.errors import RecordError
from ecgcvx.formats.leads import choose_lead
from ecgcvx.formats.shared import Reading, check_frequency, reason, sample_range
from ecgcvx.formats.units import ADU, Head


@dataclass(frozen=True, eq=False)
class ClinicalFile:
    """The leads of a file as ecgdatakit gives them, and what it warned of."""

    source: str
    leads: tuple[Any, ...]
    notes: tuple[str, ...]


def open_clinical(path: Path) -> ClinicalFile:
    """Read all leads of a file.

    Raises
    ------
    RecordError
        when ecgdatakit is not installed, or the file is missing, damaged, of another format or without leads.
    """
    source = str(path)
    try:
        from ecgdatakit import FileParser, UnsupportedFormatError
    except ImportError:
        raise RecordError(
            f"{source}: {path.suffix} needs ecgdatakit; pip install 'ecgcvx[ecgdatakit]', or convert it to WFDB, EDF "
            "or CSV"
        ) from None
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            record = FileParser.parse(path)
    except FileNotFoundError:
        raise RecordError(f"{source}: no such file; check the path") from None
    except UnsupportedFormatError:
        raise RecordError(f"{source}: no ECG that ecgdatakit knows; convert it to WFDB, EDF or CSV") from None
    except Exception as error:  # whatever its parsers meet
        raise RecordError(f"{source}: ecgdatakit cannot read it ({reason(error)}); get the file again") from error
    if not record.leads:
        raise RecordError(f"{source}: the file has no leads; give one that has")
    told = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
    return ClinicalFile(source, tuple(record.leads), tuple(told))


def read_clinical(
    file: ClinicalFile, wanted: str | int | None, start: float | None, end: float | None, any_unit: bool
) -> Reading:
    """Read a lead from `start` to `end` seconds.

    Raises
    ------
    RecordError
        when the file lacks the lead or the stretch, or its sampling frequency is that of no ECG.
    """
    heads = [Head(str(lead.label).strip(), ADU if lead.is_raw else str(lead.units)) for lead in file.leads]
    choice = choose_lead(heads, wanted, file.source, any_unit=any_unit)
    lead, head = file.leads[choice.number], heads[choice.number]
    frequency = float(lead.sampling_rate)
    check_frequency(frequency, file.source, "correct its header")
    first, last = sample_range(len(lead.samples), frequency, start, end, file.source)
    samples = np.array(lead.samples[first:last], dtype=np.float64)
    name, notes = head.name or str(choice.number), (*choice.notes, *file.notes)
    return Reading(samples, frequency, name, head.unit, None, choice.others, notes)
