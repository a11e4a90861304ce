"""The passes of convolutional, normalised and three-layer atoms against plain float64 formulas, and their contracts."""

import numpy as np
import pytest
from family_oracles import patches_of as explicit_patches

from ecgcvx.atoms.batch_norm import BatchNormFamily
from ecgcvx.atoms.convolutional import ConvolutionalFamily
from ecgcvx.atoms.family import Atoms, Passes
from ecgcvx.atoms.segmented import SegmentedFamily
from ecgcvx.atoms.three_layer import ThreeLayerFamily
from ecgcvx.atoms.workers import workers
from ecgcvx.errors import InputError
from ecgcvx.patches import Convolution, patches_of
from ecgcvx.windows import Windows

ROWS, COLUMNS = 700, 7
FAMILIES = {
    "conv": ConvolutionalFamily(Convolution(3, 2), COLUMNS),
    "conv sum": ConvolutionalFamily(Convolution(4, 1, "sum", 2), COLUMNS),
    "segments": SegmentedFamily(Convolution(3, 1, segments=2), COLUMNS),
    "batch norm": BatchNormFamily(),
    "three": ThreeLayerFamily(3, linear=False),
    "linear": ThreeLayerFamily(2, linear=True),
}
every_family = pytest.mark.parametrize("name", FAMILIES)


def formula(name, X, p, tags):
    """f(X; p) of one atom, by the definition."""
    if name.startswith("conv"):
        c = FAMILIES[name].convolution
        values = np.maximum(explicit_patches(X, c.taps, c.stride, c.context) @ p, 0)
        return tags[0] * (values.mean(axis=1) if c.pooling == "average" else values.sum(axis=1))
    if name == "segments":
        values = np.maximum(explicit_patches(X, 3, 1, 1) @ p[:4], 0)
        pooled = np.stack([values[:, :2].mean(axis=1), values[:, 2:].mean(axis=1)], axis=1)
        return 2 * pooled @ p[4:] / np.linalg.norm(p)
    if name == "batch norm":
        h = np.maximum(X @ p, 0)
        return tags[0] * np.linalg.norm(p) * (h - h.mean()) / h.std()
    Z = p.reshape(-1, X.shape[1]) @ X.T
    active = np.maximum(Z, 0)
    if name == "linear":
        active[0] = Z[0]
    return tags[0] * np.maximum(tags[1:] @ active, 0)


@pytest.fixture(params=FAMILIES)
def problem(request):
    random = np.random.default_rng(3)
    X = np.c_[random.standard_normal((ROWS, COLUMNS - 1)), np.ones(ROWS)]
    family = FAMILIES[request.param]
    passes = family.prepare(X)
    tags = np.where(random.random((6, passes.none().tags.shape[1])) < 0.5, 1.0, -1.0)
    if passes.none().tags.shape[1] > 1:
        tags[:, 1] = 1.0
    atoms = Atoms(random.standard_normal((6, passes.p)), tags)
    return request.param, X, passes, atoms, random.standard_normal(ROWS)


def columns(name, X, atoms):
    return np.stack([formula(name, X, p, t) for p, t in zip(atoms.points, atoms.tags, strict=True)], axis=1)


def difference(function, atoms, j, k, step):
    moved = np.zeros_like(atoms.points)
    moved[j, k] = step
    return (function(atoms.points + moved) - function(atoms.points - moved)) / (2 * step)


