"""The lecture's generated faces, in kind: the linear generator in closed form on a folder of images.

A Wasserstein GAN with a quadratic discriminator and a linear generator has the solution z'(Sigma^2 - beta_d)_+^(1/2) V'
on centred images with the singular values Sigma: no training. The figure has real images, generated ones for falling
beta_d (rising rank), and the directions V. For the lecture's figure give a folder of CelebA, aligned and cropped (Liu,
Luo, Wang & Tang 2015); without a folder scikit-learn's 1,797 digits of 8 by 8 pixels are used.

Usage: python scripts/reproduce/faces.py [FOLDER] [--images 2000] [--output faces.png]

Source: Sahiner et al. 2022 (ICLR), "Hidden convexity of Wasserstein GANs", section 5.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from ecgcvx.errors import EcgcvxError, InputError
from ecgcvx.gan import moment_target
from ecgcvx.types import Array

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
SHARES = (0.9, 0.99)  # of the variance, that beta_d leaves
SHOWN = 10


def main(arguments: list[str] | None = None) -> int:
    """Fit, draw, print what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="equally sized images (default: scikit-learn's digits)")
    parser.add_argument("--images", type=int, default=2000, help="at most so many are read (default 2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("faces.png"), metavar="PNG")
    options = parser.parse_args(arguments)
    try:
        images = _digits() if options.folder is None else read_images(options.folder, options.images)
        draw(images, options.seed, options.output)
    except EcgcvxError as error:
        print(f"faces: {error}", file=sys.stderr)
        return 2
    return 0


def read_images(folder: Path, most: int) -> Array:
    """Return the first images of a folder, by name, as grey or colour values (n, height, width[, 3]) of 0 to 1.

    Raises InputError when there are fewer than two images or their sizes differ.
    """
    from PIL import Image, UnidentifiedImageError

    if most < 2:
        raise InputError(f"images = {most}: give at least 2")
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in EXTENSIONS)[:most]
    if len(files) < 2:
        raise InputError(f"{folder}: {len(files)} images; give a folder with at least two, {', '.join(EXTENSIONS)}")
    images: list[Array] = []
    for file in files:
        try:
            with Image.open(file) as image:
                kind = "L" if image.mode in ("1", "L", "I;16") else "RGB"
                found = np.asarray(image.convert(kind), dtype=np.float64) / 255
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(f"{file}: is no image that can be read ({error}); remove it") from None
        if images and found.shape != images[0].shape:
            raise InputError(
                f"{file}: is of size {found.shape}, {files[0].name} of {images[0].shape}; give equal sizes"
            )
        images.append(found)
    return np.stack(images)


def draw(images: Array, seed: int, path: Path) -> None:
    """Generate images, write the figure, print ranks, moments and seconds."""
    from matplotlib.figure import Figure

    from ecgcvx.figures import save_figure

    n, shape = len(images), images.shape[1:]
    X = images.reshape(n, -1)
    random = np.random.default_rng(seed)
    begun = time.process_time()
    whole = moment_target(X)
    rows = [("real", images[random.permutation(n)[:SHOWN]])]
    for share in SHARES:
        kept = int(np.searchsorted(np.cumsum(whole.moments), share * whole.moments.sum())) + 1
        target = moment_target(X, rank=min(kept, whole.rank))
        rows.append((f"generated, rank {target.rank}", target.sample(SHOWN, random).reshape(-1, *shape)))
        error = np.linalg.norm(whole.covariance() - target.covariance(), 2)
        print(
            f"rank {target.rank}: beta_d = {target.beta_d:.4g}, error of the covariance {error:.4g}, value of the game "
            f"{target.game_value:.4g}"
        )
    rows.append((f"generated, rank {whole.rank}", whole.sample(SHOWN, random).reshape(-1, *shape)))
    directions = whole.V[:SHOWN] / np.abs(whole.V[:SHOWN]).max(axis=1, keepdims=True)
    rows.append(("directions V", (directions / 2 + 0.5).reshape(-1, *shape)))
    print(f"{n} images of {X.shape[1]} numbers: {time.process_time() - begun:.2f} s (CPU)")
    figure = Figure(figsize=(SHOWN, 1.2 * len(rows)), dpi=100)
    axes = figure.subplots(len(rows), SHOWN, squeeze=False)
    for line, (title, shown) in zip(axes, rows, strict=True):
        for place, picture in zip(line, shown, strict=False):
            place.imshow(np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1)
        for place in line:
            place.set_axis_off()
        line[0].set_title(title, loc="left", fontsize=8)
    save_figure(figure, path)
    print(f"wrote {path}")


def _digits() -> Array:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputError("folder: give one, or install scikit-learn for its digits") from None
    return np.asarray(load_digits().images, dtype=np.float64) / 16


if __name__ == "__main__":
    raise SystemExit(main())
