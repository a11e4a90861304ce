"""`ecgcvx denoise`: noise taken off the beats of a record."""

import argparse
import json
from pathlib import Path

from ecgcvx.cli.arguments import add_output, add_record, read_record
from ecgcvx.cli.terminal import show

DESCRIPTION = """\
Take white noise off the beats of a record: each beat is replaced by its expectation given the noisy one, by the second
moments of the record's own beats (those the GAN's quadratic discriminator compares), class by class. Baseline below
0.5 Hz, gaps, and what lies between beats stay as they are.

Noise that repeats with the beats is part of their moments and stays; a beat unlike all others of its class is drawn
towards them, so look at rare beats in the original. The result is a WFDB record NAME_denoised with the R peaks used."""
EXAMPLES = """\
examples:
  ecgcvx denoise mitdb/100
  ecgcvx denoise noisy.csv --sampling-frequency 250 --noise 0.1 --output out"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_record(parser)
    parser.add_argument("--noise", type=float, metavar="MV", help="rms of the noise (default: as the moments show)")
    add_output(parser, "out/NAME-denoised")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    import numpy as np

    from ecgcvx.files import write_files
    from ecgcvx.gan.denoise import denoise_recording
    from ecgcvx.gan.records import write_record

    recording = read_record(options)
    found = denoise_recording(recording, options.noise)
    name = Path(recording.name).name
    folder = options.output or Path("out") / f"{name}-denoised"
    rate, unit = recording.sampling_frequency, recording.unit
    comment = (
        f"Denoised beats of record {recording.name}, lead {recording.lead}: {found.noise:.4g} {unit} rms taken off."
    )
    made = write_files(
        folder,
        lambda scratch: write_record(
            scratch, f"{name}_denoised", found.signal[:, None], rate, (recording.lead,), unit, [comment], found.peaks,
            found.symbols,
        ),
    )  # fmt: skip
    files = [folder / file.name for file in made]
    change = float(np.sqrt(np.nanmean((found.signal - recording.signal) ** 2)))
    facts = {
        "record": recording.name, "lead": recording.lead, "unit": unit, "noise": found.noise, "beats": len(found.peaks),
        "covered": found.covered, "rms_change": change, "files": [str(file) for file in files],
    }  # fmt: skip
    if options.json:
        print(json.dumps(facts, allow_nan=False))
        return 0
    show(
        f"{recording.name}, lead {recording.lead}: {len(found.peaks)} beats, {100 * found.covered:.0f} % of samples; "
        f"noise {found.noise:.4g} {unit} rms, changed by {change:.4g} {unit} rms\nwrote {files[-1]}"
    )
    return 0