def test_outputs_and_gram_are_the_definition(problem):
    name, X, passes, atoms, v = problem
    Phi = columns(name, X, atoms)
    np.testing.assert_allclose(passes.outputs(atoms), Phi.sum(axis=1), atol=1e-11)
    np.testing.assert_allclose(passes.output_gram(atoms), Phi.T @ Phi / ROWS, rtol=1e-4, atol=1e-5)
    weights = v**2
    expected = Phi.T @ (weights[:, None] * Phi) / ROWS
    np.testing.assert_allclose(passes.output_gram(atoms, weights), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(passes.correlations(atoms, np.c_[v, X]), Phi.T @ np.c_[v, X] / ROWS, atol=1e-11)


def test_prices_are_gradients_and_obey_eulers_identity(problem):
    name, X, passes, atoms, v = problem
    exact = passes.prices(atoms, v, exact=True)
    np.testing.assert_allclose(
        np.einsum("ij,ij->i", exact, atoms.points), columns(name, X, atoms).T @ v / ROWS, atol=1e-12
    )
    np.testing.assert_allclose(passes.prices(atoms, v), exact, atol=2e-5)
    for j, k in [(0, 0), (3, 1), (5, passes.p - 1)]:
        found = difference(lambda P, j=j: v @ formula(name, X, P[j], atoms.tags[j]) / ROWS, atoms, j, k, 1e-7)
        assert exact[j, k] == pytest.approx(found, rel=1e-4, abs=1e-6)


def test_rounded_passes_belong_together(problem):
    _, _, passes, atoms, v = problem
    widths = 0.3 * np.linalg.norm(atoms.points, axis=1)
    gradient = passes.rounded_prices(atoms, widths, v)
    for j, k in [(0, 0), (3, 1), (5, passes.p - 1)]:
        found = difference(lambda P: v @ passes.rounded_outputs(atoms.moved(P), widths) / ROWS, atoms, j, k, 3e-3)
        assert gradient[j, k] == pytest.approx(found, rel=3e-3, abs=1e-3)
    sharp = np.full(len(atoms), 1e-20)
    np.testing.assert_allclose(passes.rounded_outputs(atoms, sharp), passes.outputs(atoms), atol=1e-4)


def test_one_pass_of_descent_is_the_two(problem):
    _, _, passes, atoms, y = problem
    widths = 0.1 * np.linalg.norm(atoms.points, axis=1)

    class Squared:
        squared_targets = y

        def loss_and_residual(self, f):
            return float(np.mean((y - f) ** 2)) / 2, y - f

    loss, gradient = passes.loss_and_gradient(atoms, widths, Squared())
    expected, other = Passes.loss_and_gradient(passes, atoms, widths, Squared())
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(gradient, other, atol=1e-5 * np.abs(other).max())


def test_curvature_is_the_gauss_newton_matrix_of_an_atom(problem):
    """Along the atom itself, f(c p) = c f(p): its blocks give ||f||^2/n; all of them on all of few rows."""
    name, X, passes, atoms, _ = problem
    blocks = passes.curvature(atoms)
    _, k, b, _ = blocks.shape
    assert (np.linalg.eigvalsh(blocks) > -1e-6).all()
    if k == 1:
        along = np.einsum("ja,jab,jb->j", atoms.points, blocks[:, 0], atoms.points)
        expected = np.sum(columns(name, X, atoms) ** 2, axis=0) / ROWS
        sampled = name in ("conv", "conv sum", "segments")  # 512 of 700 rows
        np.testing.assert_allclose(along, expected, rtol=0.25 if sampled else 1e-3)
    assert k * b == passes.p
    np.testing.assert_allclose(passes.curvature(atoms, np.full(ROWS, 4.0)), 4 * blocks, rtol=1e-4, atol=1e-6)


def test_networks_reproduce_the_atoms_and_go_back(problem):
    name, X, passes, atoms, _ = problem
    network = passes.family.network(atoms)
    predicted = network.folded(X, 0.3).predict(X) - 0.3 if name == "batch norm" else network.predict(X)
    np.testing.assert_allclose(predicted, passes.outputs(atoms), atol=1e-9)
    back = passes.family.atoms(network)
    np.testing.assert_allclose(back.points, atoms.points, atol=1e-12)
    np.testing.assert_array_equal(back.tags, atoms.tags)


def test_an_atom_of_zero_puts_out_zero(problem):
    _, _, passes, atoms, v = problem
    nothing = Atoms(np.zeros((1, passes.p)), atoms.tags[:1])
    both = nothing.with_more(atoms)
    np.testing.assert_allclose(passes.outputs(both), passes.outputs(atoms), atol=1e-12)
    for exact in (True, False):
        gradients = passes.prices(both, v, exact=exact)
        assert np.isfinite(gradients).all()
    np.testing.assert_allclose(passes.output_gram(both)[0], 0, atol=1e-20)


def test_threads_and_chosen_rows_change_nothing(problem):
    _, X, passes, atoms, v = problem
    with workers(2) as pool:
        other = passes.using(pool)
        np.testing.assert_array_equal(other.outputs(atoms), passes.outputs(atoms))
        np.testing.assert_array_equal(other.prices(atoms, v), passes.prices(atoms, v))
    rows = np.arange(0, ROWS, 3)
    expected = passes.family.prepare(X[rows]).outputs(atoms)
    np.testing.assert_allclose(passes.on_rows(rows).outputs(atoms), expected, atol=1e-12)


@every_family
def test_starts_are_unit_atoms_with_signs(name):
    X = np.c_[np.random.default_rng(0).standard_normal((50, COLUMNS - 1)), np.ones(50)]
    family = FAMILIES[name]
    passes = family.prepare(X)
    first = passes.starts(30, passes.none(), np.random.default_rng(0))
    second = passes.starts(30, first, np.random.default_rng(1))
    for atoms in (first, second):
        assert atoms.points.shape == (30, passes.p)
        np.testing.assert_allclose(family.norms(atoms), 1)
        signs = atoms.tags if atoms.tags.size else np.sign(atoms.points[:, -1])
        assert set(np.unique(signs)) == {-1.0, 1.0}


@pytest.mark.parametrize(
    "convolution", [Convolution(15), Convolution(15, 3), Convolution(64), Convolution(5, 7, "sum")]
)
def test_windows_of_a_signal_share_their_patches(convolution):
    """Box-filtered residuals on short windows: the same outputs and prices to 1e-12, and far fewer rows."""
    random = np.random.default_rng(0)
    windows = Windows(random.standard_normal(3000), ((0, 700), (800, 803), (1000, 1500)), 64, 1)
    shared, own = patches_of(windows.X, convolution), patches_of(np.asarray(windows.X), convolution)
    w, v = random.standard_normal(convolution.width), random.standard_normal(len(windows))
    on_shared, on_own = (np.maximum(patches.matrix[0 : patches.matrix.shape[0]] @ w, 0) for patches in (shared, own))
    np.testing.assert_allclose(shared.pool(on_shared), own.pool(on_own), rtol=1e-12, atol=1e-12)
    assert shared.spread(v) @ on_shared == pytest.approx(own.spread(v) @ on_own, rel=1e-12, abs=1e-12)
    if convolution == Convolution(15):
        assert own.matrix.shape[0] > 40 * shared.matrix.shape[0]


def test_a_neuron_that_is_constant_over_the_rows_is_zero():
    X = np.c_[np.random.default_rng(0).standard_normal((60, 2)), np.ones(60)]
    passes = BatchNormFamily().prepare(X)
    constant = Atoms(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]), np.ones((2, 1)))
    np.testing.assert_array_equal(passes.outputs(constant), 0)
    for exact in (True, False):
        np.testing.assert_array_equal(passes.prices(constant, np.arange(60.0), exact=exact), 0)


