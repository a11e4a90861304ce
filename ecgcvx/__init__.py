"""Globally optimal neural networks for physiological signals, trained as convex programs.

    import ecgcvx

    recording = ecgcvx.read_recording("mitdb/100")
    fitted = ecgcvx.fit(recording, horizon=5)
    print(fitted.trained.gap.words)
    forecast = fitted.forecaster.predict(recording)  # mV

Nothing is imported before it is used.
"""

from typing import TYPE_CHECKING

from ecgcvx._lazy import lazy

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ecgcvx import arrangements, atoms, certificates, errors, models, plots, programs, solvers
    from ecgcvx.api import certify, compare, fit, predict, predict_interval, regularisation_path, solve
    from ecgcvx.classify import ConvexBeatClassifier
    from ecgcvx.evidence import Evidence, Gap
    from ecgcvx.fitting import Fit
    from ecgcvx.forecaster import Forecaster
    from ecgcvx.horizons import MultiHorizonFit
    from ecgcvx.interpretation import interpret
    from ecgcvx.model_file import load, load_horizons
    from ecgcvx.multi_horizon import MultiHorizonForecaster
    from ecgcvx.programs import losses
    from ecgcvx.records import Recording, read_recording
    from ecgcvx.streaming import StreamPredictor
    from ecgcvx.windows import Windows, split_windows

__all__ = [
    "ConvexBeatClassifier", "Evidence", "Fit", "Forecaster", "Gap", "MultiHorizonFit", "MultiHorizonForecaster",
    "Recording", "StreamPredictor", "Windows", "__version__", "arrangements", "atoms", "certificates", "certify",
    "compare", "errors", "fit", "interpret", "load", "load_horizons", "losses", "models", "plots", "predict",
    "predict_interval", "programs", "read_recording", "regularisation_path", "solve", "solvers", "split_windows",
]  # fmt: skip

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ConvexBeatClassifier": "classify", "Evidence": "evidence", "Fit": "fitting", "Forecaster": "forecaster",
        "Gap": "evidence", "MultiHorizonFit": "horizons", "MultiHorizonForecaster": "multi_horizon",
        "Recording": "records", "StreamPredictor": "streaming", "Windows": "windows",
        "arrangements": "", "atoms": "", "certificates": "", "certify": "api", "compare": "api", "errors": "",
        "fit": "api", "interpret": "interpretation", "load": "model_file", "load_horizons": "model_file",
        "losses": "programs.losses:", "models": "", "plots": "", "predict": "api",
        "predict_interval": "api", "programs": "", "read_recording": "records",
        "regularisation_path": "api", "solve": "api", "solvers": "", "split_windows": "windows",
    },
    globals(),
)  # fmt: skip
