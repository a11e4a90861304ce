"""The convolutional network: filters that are shared by the patches of a window, their outputs averaged or summed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ecgcvx.kinds.family import FamilyKind, searched_certificate
from ecgcvx.kinds.kind import BoundProgram
from ecgcvx.options import option
from ecgcvx.pooling import POOLING

if TYPE_CHECKING:
    from ecgcvx.certificates import Certificate
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
    takes_joined: ClassVar[bool] = False

    taps: int | None = option(None, "length of a filter in samples (default 5)", metavar="H", least=1)
    stride: int | None = option(None, "samples from one patch to the next (default 1)", metavar="S", least=1)
    pooling: str | None = option(None, "of the filters' outputs over the patches (default average)", choices=POOLING)
    segments: int | None = option(
        None, "stretches of the window, in each of which a filter has an output weight of its own (default 1)",
        metavar="G", least=1,
    )  # fmt: skip

    @property
    def convolution(self) -> "Convolution":
        """Filters, stride, pooling and segments; the column of ones is in every patch."""
        from ecgcvx.patches import Convolution

        pooling: Any = self.pooling or "average"
        return Convolution(self.taps or TAPS, self.stride or 1, pooling, segments=self.segments or 1)

    @property
    def bounded(self) -> bool:
        return (self.segments or 1) == 1

    @property
    def described(self) -> str:
        return super().described + ("" if self.bounded else f" with segments={self.segments}")

    def program(self, windows: "Windows") -> "AllPatterns":
        return _program(windows.X, windows.y, 1.0, self.convolution)

    @classmethod
    def programs(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> list[BoundProgram]:
        return [BoundProgram("", network, X, y, beta)] if network.convolution.segments == 1 else []

    @classmethod
    def certify(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> "Certificate | None":
        """In segments there is no proof: the bound of a search."""
        if network.convolution.segments == 1:
            return None
        program = _program(X, y, beta, network.convolution)
        return searched_certificate(program, program.family.atoms(network))


def _program(X: "Matrix", y: "Array", beta: float, convolution: "Convolution") -> "AllPatterns":
    from ecgcvx.atoms.convolutional import ConvolutionalFamily
    from ecgcvx.atoms.segmented import SegmentedFamily
    from ecgcvx.programs.all_patterns import AllPatterns

    family = (ConvolutionalFamily if convolution.segments == 1 else SegmentedFamily)(convolution, X.shape[1])
    return AllPatterns(X, y, beta, family=family)