def test_normalised_outputs_do_not_feel_units():
    """Scaling X leaves the outputs of unit atoms as they are, and their prices with them."""
    random = np.random.default_rng(0)
    X, v = random.standard_normal((300, 3)), random.standard_normal(300)
    atoms = Atoms(random.standard_normal((4, 3)), np.ones((4, 1)))
    small, large = (BatchNormFamily().prepare(X * c) for c in (1e-3, 1e3))
    np.testing.assert_allclose(small.outputs(atoms), large.outputs(atoms), atol=1e-12)
    np.testing.assert_allclose(small.prices(atoms, v), large.prices(atoms, v), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X: ConvolutionalFamily(Convolution(9), 5), "taps = 9: longer than the window of 4 samples"),
        (lambda X: SegmentedFamily(Convolution(3, segments=3), 5), "segments = 3: the window has 2 patches"),
        (lambda X: ConvolutionalFamily(Convolution(2, segments=2), 5), "segments = 2: filters in segments are a Segm"),
        (lambda X: patches_of(X, Convolution(2, segments=2)), "segments = 2: take the patches of each of its parts"),
        (lambda X: ThreeLayerFamily(0), "inner neurons = 0"),
        (lambda X: ThreeLayerFamily(11).prepare(X), "inner neurons = 11: give from 1 to 10"),
        (lambda X: BatchNormFamily().prepare(np.c_[np.full(10, 2.0), X]), "column 0 is constant"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make(np.random.default_rng(0).standard_normal((10, 4)))


@every_family
def test_a_family_of_no_atoms_is_the_zero_function(name):
    """Every pass and every question to a network holds for none of them: beta may be above its largest value."""
    random = np.random.default_rng(0)
    X = np.c_[random.standard_normal((60, COLUMNS - 1)), np.ones(60)]
    v, nothing = random.standard_normal(60), np.zeros(0)
    family = FAMILIES[name]
    passes = family.prepare(X)
    none = passes.none()

    class Logistic:
        squared_targets = None

        def loss_and_residual(self, f):
            return float(np.log1p(np.exp(-f)).mean()), 1 / (1 + np.exp(f))

    for f in (passes.outputs(none), passes.rounded_outputs(none, nothing)):
        np.testing.assert_array_equal(f, np.zeros(60))
    for gradients in (
        passes.prices(none, v), passes.prices(none, v, exact=True), passes.rounded_prices(none, nothing, v),
        passes.loss_and_gradient(none, nothing, Logistic())[1],
    ):  # fmt: skip
        assert gradients.shape == (0, passes.p)
    assert passes.output_gram(none).shape == passes.output_gram(none, v**2).shape == (0, 0)
    assert passes.correlations(none, X).shape == (0, COLUMNS)
    k, b, _ = passes.curvature(none).shape[1:]
    assert k * b == passes.p
    assert len(family.units(none)) == len(family.meet(none, none)) == 0
    assert len(passes.starts(0, none, random)) == 0
    network = family.network(none)
    assert len(family.atoms(network)) == 0
    if name == "batch norm":
        network = network.folded(X, 0.0)
    again = type(network).from_tensors(network.tensors(), network.attributes())
    for one in (network, again, network.on_window()):
        np.testing.assert_array_equal(one.predict(X), np.zeros(60))
        assert one.active(X).shape == (60, 0)
    np.testing.assert_array_equal(network.contributions(X), np.zeros((60, 1)))
    assert network.neurons == len(network.units().gates) == 0
