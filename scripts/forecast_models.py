"""The forecasters that bench_forecast.py compares, how each is run, and the choice of its settings by validation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Settings = dict[str, float]


@dataclass(frozen=True)
class Model:
    """A script of scripts/peers with its options, and the settings that a validation part chooses for it.

    axes : for each setting the values to try, the first one being where the search starts. form : how the script is
    told a setting. reads : whether the script gets the windows, or the record to cut them from. seeded : whether a seed
    changes anything.
    """

    name: str
    script: str
    options: tuple[str, ...] = ()
    axes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    form: str = "--{name}={value}"
    reads: str = "windows"
    seeded: bool = True

    def arguments(self, settings: Mapping[str, float]) -> tuple[str, ...]:
        """The script's options with these settings."""
        said = (self.form.format(name=name, value=f"{value:g}") for name, value in settings.items())
        return (*self.options, *said)


STEPS = (3e-3, 1e-3, 1e-2, 3e-2)
EPOCHS = (160, 400)
LINEAR = "linear AR"
CONV_ON_RESIDUAL = "two layers on 15 samples, convolution on the residual"


def _perceptron(*hidden: int, torch: bool = False) -> Model:
    name = f"MLP {'+'.join(map(str, hidden))}" + (" (PyTorch)" if torch else "")
    script = "forecast_torch.py" if torch else "forecast_backprop.py"
    return Model(name, script, ("--hidden", *map(str, hidden)), {"step": STEPS, "epochs": EPOCHS})


def _ecgcvx(name: str, network: str, *, seeded: bool = True) -> Model:
    return Model(name, "forecast_ecgcvx.py", ("--network", network), reads="record", seeded=seeded)


MODELS = {
    model.name: model
    for model in (
        _ecgcvx(LINEAR, "linear", seeded=False),
        Model(
            "gradient boosting", "forecast_sklearn.py", ("--model", "boosting", "--option=early_stopping=False"),
            {"max_iter": (1000, 300, 3000), "learning_rate": (0.1, 0.03, 0.3), "max_leaf_nodes": (31, 127)},
            form="--option={name}={value}", seeded=False,
        ),
        _perceptron(64),
        _perceptron(512),
        _perceptron(128, 128),
        _perceptron(128, 128, torch=True),
        _ecgcvx("ecgcvx, two layers", "relu"),
        _ecgcvx("ecgcvx, stack", "stack"),
        Model(
            CONV_ON_RESIDUAL, "forecast_residual.py",
            axes={"beta": (1e-4, 3e-4), "segments": (10, 1), "below": (3e-5, 1e-5)},
        ),
    )
}  # fmt: skip


def chosen_settings(axes: Mapping[str, tuple[float, ...]], error: Callable[[Settings], float]) -> Settings:
    """The settings of the lowest error, found along one axis after the other with the rest at their best so far."""
    settings: Settings = {name: values[0] for name, values in axes.items()}
    for name, values in axes.items():
        tried = [{**settings, name: value} for value in values]
        settings = min(tried, key=error) if len(tried) > 1 else tried[0]
    return settings
