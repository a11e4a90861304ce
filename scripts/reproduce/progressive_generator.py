"""The progressive generator: a GAN that grows from coarse beats to fine ones, each stage a convex program.

Slides: progressive GAN, trained layer by layer.
Claims: a deep generator is trained in stages of growing resolution, each of which is a convex program; its output is
closer to the data than that of a generator in one stage.
Found: holds, by the share of beats that a classifier tells apart; it is still far from what it tells of real beats.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.fft import dct, idct

from _beats import OneClass, add_options, draw_beats, read_beats
from _page import BLUE, GREY, Claim, Entry, Picture, main, new_figure, style
from ecgcvx.gan import BeatGenerator, moment_error
from ecgcvx.gan.generator import RESOLUTIONS
from ecgcvx.gan.measures import nearest_distance, two_sample_auc
from ecgcvx.types import Array

LATENTS = 1000  # rows of a program: a third of the default, for time
DRAWS, DRAWN = 20_000, 400  # for the moments, and for the picture


def reproduce(reduced: bool, mitdb: Path | None = None) -> Entry:
    """Fit generators of several stages and of one, and compare what they generate."""
    beats = read_beats(mitdb, 120 if reduced else None)
    X, count = beats.training, len(beats.held_out)
    latents = 300 if reduced else LATENTS
    whole, single = (BeatGenerator.fit(X, kind, latents=latents) for kind in ("progressive", "relu"))
    drawn = {"progressive": whole.sample(DRAWS, 1), "one stage": single.sample(DRAWS, 1)}
    auc = {name: two_sample_auc(beats.held_out, some[:count]) or 0.0 for name, some in drawn.items()}
    real = two_sample_auc(beats.held_out, X) or 0.0
    nearest = nearest_distance(drawn["progressive"][:count], X) / nearest_distance(beats.held_out, X)
    moments = moment_error(X, drawn["progressive"])
    stages = {factor: [s for s in whole.stages if s.resolution == factor] for factor in RESOLUTIONS}
    said = "; ".join(
        f"{360 // factor} Hz: {len(some)} stage{'s' * (len(some) > 1)} of {sum(s.width for s in some)} scores, "
        f"{sum(len(s.neurons) for s in some)} neurons, gap at most {max(s.gap for s in some):.2f}"
        for factor, some in stages.items()
        if some
    )
    order = [stage.resolution for stage in whole.stages]
    grown = _grown(whole, DRAWN)
    claims = (
        Claim(
            "Each stage, from coarse to fine, is a convex program on what the stages before it generate.",
            f"{said}; gaps are searched",
            all(stage.gap < 0.5 for stage in whole.stages)
            and order == sorted(order, reverse=True),
        ),
        Claim(
            "A further stage leaves the coarser beats as they are, and the finest have the moments of the data.",
            f"largest error of the moments {100 * moments:.1f} % of the largest, {DRAWS:,} beats",
            moments < 0.05 and _kept(whole) < 1e-9,
        ),
        Claim(
            "Stages generate better beats than one network.",
            f"{beats.name}: a classifier tells them from held-out beats with an AUC of {auc['progressive']:.2f}, those "
            f"of one stage with {auc['one stage']:.2f}, training beats with {real:.2f}; distance to the nearest "
            f"training beat {nearest:.2f} of that of held-out beats",
            reduced or (auc["progressive"] < auc["one stage"] and nearest > 0.9),
            "A classifier still tells them apart: .5 would be the real ones.",
        ),
    )  # fmt: skip
    return Entry(
        "Progressive generator",
        "progressive GAN",
        claims,
        (
            Picture(
                "progressive_generator",
                "Real beats at four resolutions above, those of the stages up to each resolution below; single beats, "
                "mean and 5 to 95 % band.",
                _figure(beats, grown),
            ),
        ),
        f"{len(X)} beats to train on, {count} held out" + ("." if mitdb else "; with `--mitdb FOLDER` all V beats."),
    )


def _coarse(beats: Array, factor: int) -> Array:
    """The beats (n, samples) decimated by a factor: their lowest cosines."""
    cosines = dct(beats, norm="ortho", axis=1)
    cosines[:, -(-beats.shape[1] // factor) :] = 0.0
    return np.asarray(idct(cosines, norm="ortho", axis=1))


def _grown(generator: BeatGenerator, count: int) -> dict[int, Array]:
    """Beats of the stages up to each resolution, at that resolution; the finest with the Gaussian rest."""
    random = np.random.default_rng(1)
    u = np.zeros((count, 0))
    grown = {}
    for factor in RESOLUTIONS[:-1]:
        for stage in (s for s in generator.stages if s.resolution == factor):
            u = np.hstack([u, stage.outputs(u, random.standard_normal((count, stage.width)))])
        partial = generator.target.mean + u @ generator.L[:, : u.shape[1]].T
        grown[factor] = _coarse(partial, factor)
    return grown | {1: generator.sample(count, 1)}


def _kept(generator: BeatGenerator) -> float:
    """How much the columns of the finer stages change a coarser beat, relative."""
    worst, first = 0.0, 0
    for stage in generator.stages:
        columns = generator.L[:, first : first + stage.width]
        first += stage.width
        if stage.resolution < RESOLUTIONS[0]:
            coarser = RESOLUTIONS[RESOLUTIONS.index(stage.resolution) - 1]
            worst = max(worst, float(np.abs(_coarse(columns.T, coarser)).max() / np.abs(columns).max()))
    return worst


def _figure(beats: OneClass, grown: dict[int, Array]) -> Figure:
    figure = new_figure("Beats that grow", 4.4)
    grid = figure.subplots(2, len(grown), sharex=True, sharey=True)
    limits = np.quantile(np.concatenate([beats.held_out, grown[1]]), (0.0005, 0.9995))
    for column, (factor, generated) in enumerate(grown.items()):
        for row, (some, color) in enumerate(((_coarse(beats.held_out, factor), GREY), (generated, BLUE))):
            axes = grid[row, column]
            draw_beats(axes, beats.time, some, color, f"{('real', 'generated')[row]}, {360 // factor} Hz")
            style(axes, ylim=limits, xlabel="time from R (s)" if row else "", ylabel="" if column else "mV")
    return figure


if __name__ == "__main__":
    main(reproduce, add_options)
