"""Measure the generators of beats on the MIT-BIH Arrhythmia Database, each figure beside its reference.

    theory    the identities of the theory on small data: semidefinite program, beta_d, game value, equality, bounds
    bars      two-sample AUC, nearest-training distance, MMD and drawn moments of every kind, one class of one record
    time      CPU seconds of the target and the linear generator, 2,000 beats of 200 samples
    transfer  a classifier of N against V trained on generated beats, tested on real ones of other patients
    ascent    gradient descent-ascent on the same game: moment error and time, ten seeds at the best of five steps
    wgan      an MLP Wasserstein GAN with clipped weights (needs torch), ten seeds at the best of three steps
    denoise   signal-to-noise ratio of denoised beats, and of a missing lead or stretch filled in

Usage: python scripts/bench_generative.py SECTION [...] --folder MITDB       docs/generative.md has the results

One thread is used (set OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1); seconds are of the process.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import savgol_filter

from ecgcvx.gan import AlignedBeats, BeatFilter, BeatGenerator, aligned_beats, moment_error, moment_target, noise_level
from ecgcvx.gan.bounds import bracket
from ecgcvx.gan.game import extragradient
from ecgcvx.gan.generator import KINDS
from ecgcvx.gan.measures import mmd, nearest_distance, two_sample_auc
from ecgcvx.gan.program import GeneratorProgram
from ecgcvx.gan.solver import GeneratorSolver
from ecgcvx.records import read_recording

BARS = (("100", "N"), ("208", "N"), ("208", "V"), ("119", "V"))
# The split between patients of de Chazal, O'Dwyer & Reilly 2004: DS1 trains, DS2 tests.
TRAIN = "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230"
TEST = "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234"
NORMAL, VENTRICULAR = ("N", "L", "R", "e", "j"), ("V", "E")
STEPS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
WGAN_STEPS = (1e-4, 5e-4, 2e-3)


def main() -> None:
    """Print the tables of the sections asked for."""
    sections: dict[str, Callable[[Path], None]] = {
        "theory": theory, "bars": bars, "time": closed_form_time, "transfer": transfer, "ascent": descent_ascent,
        "wgan": wgan, "denoise": denoise,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="+", choices=tuple(sections))
    parser.add_argument("--folder", type=Path, required=True, help="of the database's records")
    arguments = parser.parse_args()
    for name in arguments.sections:
        print(f"## {name}", flush=True)
        sections[name](arguments.folder)


def beats_of(folder: Path, record: str, leads: tuple[str | None, ...] = ("MLII",), **lengths: float) -> AlignedBeats:
    """Beats of a record of the database."""
    return aligned_beats([read_recording(folder / record, lead) for lead in leads], **lengths)


def halves(X: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """60 % to train on and the rest, at random."""
    order = np.random.default_rng(seed).permutation(len(X))
    cut = int(0.6 * len(X))
    return X[order[:cut]], X[order[cut:]]


def theory(folder: Path) -> None:
    """Each identity of the theory on beats of class V of record 208, few samples of each where a solver needs it."""
    import cvxpy as cp

    X = beats_of(folder, "208").of_class("V").matrix
    print("identity | measured | CPU s")
    begun = time.process_time()
    small = X[:100, ::20]
    C = np.cov(small.T, bias=True)
    beta_d = 0.05 * float(np.linalg.norm(C, 2))
    Q = cp.Variable(C.shape, PSD=True)
    problem = cp.Problem(cp.Minimize(cp.trace(Q)), [cp.sigma_max(C - Q) <= beta_d])
    value = problem.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    target = moment_target(small, beta_d)
    off = np.linalg.norm(target.covariance() - np.asarray(Q.value), 2) / np.linalg.norm(C, 2)
    seconds = time.process_time() - begun
    print(f"value {target.game_value:.9f}, CVXPY {value:.9f}; moments differ by {off:.1e} | {seconds:.2f}", flush=True)

    begun = time.process_time()
    whole = np.cov(X.T, bias=True)
    largest = float(np.linalg.norm(whole, 2))
    worst = 0.0
    for share in (1e-3, 0.03, 0.3, 0.9):
        error = float(np.linalg.norm(whole - moment_target(X, share * largest).covariance(), 2))
        worst = max(worst, abs(error / (share * largest) - 1))
    print(f"|error of the covariance / beta_d - 1| <= {worst:.1e} | {time.process_time() - begun:.2f}", flush=True)

    begun = time.process_time()
    few = X[:, 40:120:20]
    few = few / np.sqrt(np.linalg.norm(np.cov(few.T, bias=True), 2))
    C = np.cov(few.T, bias=True)
    target = moment_target(few, 0.1)
    values = [extragradient(C, 0.1, rank=4, neurons=8, steps=20_000, step=0.02, seed=seed).value for seed in range(3)]
    seconds = time.process_time() - begun
    played = ", ".join(f"{value:.4f}" for value in values)
    print(f"value of the game {target.game_value:.4f}, played {played} | {seconds:.2f}", flush=True)

    begun = time.process_time()
    random = np.random.default_rng(0)
    Z, T = random.standard_normal((6, 2)), few[:6, :2]
    solver = GeneratorSolver(gap=1e-4, rounds=100)
    met = solver.solve_equality(Z, T, residual=1e-5)
    seconds = time.process_time() - begun
    print(
        f"equality: {met.status}, residual {met.residual:.1e}, gap {met.gap:.1e} (searched) | {seconds:.2f}", flush=True
    )

    for seed in range(3):
        begun = time.process_time()
        random = np.random.default_rng(seed)
        program = GeneratorProgram(random.standard_normal((7, 2)), few[7 * seed : 7 * seed + 7, 1:4], 0.05)
        found, optimum = bracket(program), GeneratorSolver(gap=1e-5, rounds=40).solve(program).primal
        seconds = time.process_time() - begun
        print(
            f"gated {found.lower:.5f}, optimum {optimum:.5f}, by columns {found.upper:.5f} | {seconds:.2f}", flush=True
        )


def bars(folder: Path) -> None:
    """One generator of each kind for each record and class; beside each measure that of real beats."""
    print("record, class (beats) | kind | AUC (train) | nearest mV (held out), ratio | MMD^2 (train)", end="")
    print(" | moments of 20,000 draws: median, worst of 5 | neurons, gap, residual | CPU s", flush=True)
    sets = {(r, c): halves(beats_of(folder, r).of_class(c).matrix) for r, c in BARS}
    real = {key: measures(held_out, training, held_out, training) for key, (training, held_out) in sets.items()}
    for kind in KINDS:
        for (record, symbol), (training, held_out) in sets.items():
            begun = time.process_time()
            generator = BeatGenerator.fit(training, kind)
            seconds = time.process_time() - begun
            generated = generator.sample(len(held_out), 1)
            auc, nearest, discrepancy = measures(held_out, generated, generated, training)
            auc_0, nearest_0, discrepancy_0 = real[record, symbol]
            errors = [moment_error(training, generator.sample(20_000, seed)) for seed in range(2, 7)]
            neurons = sum(len(stage.neurons) for stage in generator.stages)
            gaps = [stage.gap for stage in generator.stages]
            residuals = [stage.residual for stage in generator.stages]
            programs = f"gap <= {max(gaps):.2f}, residual {min(residuals):.2f} to {max(residuals):.2f}" if gaps else ""
            print(
                f"{record} {symbol} ({len(training)}) | {kind} | {auc:.3f} ({auc_0:.3f}) | {nearest:.3f} "
                f"({nearest_0:.3f}), {nearest / nearest_0:.2f} | {discrepancy:.1e} ({discrepancy_0:.1e}) | "
                f"{np.median(errors):.3f}, {max(errors):.3f} | {neurons} {programs} | {seconds:.2f}",
                flush=True,
            )


def measures(held_out: np.ndarray, other: np.ndarray, new: np.ndarray, training: np.ndarray) -> tuple[float, ...]:
    """AUC and MMD^2 of held-out beats and others, and the distance of new ones to the nearest training beat between."""
    auc = two_sample_auc(held_out, other)
    if auc is None:
        raise SystemExit("bars: needs scikit-learn")
    return auc, nearest_distance(new, training), mmd(held_out, other)


def closed_form_time(folder: Path) -> None:
    """Median of nine."""
    X = beats_of(folder, "100").matrix[:2000]
    seconds = []
    for _ in range(9):
        begun = time.process_time()
        target = moment_target(X, 1e-3)
        target.W  # noqa: B018
        seconds.append(time.process_time() - begun)
    print(f"{X.shape[0]} beats of {X.shape[1]}: {np.median(seconds):.3f} s")


@dataclass(frozen=True)
class Set:
    """Beats at 180 Hz in units of the record's standard deviation, labels 0 N and 1 V, and the record of each."""

    X: np.ndarray
    y: np.ndarray
    record: np.ndarray


