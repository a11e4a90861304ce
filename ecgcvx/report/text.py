"""What every report says alike: citations, words explained, limits."""

REFERENCES = (
    {
        "text": "Pilanci, M. & Ergen, T. (2020). Neural networks are convex regularizers: exact polynomial-time convex "
        "optimization formulations for two-layer networks. ICML.",
        "link": "https://arxiv.org/abs/2002.10553",
    },
    {
        "text": "Mishkin, A., Sahiner, A. & Pilanci, M. (2022). Fast convex optimization for two-layer ReLU networks: "
        "equivalent model classes and cone decompositions. ICML.",
        "link": "https://arxiv.org/abs/2202.01331",
    },
    {
        "text": "Bartan, B. & Pilanci, M. (2021). Neural spectrahedra and semidefinite lifts: global convex "
        "optimization of polynomial activation neural networks in fully polynomial-time.",
        "link": "https://arxiv.org/abs/2101.02429",
    },
    {
        "text": "Moody, G. B. & Mark, R. G. (2001). The impact of the MIT-BIH Arrhythmia Database. IEEE Engineering in "
        "Medicine and Biology 20(3), 45-50. To be cited where the record is of that database.",
        "link": "https://doi.org/10.1109/51.932724",
    },
)

BEAT_TYPES = {
    "N": "normal",
    "L": "left bundle branch block",
    "R": "right bundle branch block",
    "B": "bundle branch block",
    "A": "atrial premature",
    "a": "aberrated atrial premature",
    "J": "nodal premature",
    "S": "supraventricular premature",
    "V": "ventricular premature",
    "r": "R-on-T premature ventricular",
    "F": "fusion of ventricular and normal",
    "e": "atrial escape",
    "j": "nodal escape",
    "n": "supraventricular escape",
    "E": "ventricular escape",
    "/": "paced",
    "f": "fusion of paced and normal",
    "Q": "unclassifiable",
}
"""What the beat symbols of WFDB annotations stand for."""

_COMMON = (
    ("window", "The consecutive samples that the network sees when it makes one forecast."),
    (
        "neuron",
        "The smallest part of the network: one weighted sum of the window, passed through a fixed function.",
    ),
    (
        "explained variance",
        "1 minus the variance of the error over the variance of the signal; 100 % is a perfect forecast.",
    ),
    (
        "gap",
        "How much lower the objective P could at most be, as a share of it; what it rests on is named beside it.",
    ),
    (
        "beta (β)",
        "The weight of the penalty on large weights: the larger, the fewer neurons remain and the smoother the "
        "network.",
    ),
    (
        "impulse response",
        "What a single sample of 1 mV adds to the forecasts made as it grows older: the filter, sample by sample.",
    ),
    ("gain", "How strongly a wave of a frequency passes a filter, in mV per mV, or in dB: 20 times its logarithm."),
    ("R peak", "The tallest point of the QRS complex; times in the beat are counted from it."),
)

GLOSSARY = (
    (
        "pattern",
        "One switch of the network, shared by all neurons that are on in the same windows. While it is on it adds a "
        "linear filter of the window to the forecast; while it is off it adds nothing. Together the switches cut the "
        "windows into regions, and in each the network is one linear filter.",
    ),
    ("gate", "The weighted sum of the window that decides whether a pattern is on."),
    *_COMMON,
    (
        "share of variance",
        "Covariance of what a pattern adds with the forecast, over the variance of the forecast. All shares add up to "
        "100 %; a pattern that mostly cancels others has a negative one.",
    ),
    (
        "stable",
        "A pattern that comes back when the network is trained again in other ways. One that does not may be an "
        "accident of this one training.",
    ),
)

NEURON_GLOSSARY = (
    (
        "quadratic form",
        "The whole network in one formula: every sample, and every product of two samples of the window, times a "
        "weight.",
    ),
    *_COMMON,
)

LIMITS = (
    "Association, not diagnosis. The network learned to forecast the next value of this signal. That a pattern is on "
    "in some beats says nothing of their cause, of a disease, or of what treatment would do. Not for clinical use.",
    "One recording. What was learned here need not hold for another person, electrode position or day.",
    "A short forecast is easy: most of its accuracy comes from the smoothness of the signal. Compare with the linear "
    "predictor, not with zero.",
    "Patterns are not causes of one another. Importance is measured by leaving one out without training again; "
    "patterns that do the same work hide each other, and ones that cancel look large.",
    "Noise, baseline wander, and the filters and steps of the recorder shape the patterns as much as the heart does.",
    "P, QRS and T are fixed stretches of time around the R peak; in beats with other timing they hold other waves. "
    "R peaks of a detector may be wrong.",
)
