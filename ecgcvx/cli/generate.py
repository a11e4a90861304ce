"""`ecgcvx generate`: beats like those of a record."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ecgcvx.cli.arguments import add_output, add_record, read_record
from ecgcvx.cli.terminal import progress_bar, show

if TYPE_CHECKING:
    from ecgcvx.gan.generate import Generated

DESCRIPTION = """\
Generate beats like those of a record: a Wasserstein GAN with a quadratic discriminator, solved and not played.

The beats of a class, cut out round their R peaks, have second moments that the discriminator compares; a generator
with these moments solves the game in closed form (--kind linear: Gaussian beats). Among all generators with these
moments 'relu' and 'progressive' choose one whose beats are distributed like the record's: ReLU networks that are convex
programs with a duality gap, one for all leading scores, or stage by stage from an eighth of the resolution up.

R peaks and classes are those of the annotation file; without one a detector finds the peaks, all of class '?'. Several
classes get a generator each, for N and V in one would make beats that do not exist; --mixed puts them together all the
same. 60 % of the beats are for the generator, the others for the comparison: a classifier's two-sample AUC (0.5: it
cannot tell, needs scikit-learn), the distance to the nearest training beat, MMD, the error of the moments.

The folder gets, for each class, NAME_CLASS_synthetic_beats (one beat after the other), NAME_CLASS_synthetic_strip (a
running strip), both WFDB records whose headers say that they are synthetic, a figure, and metrics.json. Ctrl-C keeps
the classes that are done."""
EXAMPLES = """\
examples:
  ecgcvx generate mitdb/119 --class N V --count 1000 --seed 1
  ecgcvx generate mitdb/208 --class V --leads MLII V1 --rr
  ecgcvx generate data/mitdb208/208 --class '?' --kind linear --count 100"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_record(parser)
    group = parser.add_argument_group("beats")
    group.add_argument("--leads", nargs="+", metavar="LEAD", help="several leads, generated together (not with --lead)")
    group.add_argument(
        "--class", dest="classes", nargs="+", required=True, metavar="C", help="WFDB symbols of beats, e.g. N V; '?'"
    )
    group.add_argument("--mixed", action="store_true", help="one generator for all classes")
    group.add_argument("--before", type=float, default=0.2222, metavar="S", help="seconds before R (default 0.2222)")
    group.add_argument("--after", type=float, default=0.3333, metavar="S", help="seconds after R (default 0.3333)")
    group.add_argument("--rr", action="store_true", help="generate the RR interval before a beat together with it")
    group = parser.add_argument_group("generator")
    group.add_argument(
        "--kind", choices=("progressive", "relu", "linear"), default="progressive",
        help="ReLU stages of growing resolution (default), one ReLU stage, or the closed form",
    )  # fmt: skip
    group.add_argument("--beta-d", type=float, default=0.0, metavar="B", help="of the discriminator, mV^2 (default 0)")
    group.add_argument("--rank", type=int, metavar="R", help="of the generator's moments, in place of --beta-d")
    group.add_argument("--count", type=int, default=1000, metavar="N", help="beats of each class (default 1000)")
    group.add_argument("--seed", type=int, default=0, help="of the split, the latents and the search (default 0)")
    add_output(parser, "out/NAME-generated")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from ecgcvx.errors import InputError
    from ecgcvx.files import check_folder
    from ecgcvx.gan.aligned import aligned_beats
    from ecgcvx.gan.generate import generate, metrics, write_generated
    from ecgcvx.interruption import keeping, wanted

    if options.lead is not None and options.leads:
        raise InputError(f"lead = {options.lead}: --leads names the leads already; give one of them")
    recordings = [read_record(options, lead=lead) for lead in options.leads or [None]]
    beats = aligned_beats(recordings, options.before, options.after)
    folder = options.output or Path("out") / f"{Path(beats.name).name}-generated"
    check_folder(folder)
    with keeping():
        with progress_bar() as progress:
            found = generate(
                beats, options.classes, options.count, kind=options.kind, seed=options.seed, mixed=options.mixed,
                joint_rr=options.rr, beta_d=options.beta_d, rank=options.rank, progress=progress,
            )  # fmt: skip
            files = write_generated(found, folder, options.seed)
        if options.json:
            print(json.dumps([metrics(one) for one in found], allow_nan=False))
            return 0
        show(f"{beats.name}, {'leads' if len(beats.leads) > 1 else 'lead'} {', '.join(beats.leads)}: {beats.counts}")
        for one in found:
            show(_summary(one))
        if wanted() and len(found) < (1 if options.mixed else len(set(options.classes))):
            show(f"interrupted: {', '.join(one.classes for one in found)} done, of {', '.join(options.classes)}")
        show(f"wrote {', '.join(file.name for file in files if file.suffix in ('.hea', '.png', '.json'))} in {folder}")
        return 0


def _summary(one: "Generated") -> str:
    ours, theirs = one.measures["generated"], one.measures["reference"]
    gaps = [stage.gap for stage in one.generator.stages]
    stages = f"{len(gaps)} convex programs, gaps at most {max(gaps):.2f} (searched)" if gaps else "closed form"
    lines = [f"\nclass {one.classes}: {len(one.X)} beats generated from {one.training}; {stages}"]
    for name, words in (
        ("two_sample_auc", "two-sample AUC against held-out beats (training beats)"),
        ("nearest", "distance to the nearest training beat (held-out beats)"),
        ("mmd", "MMD^2 against held-out beats (training beats)"),
        ("moment_error", "error of the moments (held-out beats)"),
    ):
        if ours[name] is None:
            lines.append(f"  {words}: needs scikit-learn")
        else:
            lines.append(f"  {words}: {ours[name]:.3g} ({theirs[name]:.3g})")
    return "\n".join(lines)
