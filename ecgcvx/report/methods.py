"""The paragraph of methods, which could go into a paper: data, network, training, reading, software."""

from importlib.metadata import version

from ecgcvx import __version__
from ecgcvx.beats import why_no_beats
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation import Interpretation
from ecgcvx.report.training import Training
from ecgcvx.report.words import beside, duration, share, size, tiny

NETWORKS = {
    "relu": ("ReLU network f(x) = Σ w₂ (x′w₁)₊", "Σ |w₂| ‖w₁‖", "Pilanci & Ergen 2020"),
    "gated": (
        "gated ReLU network f(x) = Σ w₂ 1[x′g ≥ 0] x′w₁, its gates g a fixed sample,",
        "Σ |w₂| ‖w₁‖",
        "Mishkin et al. 2022",
    ),
    "conv": (
        "convolutional network f(x) = c Σ w₂ Σₖ (xₖ′w₁)₊ over the patches xₖ of a window, its neurons filters,",
        "Σ |w₂| ‖w₁‖",
        "Ergen & Pilanci 2021",
    ),
    "batchnorm": (
        "ReLU network with batch normalisation, folded into plain weights,",
        "Σ |w₂| γ",
        "Ergen et al. 2022",
    ),
    "three-layer": (
        "three-layer network f(x) = Σ w₂ (x′z₁ ± (x′z₂)₊ ± …)₊",
        "Σ |w₂| ‖(z₁, z₂, …)‖",
        "Ergen & Pilanci 2021",
    ),
    "stack": (
        "two-layer ReLU network on the features of its stage,",
        "Σ ‖u‖",
        "Pilanci & Ergen 2020, theorem 1",
    ),
    "polynomial": (
        "network f(x) = Σ w₂ s(x′w₁), s a polynomial of degree 2,",
        "Σ |w₂| with ‖w₁‖ = 1",
        "Bartan & Pilanci 2021",
    ),
}
PARTS = {"test": "the test part", "train": "the training part", "all": "all windows"}
RANKED = {
    "explained_variance_drop": "the fall of the explained variance when the contribution of one is left out but "
    "for its mean, and nothing is refitted",
    "variance_share": "the share of the variance of the forecast, Cov(contribution, forecast) / Var(forecast)",
    "nonlinear_mv": "the standard deviation of what is left of the contribution when its best linear predictor from "
    "the window is taken away",
    "norm": "the share in the penalty",
    "coverage": "the share of the windows in which it is on",
}


def methods(reading: Interpretation, training: Training | None) -> list[str]:
    """Return the paragraphs."""
    trained = [] if training is None else [_training(training)]
    by = "" if training is None else f" (trained with ecgcvx {training.version})"
    software = ", ".join(f"{name} {version(name.lower())}" for name in ("NumPy", "SciPy", "wfdb"))
    return [_network(reading), *trained, _reading(reading), f"Software: ecgcvx {__version__}{by}, {software}."]


def _network(reading: Interpretation) -> str:
    forecaster = reading.forecaster
    rate, steps = forecaster.sampling_frequency, "step" if forecaster.horizon == 1 else "steps"
    network, penalty, source = NETWORKS[reading.kind]
    what = f"The {network} of {forecaster.network.neurons} neurons{beside(forecaster.network)} was"
    if reading.stages:
        what = (
            f"A stack of {len(reading.stages)} stages with {forecaster.network.neurons} neurons in all forecast it: "
            "each stage corrects the one below from the principal components of the window and of the standardised "
            f"activations below, by a linear part and a {network} that was"
        )
    return (
        f"Windows of {forecaster.window} consecutive samples ({1e3 * forecaster.window / rate:.3g} ms) of "
        f"{_leads(forecaster)}, sampled at {rate:g} Hz, predicted the sample {forecaster.horizon} {steps} "
        f"({1e3 * forecaster.horizon / rate:.3g} ms) after the last of them; windows over gaps were left out. "
        f"{_standardised(forecaster)} those of the training part. {what} "
        f"trained to minimise P = 1/(2n) ‖f(X) − y‖² + β {penalty} over the n training windows at "
        f"β = {tiny(forecaster.beta)}{' in the last stage' if reading.stages else ''}, written as a convex program "
        f"({source})."
    )


def _leads(forecaster: Forecaster) -> str:
    if not forecaster.joined:
        return f"lead {forecaster.lead}"
    return f"the leads {', '.join(forecaster.joined)} and {forecaster.lead}, side by side in one row, in that order"


def _standardised(forecaster: Forecaster) -> str:
    """By what numbers the signal, or each of several, was standardised."""
    numbers = [f"one mean ({size(one.mean, 4)} mV) and one standard deviation ({size(one.scale, 4)} mV)"
               for one in forecaster.scaler.leads]  # fmt: skip
    if not forecaster.joined:
        return f"The signal was standardised by {numbers[0]},"
    each = ", ".join(f"{name} by {words}" for name, words in zip(forecaster.leads, numbers, strict=True))
    return f"Each lead was standardised by itself, {each},"


def _training(training: Training) -> str:
    patterns = "" if training.patterns is None else f", {training.patterns} sampled patterns"
    chosen = "by the error on a validation part" if training.beta_chosen_by == "validation" else "by the user"
    return (
        f"It was trained on the first {share(training.train_fraction)} of record {training.record} "
        f"({training.train_windows:,} windows; {training.test_windows:,} later ones for the test) with the solver "
        f"{training.solver}{patterns}, seed {training.seed}; β was chosen {chosen}. The solver reports: "
        f"{training.detail}; status {training.status}."
        + (f" The run was {training.interrupted}." if training.interrupted else "")
        + (f" Digest of the model: {training.model_digest[:16]}." if training.model_digest else "")
    )


def _reading(reading: Interpretation) -> str:
    recording, beats, found = reading.recording, reading.beats, reading.stability
    unit = "neurons" if reading.kind == "polynomial" else "patterns"
    words = (
        f"The network was read on record {recording.name} ({duration(recording.duration)}), {PARTS[reading.part]} "
        f"({reading.windows:,} windows). Its {unit} are ranked by {RANKED[reading.importance]}. "
    )
    if beats is None:
        words += f"No beats were found: {why_no_beats(recording)}."
    else:
        source = "the reference annotations" if beats.source == "annotations" else "the XQRS detector of wfdb"
        words += f"R peaks are those of {source}, {len(beats):,} in the record; times in the beat refer to them."
    if found is not None:
        rows = max(refit.rows for refit in found.refits)
        words += (
            f" Recurrence was tested in {len(found.refits)} ReLU networks over all patterns, trained from nothing on "
            f"at most {rows:,} windows each with other seeds, folds in time, β and choices within the optimal set."
        )
    return words
