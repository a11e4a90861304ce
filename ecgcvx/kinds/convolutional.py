"""The convolutional network: filters that are shared by the patches of a window, their outputs averaged or summed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ecgcvx.kinds.family import FamilyKind
from ecgcvx.kinds.kind import BoundProgram
from ecgcvx.options import option
from ecgcvx.pooling import POOLING

if TYPE_CHECKING:
    from ecgcvx.patches import Convolution
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.rows import Matrix
    from ecgcvx.types import Array
    from ecgcvx.windows import Windows

TAPS = 5


@dataclass(frozen=True, kw_only=True)
class ConvolutionalKind(FamilyKind):
    """Options of the convolutional network. Source: Ergen & Pilanci 2021."""

    name: ClassVar[str] = "conv"
    title: ClassVar[str] = "convolutional"
    summary: ClassVar[str] = "shared filters over the patches of a window, pooled"
    bounded: ClassVar[bool] = True

    taps: int | None = option(None, "length of a filter in samples (default 5)", metavar="H", least=1)
    stride: int | None = option(None, "samples from one patch to the next (default 1)", metavar="S", least=1)
    pooling: str | None = option(None, "of the filters' outputs over the patches (default average)", choices=POOLING)

    @property
    def convolution(self) -> "Convolution":
        """Filters, stride and pooling; the column of ones is in every patch."""
        from ecgcvx.patches import Convolution

        return Convolution(self.taps or TAPS, self.stride or 1, self.pooling or "average")  # type: ignore[arg-type]

    def program(self, windows: "Windows") -> "AllPatterns":
        from ecgcvx.atoms.convolutional import ConvolutionalFamily
        from ecgcvx.programs.all_patterns import AllPatterns

        family = ConvolutionalFamily(self.convolution, windows.X.shape[1])
        return AllPatterns(windows.X, windows.y, 1.0, family=family)

    @classmethod
    def programs(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> list[BoundProgram]:
        return [BoundProgram("", network, X, y, beta)]
