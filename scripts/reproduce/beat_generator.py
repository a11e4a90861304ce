"""Beats from a Wasserstein GAN: the game in closed form, and the ReLU generator as a convex program.

Slides: convex generative networks, Wasserstein GAN with a quadratic discriminator (Sahiner et al. 2022).
Claims: the game of both networks has a solution in closed form, the moments of the data less beta_d; the generator with
a hidden layer is a convex program; what is generated looks like the data.
Found: the first two hold. Of the third, the moments are those of the beats and no beat is a copy, but a classifier
still tells generated beats from real ones, the linear generator's more often than the ReLU generator's.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from _beats import OneClass, add_options, draw_beats, read_beats
from _page import BLUE, GREEN, GREY, INK, ORANGE, Claim, Entry, Picture, main, new_figure, style
from _small import reached, starts_panel, trained
from ecgcvx.gan import BeatGenerator, moment_error, moment_target
from ecgcvx.gan.bounds import bracket
from ecgcvx.gan.game import Play, extragradient
from ecgcvx.gan.measures import nearest_distance, two_sample_auc
from ecgcvx.gan.program import GeneratorProgram
from ecgcvx.gan.solver import GeneratorSolver
from ecgcvx.types import Array

SCORES, BETA_D = 3, 0.2  # of the game that is played: leading scores, and beta_d in units of the second moment
STEPS, STEP, SEEDS, DISCRIMINATOR = 8000, 0.1, 5, 6
N, NEURONS, STARTS, BETA = 12, 8, 40, 0.05  # of the small program
LATENTS = 1000  # rows of the ReLU generator's program: a third of the default, for time
DRAWS, DRAWN = 20_000, 400  # for the moments, and for the picture


def reproduce(reduced: bool, mitdb: Path | None = None) -> Entry:
    """Play the game, solve a small program both ways, then generate beats."""
    beats = read_beats(mitdb, 120 if reduced else None)
    X = beats.training
    V = moment_target(X).V[:SCORES]
    scores = (X - X.mean(axis=0)) @ V.T
    scores /= np.sqrt((scores**2).sum(axis=1).mean())
    C = np.cov(scores.T, bias=True)
    target = moment_target(scores, BETA_D * float(np.linalg.eigvalsh(C)[-2]))
    seeds = range(2 if reduced else SEEDS)
    plays = [extragradient(C, target.beta_d, SCORES, DISCRIMINATOR, STEPS, STEP, seed) for seed in seeds]
    reached_values = [play.value / target.game_value - 1 for play in plays]
    whole = moment_target(X, 1e-3 * float(moment_target(X).moments[0]))
    error = float(np.linalg.norm(np.cov(X.T, bias=True) - whole.covariance(), 2))
    program = _program(scores[:N])
    found = GeneratorSolver(gap=1e-4, rounds=60).solve(program)
    bounds = bracket(program)
    values = trained(_objective(program), NEURONS * sum(_shape(program)), 20 if reduced else STARTS)
    generators = {kind: BeatGenerator.fit(X, kind, latents=LATENTS) for kind in ("linear", "relu")}
    drawn = {kind: generator.sample(DRAWS, 1) for kind, generator in generators.items()}
    count = len(beats.held_out)
    auc = {kind: two_sample_auc(beats.held_out, some[:count]) or 0.0 for kind, some in drawn.items()}
    real = two_sample_auc(beats.held_out, X) or 0.0
    nearest = nearest_distance(drawn["relu"][:count], X) / nearest_distance(beats.held_out, X)
    moments = {kind: moment_error(X, some) for kind, some in drawn.items()}
    gap = max(stage.gap for stage in generators["relu"].stages)
    claims = (
        Claim(
            "The game has its solution in closed form, with the value sum (sigma^2 - beta_d)_+.",
            f"{SCORES} scores of the beats: value {target.game_value:.6f}; played by extragradient from {len(plays)} "
            f"starts, {STEPS:,} steps: {100 * min(reached_values):+.2f} to {100 * max(reached_values):+.2f} % of it",
            max(abs(value) for value in reached_values) < 0.01,
        ),
        Claim(
            "The generated moments are those of the data up to beta_d.",
            f"{X.shape[1]} samples a beat: largest error of the covariance {error / whole.beta_d:.9f} beta_d; of "
            f"{DRAWS:,} drawn beats {100 * moments['linear']:.1f} % of the largest moment (linear), "
            f"{100 * moments['relu']:.1f} % (ReLU)",
            abs(error / whole.beta_d - 1) < 1e-9 and max(moments.values()) < 0.05,
        ),
        Claim(
            "The ReLU generator is a convex program with vector output.",
            f"n = {N}: convex {found.primal:.7f} (searched gap {found.gap:.0e}); {reached(values, found.primal)}; "
            f"gated program below {bounds.lower:.7f}, output by output above {bounds.upper:.7f}; on the beats a "
            f"searched gap of {gap:.2f}",
            values[0] >= found.dual and values[0] <= found.primal * 1.01 and bounds.lower < found.primal < bounds.upper,
        ),
        Claim(
            "Generated beats look like real ones.",
            f"{beats.name}: a classifier tells them from held-out beats with an AUC of {auc['linear']:.2f} (linear), "
            f"{auc['relu']:.2f} (ReLU), training beats with {real:.2f}; distance to the nearest training beat "
            f"{nearest:.2f} of that of held-out beats",
            reduced or (auc["relu"] < auc["linear"] and nearest > 0.9),
            "They look so, and a classifier tells them apart all the same; .5 would be the real ones.",
        ),
    )
    return Entry(
        "Generated beats",
        "Wasserstein GAN with a quadratic discriminator; convex generators",
        claims,
        (
            Picture(
                "beat_generator",
                "Above: real beats and generated ones, single beats, mean and 5 to 95 % band. Below left: error of the "
                "moments while the game is played, closed form dashed. Below right: trained generators above the "
                f"convex optimum, n = {N}.",
                _figure(beats, drawn, plays, target.beta_d / float(np.linalg.norm(C, 2)), values, found.primal),
            ),
        ),
        f"{len(X)} beats to train on, {count} held out" + ("." if mitdb else "; with `--mitdb FOLDER` all V beats."),
    )  # fmt: skip


def _program(scores: Array) -> GeneratorProgram:
    """Targets (N, 2) on normal latents with a column of ones."""
    random = np.random.default_rng(0)
    Z = np.c_[random.standard_normal((N, 2)), np.ones(N)]
    return GeneratorProgram(Z, scores[:, :2] / scores[:, :2].std(axis=0), BETA)


def _shape(program: GeneratorProgram) -> tuple[int, int]:
    return program.Z.shape[1], program.T.shape[1]


def _objective(program: GeneratorProgram) -> Callable[[Array], tuple[float, Array]]:
    """1/(2n) ||(Z W1)_+ W2 - T||_F^2 + beta/2 (||W1||_F^2 + ||W2||_F^2)."""
    Z, T, (d, r) = program.Z, program.T, _shape(program)

    def objective(x: Array) -> tuple[float, Array]:
        W1, W2 = x[: d * NEURONS].reshape(d, NEURONS), x[d * NEURONS :].reshape(NEURONS, r)
        H = np.maximum(Z @ W1, 0)
        R = (H @ W2 - T) / N
        value = N * float(np.vdot(R, R)) / 2 + BETA / 2 * float(x @ x)
        return value, np.concatenate([(Z.T @ ((H > 0) * (R @ W2.T))).ravel(), (H.T @ R).ravel()]) + BETA * x

    return objective


def _figure(
    beats: OneClass, drawn: dict[str, Array], plays: list[Play], floor: float, values: Array, optimum: float
) -> Figure:
    figure = new_figure("Beats of a GAN that is solved", 5.4)
    grid = figure.subplot_mosaic([["real", "real", "linear", "linear", "relu", "relu"], [*"gggsss"]])
    rows = {"real": (beats.held_out, GREY, "real"), "linear": (drawn["linear"][:DRAWN], ORANGE, "linear generator"),
            "relu": (drawn["relu"][:DRAWN], BLUE, "ReLU generator")}  # fmt: skip
    limits = np.quantile(np.concatenate([some for some, _, _ in rows.values()]), (0.0005, 0.9995))
    for name, (some, color, title) in rows.items():
        draw_beats(grid[name], beats.time, some, color, title)
        style(grid[name], ylim=limits, xlabel="time from R (s)", ylabel="mV" if name == "real" else "")
    for i, play in enumerate(plays):
        steps = np.arange(len(play.errors)) * (STEPS // 20)
        grid["g"].plot(steps, play.errors, color=GREEN, linewidth=1.0, label="played" if i == 0 else None)
    grid["g"].axhline(floor, color=INK, linestyle="--", linewidth=1.1, label="closed form")
    style(grid["g"], yscale="log", xlabel="steps of both players", ylabel="error of the moments, rel.")
    grid["g"].legend(frameon=False, fontsize=8, loc="upper right")
    starts_panel(grid["s"], values, optimum)
    return figure


if __name__ == "__main__":
    main(reproduce, add_options)
