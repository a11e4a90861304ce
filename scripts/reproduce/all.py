"""Run all scripts of this folder and make one page of what they found.

Writes index.html, all pictures and one JSON file a script to the output folder; exits with status 1 if a claim does not
hold or a script fails. `--docs FOLDER` also writes lecture.md, lecture/*.md and their pictures there, as the
documentation has them.

Usage: python scripts/reproduce/all.py [--output out/lecture] [--mitdb FOLDER] [--cifar FOLDER] [--docs docs]
"""

import argparse
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from _page import DEFAULT_OUTPUT, Record, docs_pages, index_html, read_record
from ecgcvx.cores import usable_cores
from ecgcvx.files import atomic_write

SCRIPTS: dict[str, tuple[str, ...]] = {
    "arrangements": (),
    "arrangement_counts": (),
    "linear_penalties": (),
    "group_lasso": (),
    "toy_race": (),
    "images": ("cifar",),
    "regularisation_path": (),
    "quadratic_network": (),
    "polynomial_network": (),
    "duality": (),
    "scaling_and_bidual": (),
    "ecg_prediction": ("mitdb",),
    "ecg_forecasts": (),
    "ecg_interpretation": (),
    "batch_norm": (),
    "convolution": (),
    "three_layer": (),
    "beat_generator": ("mitdb",),
    "progressive_generator": ("mitdb",),
    "optimisers": (),
    "consensus_admm": (),
    "all_networks": (),
}
"""Scripts in the order of the page, with those of the options below that they take."""

INTRODUCTION = """Each numerical slide of the lecture on convex training of neural networks is a script in
`scripts/reproduce`: it draws the slide's figure, measures what the slide claims, and fails if the claim does not hold.
`make reproduce` runs them all and writes the same as a page, `out/lecture/index.html`. Where a slide is printed
differently from what holds, the verdict says what has to be corrected. Numbers are those of the run that made the
figures; seconds are processor time of one thread.

Two things need files that are not shipped: `--mitdb FOLDER` (`make reproduce MITDB=FOLDER`) adds record 100 and the
ventricular beats, `--cifar FOLDER` (`CIFAR=FOLDER`) CIFAR's own images. The slide of generated faces is a script of its
own, as it takes a folder of images: `python scripts/reproduce/faces.py FOLDER`."""


def main() -> None:
    """Run the scripts, as many at once as there are cores, and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help=f"folder (default {DEFAULT_OUTPUT})")
    parser.add_argument("--reduced", action="store_true", help="smaller problems, for tests")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, help="run these alone; the page keeps what is there")
    parser.add_argument("--mitdb", type=Path, help="your copy of the MIT-BIH Arrhythmia Database, for record 100")
    parser.add_argument("--cifar", type=Path, help="a folder of CIFAR's binary files")
    parser.add_argument("--docs", type=Path, help="folder in which to write lecture.md and lecture/*")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    chosen = arguments.only or list(SCRIPTS)
    with ThreadPoolExecutor(usable_cores()) as pool:
        running = {pool.submit(_run, script, arguments): script for script in chosen}
        for done in as_completed(running):
            print(f"{running[done]}: {done.result()}", flush=True)
    records = [read_record(path) for script in SCRIPTS if (path := arguments.output / f"{script}.json").exists()]
    page = arguments.output / "index.html"
    atomic_write(page, lambda file: file.write(index_html(records).encode()))
    print(page)
    if arguments.docs:
        write_docs(records, arguments.output, arguments.docs)
    bad = [record.script for record in records if record.verdict == "does not hold"]
    missing = [script for script in chosen if script not in {record.script for record in records}]
    if bad or missing:
        sys.exit(f"does not hold, or failed: {', '.join(bad + missing)}")


def write_docs(records: list[Record], output: Path, docs: Path) -> None:
    """Write lecture.md, its pages, the pictures that they show and no others, into the documentation."""
    pictures = docs / "lecture"
    pictures.mkdir(parents=True, exist_ok=True)
    names = {name for record in records for name, _ in record.pictures}
    for name in names:
        shutil.copyfile(output / name, pictures / name)
    left = [f"`{script}.py`" for script in SCRIPTS if script not in {record.script for record in records}]
    note = f"\n\n`make reproduce` also runs {', '.join(left)}, which were not run for this page." if left else ""
    pages = docs_pages(records, INTRODUCTION + note)
    for name, text in pages.items():
        (docs / name).write_text(text, encoding="utf-8")
    kept = {docs / name for name in pages} | {pictures / name for name in names}
    for stale in set(pictures.iterdir()) - kept:
        stale.unlink()


def _run(script: str, arguments: argparse.Namespace) -> str:
    """Run one script in a process of its own; what it printed goes to a file. Return one line on how it went."""
    command = [sys.executable, str(Path(__file__).with_name(f"{script}.py")), "--output", str(arguments.output)]
    command += ["--reduced"] * arguments.reduced
    for option in SCRIPTS[script]:
        if (value := getattr(arguments, option)) is not None:
            command += [f"--{option}", str(value)]
    (arguments.output / f"{script}.json").unlink(missing_ok=True)
    started = time.monotonic()
    with open(arguments.output / f"{script}.log", "w") as log:
        ended = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    words = "done" if ended.returncode == 0 else f"status {ended.returncode}, see {script}.log"
    return f"{words}, {time.monotonic() - started:.0f} s"


if __name__ == "__main__":
    main()
