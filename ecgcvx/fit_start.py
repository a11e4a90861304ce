"""Where a training starts: beta and a free linear part, chosen on the last part of the training windows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ecgcvx.baselines.linear import least_squares
from ecgcvx.fit_options import FitOptions
from ecgcvx.interruption import check, raising, stoppable, wanted
from ecgcvx.kinds.kind import Limits, Problem, Trained
from ecgcvx.metrics import root_mean_square
from ecgcvx.path import RegularisationPath, first_part, regularisation_path
from ecgcvx.records import Recording
from ecgcvx.rows import row_chunks
from ecgcvx.sharing import Sharing
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Split

PATH_BETAS, PATH_FIRST, PATH_RATIO, PATH_PATIENCE = 7, 1e-3, 1e-6, 2  # of the path that chooses beta
READABLE_BETAS = 5  # of it where few neurons are chosen
READABLE_RATIO = 1e-5  # its end there: smaller beta takes long to certify, and relaxing has most of what it would gain
FREE_BETAS, FREE_RATIO = 9, 1e-6  # beside a free linear part, from the linear forecast alone
FREE_READABLE = 6, 5e-3  # where few neurons are chosen
FAR_BEHIND = 1.25  # times the network's validation error, from which a free linear part is not worth another training
EXACT = 1e-3  # validation error of the linear forecast, of the signal's deviation, that leaves neurons nothing to add
EXACT_BETAS = 2, 0.5  # beside it, number and end
PATH_SHARE = 0.4  # of what is left of a time limit


@dataclass(frozen=True)
class LinearChoice:
    """Root-mean-square errors in mV on the validation part without and with a free linear part beside the neurons.

    free_rmse_mv : None where it was not tried, as the linear forecast alone (linear_rmse_mv) is far behind there.
    linear_exact : whether the linear forecast alone errs by less than `EXACT` there, so that its path ended early.
    """

    penalised_rmse_mv: float
    linear_rmse_mv: float
    free_rmse_mv: float | None
    linear_exact: bool = False

    @property
    def free(self) -> bool:
        """Whether the linear part was left free."""
        return self.free_rmse_mv is not None and self.free_rmse_mv < self.penalised_rmse_mv


class Start(NamedTuple):
    """What a training starts from: options with one program, what chose them, and a rough training of less windows."""

    options: FitOptions
    linear: LinearChoice | None
    path: RegularisationPath | None
    warm: Trained | None


def start(
    recording: Recording, split: Split, options: FitOptions, limits: Limits, progress: Progress, sharing: Sharing
) -> Start:
    """Choose beta and the linear part, where they are to be chosen, on the last part of the training windows."""
    beta_chosen = options.beta is None and options.network.takes_beta
    first, *others = options.network.linear_parts(beta_chosen)
    options = replace(options, network=first)
    path, warm = _path(recording, split, options, limits, progress, sharing) if beta_chosen else (None, None)
    if not others or wanted():
        return Start(options, None, path, warm)
    inner = first_part(path, recording, split, options, sharing)
    free = replace(options, network=others[0])
    beta = options.beta if path is None else path.chosen.beta
    if warm is None:
        warm = rough(options, inner, beta, limits, progress, sharing)
    linear = least_squares(inner.train.X, inner.train.y)
    penalised, alone = (_validation_rmse(predict, inner) for predict in (warm.network.predict, lambda X: X @ linear))
    if options.network.rule(beta_chosen) is not None and alone > FAR_BEHIND * penalised:
        return Start(options, LinearChoice(penalised, alone, None), path, warm)
    progress("a free linear part", None)
    problem = _problem(free, inner, warm, progress, sharing)
    beside = warm if wanted() else problem.train(beta or 0.0, warm=warm, limits=limits, progress=progress, rough=True)
    if wanted():
        return Start(options, None, path, warm)
    unpenalised = _validation_rmse(beside.network.predict, inner)
    errors = LinearChoice(penalised, alone, unpenalised)
    if path is not None and not limits.expired and min(unpenalised, alone) < penalised:
        found, exact = path, alone < EXACT * inner.scaler.scale
        with stoppable():
            found, beside = _path(recording, split, free, limits, progress, sharing, problem, linear_exact=exact)
        if wanted():
            return Start(options, None, path, warm)
        errors = LinearChoice(penalised, alone, found.chosen.validation_rmse_mv, exact)
        path = found if errors.free else path
    return Start(free, errors, path, beside) if errors.free else Start(options, errors, path, warm)


def _path(
    recording: Recording, split: Split, options: FitOptions, limits: Limits, progress: Progress, sharing: Sharing,
    problem: Problem | None = None, *, linear_exact: bool = False,
) -> tuple[RegularisationPath, Trained]:  # fmt: skip
    few = options.network.rule(True) is not None
    (count, ratio), first = (READABLE_BETAS, READABLE_RATIO) if few else (PATH_BETAS, PATH_RATIO), PATH_FIRST
    if options.network.free_linear:
        (count, ratio), first = FREE_READABLE if few else (FREE_BETAS, FREE_RATIO), 1.0
    if linear_exact:
        count, ratio = EXACT_BETAS
    path, trained = regularisation_path(
        recording, options, count, ratio, progress, first, PATH_PATIENCE, split=split, limits=limits.share(PATH_SHARE),
        problem=problem, sharing=sharing,
    )  # fmt: skip
    return replace(path, floor_reached=path.floor_reached and not linear_exact), trained


def _problem(options: FitOptions, inner: Split, warm: Trained | None, progress: Progress, sharing: Sharing) -> Any:
    """The problem of the inner training part; None where a wish to stop came first and `warm` is there to keep."""
    problem = None
    with raising() if warm is None else stoppable():
        problem = sharing.problem(options.network, inner.train, options.seed, progress)
        check()
    return problem


def rough(
    options: FitOptions, inner: Split, beta: float | None, limits: Limits, progress: Progress, sharing: Sharing
) -> Trained:
    """The training on the first part of the training windows, no further than a choice needs."""
    problem = _problem(options, inner, None, progress, sharing)
    trained: Trained = problem.train(beta or 0.0, warm=None, limits=limits, progress=progress, rough=True)
    return trained


def _validation_rmse(predict: Callable[..., Array], inner: Split) -> float:
    held = inner.test
    f = np.concatenate([predict(rows) for _, rows in row_chunks(held.X, 1 << 16)])
    return inner.scaler.scale * root_mean_square(held.y - f)