def _set(folder: Path, records: str) -> Set:
    X, y, names = [], [], []
    for record in records.split():
        recording = read_recording(folder / record, "0" if record == "114" else None)
        beats = aligned_beats([recording], 0.25, 0.4444)
        label = np.array([0 if s in NORMAL else 1 if s in VENTRICULAR else -1 for s in beats.symbols])
        scaled = beats.matrix[:, ::2] / np.nanstd(recording.signal)
        X.append(scaled[label >= 0])
        y.append(label[label >= 0])
        names.append(np.full((label >= 0).sum(), record))
    return Set(np.concatenate(X), np.concatenate(y), np.concatenate(names))


def transfer(folder: Path) -> None:
    """Linear generators, one for each record and class of DS1 with at least 10 beats; tested on DS2 once."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import average_precision_score, roc_auc_score

    train, test = _set(folder, TRAIN), _set(folder, TEST)
    random = np.random.default_rng(0)
    real, made, labels = [], [], []
    for record in np.unique(train.record):
        for label, most in ((0, 400), (1, 800)):
            index = np.flatnonzero((train.record == record) & (train.y == label))
            if len(index) < 10:
                continue
            X = train.X[random.permutation(index)[:most]]
            real.append(X)
            made.append(BeatGenerator.fit(X, "linear").sample(len(X), seed=int(record)))
            labels.append(np.full(len(X), label))
    y = np.concatenate(labels)
    print(f"{(y == 0).sum()} N, {(y == 1).sum()} V to train on; {(test.y == 0).sum()} N, {test.y.sum()} V to test")
    R, G = np.concatenate(real), np.concatenate(made)
    for name, X, target in (
        ("real", R, y), ("generated only", G, y), ("real and generated", np.r_[R, G], np.r_[y, y])
    ):  # fmt: skip
        trees = HistGradientBoostingClassifier(max_iter=150, random_state=0).fit(X, target)
        p = trees.predict_proba(test.X)[:, 1]
        print(f"{name}: AUC {roc_auc_score(test.y, p):.4f}, AP {average_precision_score(test.y, p):.3f}", flush=True)


@dataclass(frozen=True)
class Played:
    """W (r, p) of a linear generator, whether its moments stayed finite, and seconds."""

    W: np.ndarray
    finite: bool
    seconds: float


def play(X: np.ndarray, step: float, seed: int, steps: int = 4000, rank: int = 36, neurons: int = 64) -> Played:
    """Adam descent-ascent on the game, minibatches of 256, discriminator sum_j alpha_j (x'v_j)^2, falling step."""
    random, begun = np.random.default_rng(seed), time.process_time()
    Y = X - X.mean(axis=0)
    scale = np.sqrt((Y**2).sum(axis=1).mean())
    Y = Y / scale
    p = Y.shape[1]
    weights = [
        0.05 * random.standard_normal((rank, p)), random.standard_normal((neurons, p)) / np.sqrt(p),
        0.1 * random.standard_normal(neurons),
    ]  # fmt: skip
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for t in range(1, steps + 1):
        W, V, alpha = weights
        x, z = Y[random.integers(0, len(Y), 256)], random.standard_normal((256, rank))
        g = z @ W
        xv, gv = x @ V.T, g @ V.T
        slopes = (
            -2 * z.T @ ((gv * alpha) @ V) / 256,
            2 * ((xv * alpha).T @ x - (gv * alpha).T @ g) / 256 - 1e-2 * V,
            (xv**2 - gv**2).mean(axis=0) - 1e-2 * alpha,
        )
        for i, (slope, sign) in enumerate(zip(slopes, (-1, 1, 1), strict=True)):
            first[i] = 0.5 * first[i] + 0.5 * slope
            second[i] = 0.99 * second[i] + 0.01 * slope**2
            ahead = first[i] / (1 - 0.5**t) / (np.sqrt(second[i] / (1 - 0.99**t)) + 1e-8)
            weights[i] = weights[i] + sign * step * (1 - 0.9 * t / steps) * ahead
    W = weights[0] * scale
    return Played(W, bool(np.isfinite(W).all()), time.process_time() - begun)


def descent_ascent(folder: Path) -> None:
    """The step with the smallest median error of three seeds, then ten other seeds."""
    training, held_out = halves(beats_of(folder, "208").of_class("V").matrix)
    C = np.cov(training.T, bias=True)

    def error(played: Played) -> float:
        return float(np.linalg.norm(C - played.W.T @ played.W, 2) / np.linalg.norm(C, 2)) if played.finite else np.inf

    tuned = {step: float(np.median([error(play(training, step, seed)) for seed in range(3)])) for step in STEPS}
    step = min(tuned, key=lambda s: tuned[s])
    print("median error of three seeds:", ", ".join(f"step {s:g} {e:.3f}" for s, e in tuned.items()), flush=True)
    runs = [play(training, step, seed) for seed in range(10, 20)]
    errors = np.array([error(run) for run in runs])
    begun = time.process_time()
    target = moment_target(training)
    ours = time.process_time() - begun
    drawn = target.sample(20_000, np.random.default_rng(0))
    closed_error = np.linalg.norm(C - target.covariance(), 2) / np.linalg.norm(C, 2)
    print(
        f"step {step:g}, ten seeds: error of the population covariance {errors.min():.3f} to {errors.max():.3f}, "
        f"median {np.median(errors):.3f}; above 1 (diverged): {(errors > 1).sum()}; "
        f"{np.median([r.seconds for r in runs]):.1f} s a run. Closed form: {closed_error:.1e}, "
        f"{moment_error(training, drawn):.3f} of 20,000 draws, {ours:.3f} s"
    )
    best = runs[int(np.argmin(errors))].W
    random = np.random.default_rng(1)
    played = training.mean(axis=0) + random.standard_normal((len(held_out), len(best))) @ best
    closed = target.sample(len(held_out), random)
    print(f"AUC of the best run {two_sample_auc(held_out, played):.3f}, closed {two_sample_auc(held_out, closed):.3f}")


def wgan(folder: Path) -> None:
    """Two hidden layers of 128 in both players, five steps of the discriminator for one of the generator."""
    training, held_out = halves(beats_of(folder, "208").of_class("V").matrix)
    mean = training.mean(axis=0)
    V = np.linalg.svd(training - mean, full_matrices=False)[2][:36]
    scores = (training - mean) @ V.T
    scale = float(np.sqrt((scores**2).mean()))
    rest = np.sqrt(((training - mean - scores @ V) ** 2).mean(axis=0))

    def run(step: float, seed: int, count: int) -> tuple[np.ndarray, float]:
        begun = time.process_time()
        drawn = _wgan_draws(scores / scale, step, seed, count)
        noise = np.random.default_rng(seed).standard_normal((count, len(mean)))
        return mean + drawn * scale @ V + rest * noise, time.process_time() - begun

    def error(X: np.ndarray) -> float:
        return moment_error(training, X) if np.isfinite(X).all() else np.inf

    tuned = {s: float(np.median([error(run(s, seed, 20_000)[0]) for seed in range(2)])) for s in WGAN_STEPS}
    step = min(tuned, key=lambda s: tuned[s])
    print("median error of two seeds:", ", ".join(f"step {s:g} {e:.3f}" for s, e in tuned.items()), flush=True)
    runs = [run(step, seed, 20_000) for seed in range(10, 20)]
    errors = np.array([error(X) for X, _ in runs])
    finite = [X for X, _ in runs if np.isfinite(X).all()]
    aucs = [auc for X in finite if (auc := two_sample_auc(held_out, X[: len(held_out)])) is not None]
    print(
        f"step {step:g}, ten seeds: moment error {errors.min():.3f} to {errors.max():.3f}, "
        f"median {np.median(errors):.3f}; above 1: {(errors > 1).sum()}; AUC {min(aucs):.3f} to {max(aucs):.3f}; "
        f"{np.median([s for _, s in runs]):.1f} s a run"
    )


def _wgan_draws(T: np.ndarray, step: float, seed: int, count: int, steps: int = 1500) -> np.ndarray:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    data = torch.tensor(T, dtype=torch.float32)

    def net(a: int, b: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(a, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, b))

    generator, critic = net(12, T.shape[1]), net(T.shape[1], 1)
    play_g = torch.optim.RMSprop(generator.parameters(), lr=step)
    play_c = torch.optim.RMSprop(critic.parameters(), lr=step)
    for _ in range(steps):
        for _ in range(5):
            x = data[torch.as_tensor(random.integers(0, len(T), 128))]
            loss = critic(generator(torch.randn(128, 12)).detach()).mean() - critic(x).mean()
            play_c.zero_grad()
            loss.backward()
            play_c.step()
            with torch.no_grad():
                for w in critic.parameters():
                    w.clamp_(-0.05, 0.05)
        loss = -critic(generator(torch.randn(128, 12))).mean()
        play_g.zero_grad()
        loss.backward()
        play_g.step()
    with torch.no_grad():
        return generator(torch.randn(count, 12)).numpy().astype(np.float64)


def denoise(folder: Path) -> None:
    """White noise on held-out beats of record 100; a missing lead and a missing 100 ms of records with two leads."""
    training, clean = halves(beats_of(folder, "100").of_class("N").matrix)
    random = np.random.default_rng(0)

    def ratio(X: np.ndarray, truth: np.ndarray) -> float:
        power = ((truth - truth.mean(axis=1, keepdims=True)) ** 2).sum()
        return float(10 * np.log10(power / ((X - truth) ** 2).sum()))

    print("noise mV | noisy | Savitzky-Golay | mean beat | filter of clean beats | of the noisy beats (dB)")
    for noise in (0.05, 0.1, 0.2):
        noisy = clean + noise * random.standard_normal(clean.shape)
        smoothed = max(ratio(savgol_filter(noisy, w, 3, axis=1), clean) for w in (7, 11, 15, 21, 31))
        ours = BeatFilter.fit(training).denoise(noisy, noise)
        level = noise_level(noisy)
        itself = BeatFilter.fit(noisy, level).denoise(noisy, level)
        mean = np.broadcast_to(training.mean(axis=0), clean.shape)
        print(
            f"{noise} | {ratio(noisy, clean):.1f} | {smoothed:.1f} | {ratio(mean, clean):.1f} | "
            f"{ratio(ours, clean):.1f} | {ratio(itself, clean):.1f} (noise estimated as {level:.3f})",
            flush=True,
        )
    print("record, class | what is missing | rms of it | error of the mean beat | of the conditional mean (mV)")
    for record, second, symbol in (("100", "V5", "N"), ("119", "V1", "N"), ("119", "V1", "V"), ("208", "V1", "V")):
        beats = beats_of(folder, record, ("MLII", second)).of_class(symbol)
        training, held_out = halves(beats.matrix)
        found, length = BeatFilter.fit(training), beats.X.shape[2]
        stretch = np.arange(beats.before + 60, beats.before + 96)
        stretches = np.concatenate([stretch, length + stretch])
        for name, b in ((f"lead {second}", np.arange(length, 2 * length)), ("100 ms of both leads", stretches)):
            holes = held_out.copy()
            holes[:, b] = np.nan
            filled, truth = found.impute(holes)[:, b], held_out[:, b]
            rms = [np.sqrt(np.mean(e**2)) for e in (truth, truth - training[:, b].mean(axis=0), truth - filled)]
            print(f"{record} {symbol} | {name} | " + " | ".join(f"{value:.3f}" for value in rms), flush=True)


if __name__ == "__main__":
    main()
