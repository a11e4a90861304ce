"""The three-layer network: every outer neuron sees a few inner neurons of its own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ecgcvx.kinds.family import FamilyKind, searched_certificate
from ecgcvx.options import option

if TYPE_CHECKING:
    from ecgcvx.certificates import Certificate
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.rows import Matrix
    from ecgcvx.types import Array
    from ecgcvx.windows import Windows

INNER = 4


@dataclass(frozen=True, kw_only=True)
class ThreeLayerKind(FamilyKind):
    """Options of the three-layer network, whose first inner neurons are linear. Source: Ergen & Pilanci 2021."""

    name: ClassVar[str] = "three-layer"
    title: ClassVar[str] = "three-layer"
    summary: ClassVar[str] = "outer ReLU neurons of a few inner ones each"

    inner: int | None = option(None, "inner neurons of each outer one (default 4)", metavar="K", least=1)

    def program(self, windows: "Windows") -> "AllPatterns":
        return _program(windows.X, windows.y, 1.0, self.inner or INNER)

    @classmethod
    def certify(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> "Certificate | None":
        """There is no proof: the bound of a search."""
        program = _program(X, y, beta, network.inner)
        return searched_certificate(program, program.family.atoms(network))


def _program(X: "Matrix", y: "Array", beta: float, inner: int) -> "AllPatterns":
    from ecgcvx.atoms.three_layer import ThreeLayerFamily
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.programs.three_layer import check_inner

    check_inner(X, inner)
    return AllPatterns(X, y, beta, family=ThreeLayerFamily(inner))
