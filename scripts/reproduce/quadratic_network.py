"""Quadratic activation: backprop against the convex optimum, on planted toy data.

Slides: quadratic activation (n = 100, d = 10, 10 planted neurons).
Claims: the convex program has the global optimum, which no run of backprop crosses, in less time than one run.
Found: holds. The program is a semidefinite one in a pair of matrices, whose gap eigenvalues prove.
"""

from _page import Claim, Entry, Picture, main, new_figure
from _planted import BETA, NOTE, TOY, draw, planted, quicker, race
from ecgcvx.activations import QUADRATIC


def reproduce(reduced: bool) -> Entry:
    """Run the race."""
    found = race(planted(QUADRATIC, BETA, 0), reduced)
    claims = (
        Claim(
            "The convex program has the global optimum; no run of backprop is below it.",
            found.words(),
            found.lowest >= found.optimum * (1 - 1e-6) and found.gap < 1e-6,
        ),
        quicker(found, reduced),
    )
    figure = new_figure("Quadratic activation t²: backprop above the convex optimum", 4.2)
    draw(found, figure.subplots())
    picture = Picture("quadratic_network", f"Backprop above the convex optimum, {TOY}.", figure)
    return Entry("Quadratic activation", "quadratic activation", claims, (picture,), NOTE)


if __name__ == "__main__":
    main(reproduce)
