"""PyTorch: a module in float64 from windows (n, leads * window) in mV to forecasts (n,) in mV, and its state dict."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.export.parts import parts_of
from ecgcvx.files import atomic_write

if TYPE_CHECKING:
    from ecgcvx.forecaster import Forecaster


def write(forecaster: "Forecaster", path: Path) -> list[Path]:
    """Write PATH.pt, the state dict of `module(forecaster)`.

    Raises InputError where torch is not installed, ModelError for a network that cannot be exported.
    """
    torch = _torch()
    buffer = io.BytesIO()
    torch.save(module(forecaster).state_dict(), buffer)
    file = path.with_name(path.name + ".pt")
    atomic_write(file, lambda out: out.write(buffer.getvalue()))
    return [file]


def module(forecaster: "Forecaster") -> Any:
    """Return the network with its scaler as a `torch.nn.Module` in float64, all of its weights parameters.

    `module(forecaster).load_state_dict(torch.load("PATH.pt"))` reads what `write` wrote, e.g. after further training.
    """
    torch = _torch()
    nn = torch.nn

    def weights(values: Any) -> Any:
        return nn.Parameter(torch.from_numpy(np.array(values, dtype=np.float64)))

    class Stage(nn.Module):  # type: ignore[name-defined]
        """One stage: (what it adds (n,), its activations (n, m)) of the columns below (n, c)."""

        def __init__(self, part: Any) -> None:
            super().__init__()
            self.polynomial = part.polynomial
            for name in ("W1", "W2", "gates", "projection", "linear"):
                values = getattr(part, name)
                setattr(self, name, None if values is None else weights(values))

        def forward(self, h: Any) -> Any:
            phi = h if self.projection is None else h @ self.projection
            z = phi @ self.W1
            if self.gates is not None:
                a = torch.where(phi @ self.gates >= 0, z, torch.zeros_like(z))
            elif self.polynomial is not None:
                squared, first, constant = self.polynomial
                a = (squared * z + first) * z + constant
            else:
                a = torch.relu(z)
            f = a @ self.W2
            return (f if self.linear is None else f + phi @ self.linear), a

    class Network(nn.Module):  # type: ignore[name-defined]
        """The mean of members, each the sum of its stages."""

        def __init__(self) -> None:
            super().__init__()
            members = parts_of(forecaster.network)
            self.members = nn.ModuleList(nn.ModuleList(Stage(part) for part in member) for member in members)
            mean, scale = forecaster.scaler.columns(forecaster.window)
            self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64))
            self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

        def forward(self, window: Any) -> Any:
            z = (window.to(torch.float64) - self.mean) / self.scale
            total = torch.zeros(len(z), dtype=torch.float64, device=z.device)
            for member in self.members:
                h = torch.nn.functional.pad(z, (0, 1), value=1.0)
                for stage in member:
                    f, a = stage(h)
                    total = total + f
                    h = torch.cat([h, a], dim=1)
            mean, scale = self.mean.reshape(-1)[-1], self.scale.reshape(-1)[-1]  # of the lead that is forecast
            return total / len(self.members) * scale + mean

    return Network()


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise InputError("target = 'torch': torch is not installed; pip install 'ecgcvx[torch]'") from None
    return torch
