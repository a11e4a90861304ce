"""The two-layer ReLU network with batch normalisation, after the ReLU or before it, folded into plain weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ecgcvx.kinds.family import FamilyKind, searched_certificate
from ecgcvx.kinds.kind import BoundProgram
from ecgcvx.options import option

if TYPE_CHECKING:
    from ecgcvx.certificates import Certificate
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.rows import Matrix
    from ecgcvx.types import Array
    from ecgcvx.windows import Windows


@dataclass(frozen=True, kw_only=True)
class BatchNormKind(FamilyKind):
    """Options of batch normalisation. Source: Ergen et al. 2022."""

    name: ClassVar[str] = "batchnorm"
    title: ClassVar[str] = "batch-norm"
    summary: ClassVar[str] = "the two-layer ReLU network with batch normalisation, folded into plain weights"

    order: str | None = option(
        None, "normalise the neurons' outputs (after, default) or their inputs (before)", choices=("after", "before")
    )

    @property
    def bounded(self) -> bool:
        return self.order == "before"

    @property
    def described(self) -> str:
        return f"{super().described} with order={self.order or 'after'!r}"

    def program(self, windows: "Windows") -> "AllPatterns":
        return _before(windows.X, windows.y, 1.0) if self.order == "before" else _after(windows.X, windows.y, 1.0)

    def plain(self, network: Any, program: "AllPatterns") -> Any:
        from ecgcvx.models.batch_norm import FoldedNetwork, unwhitened

        if self.order == "before":
            return FoldedNetwork.of(unwhitened(network, program.X.whitening), "before")  # type: ignore[attr-defined]
        return FoldedNetwork.of(network.folded(program.X, float(program.y.mean())), "after")

    @classmethod
    def programs(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> list[BoundProgram]:
        if network.order == "after":
            return []
        program = _before(X, y, beta)
        whitened = network.whitened(program.X.whitening)  # type: ignore[attr-defined]
        return [BoundProgram("", whitened, program.X, y, beta)]

    @classmethod
    def certify(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> "Certificate | None":
        """After the ReLU there is no proof: the bound of a search."""
        if network.order == "before":
            return None
        program = _after(X, y, beta)
        return searched_certificate(program, program.family.atoms(network.normalised(X)))


def _after(X: "Matrix", y: "Array", beta: float) -> "AllPatterns":
    from ecgcvx.atoms.batch_norm import BatchNormFamily
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.programs.batch_norm import check_columns

    check_columns(X)
    return AllPatterns(X, y, beta, family=BatchNormFamily(), free="offset")


def _before(X: "Matrix", y: "Array", beta: float) -> "AllPatterns":
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.programs.batch_norm import WhitenedMatrix, Whitening

    return AllPatterns(WhitenedMatrix(X, Whitening.of(X)), y, beta)
