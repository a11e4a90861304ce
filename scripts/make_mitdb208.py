"""Write data/mitdb208/208: five minutes of MIT-BIH record 208 as a WFDB record, from the copy in the scipy 1.9.3 wheel.

Usage: python scripts/make_mitdb208.py [WHEEL]
Without WHEEL, pip downloads it into a temporary folder.
"""

import argparse
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import wfdb

TARGET = Path(__file__).resolve().parent.parent / "data" / "mitdb208"
SHA256 = "45cbec844577d9c7e2117b2011a5d524ab6dd49d93c29f5f5aea690772681b8f"  # of the samples as little-endian int16
COMMENTS = [
    "MIT-BIH Arrhythmia Database, record 208, lead MLII, 19:35 to 24:35 (5 minutes).",
    "Converted from scipy/misc/ecg.dat of the scipy 1.9.3 wheel by scripts/make_mitdb208.py; samples unchanged.",
    "Licence: Open Data Commons Attribution License v1.0. Source: doi:10.13026/C2F305",
]


def fetch_wheel(folder: str) -> Path:
    """Download the scipy 1.9.3 wheel for Python 3.11 into `folder` (the data file is the same in all of its wheels)."""
    options = ["--no-deps", "--only-binary=:all:", "--python-version=3.11", "--dest", folder]
    subprocess.run([sys.executable, "-m", "pip", "download", "scipy==1.9.3", *options], check=True)
    return next(Path(folder).glob("scipy-1.9.3-*.whl"))


def read_samples(wheel: Path) -> npt.NDArray[np.int16]:
    """Return the (108000,) samples in ADC units: 200 a mV, 1024 at 0 mV."""
    with zipfile.ZipFile(wheel) as archive, np.load(io.BytesIO(archive.read("scipy/misc/ecg.dat"))) as arrays:
        samples = arrays["ecg"].astype("<i2")
    if hashlib.sha256(samples.tobytes()).hexdigest() != SHA256:
        raise SystemExit(f"{wheel}: scipy/misc/ecg.dat is not the array of scipy 1.9.3; give that release's wheel")
    return samples


def write_record(samples: npt.NDArray[np.int16]) -> None:
    """Write 208.hea and 208.dat, checked by reading them back, into data/mitdb208."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TARGET) as folder:
        wfdb.wrsamp(
            "208", fs=360, units=["mV"], sig_name=["MLII"], d_signal=samples[:, None].astype(np.int64),
            fmt=["212"], adc_gain=[200], baseline=[1024], comments=COMMENTS, write_dir=folder,
        )  # fmt: skip
        written = wfdb.rdrecord(str(Path(folder) / "208"), physical=False).d_signal[:, 0]
        if not np.array_equal(written, samples):
            raise SystemExit("the record does not read back as it was written; is this wfdb 4.3 or later?")
        for name in ("208.dat", "208.hea"):
            os.replace(Path(folder) / name, TARGET / name)


def main() -> None:
    """Parse the command line, read, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", nargs="?", type=Path, help="path of a scipy 1.9.3 wheel")
    wheel = parser.parse_args().wheel
    with tempfile.TemporaryDirectory() as folder:
        write_record(read_samples(wheel or fetch_wheel(folder)))
    print(f"wrote {TARGET / '208.hea'} and 208.dat")


if __name__ == "__main__":
    main()
