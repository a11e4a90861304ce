"""VUS-PR of a score by the TSB-AD package, in its own environment.

Usage: python tsb_ad.py SERIES.npz RESULT.json WIDTH --threads 1
SERIES holds labels (n,) and score (n,); RESULT gets vus_pr.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from TSB_AD.evaluation.basic_metrics import generate_curve


def main() -> None:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series")
    parser.add_argument("result", type=Path)
    parser.add_argument("width", type=int)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    data = np.load(arguments.series)
    found = generate_curve(data["labels"].astype(int), data["score"], arguments.width)[-1]
    arguments.result.write_text(json.dumps({"vus_pr": float(found)}))


if __name__ == "__main__":
    main()
