"""Samplers: pure functions that propose settings from the scores of those that were trained before.

Each makes its model anew from the whole history, with a seed of its own for every batch: so a
resume proposes the same settings, and there is no database to keep. `tpe` and `gp` are Optuna's
samplers, and `cmaes` is the CMA-ES that Optuna's uses; these packages are optional.
"""

import importlib
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from research.errors import UserError
from research.runs.space import Dimension, Setting, Space, key_of

STARTUP = 10  # settings that are told before a model of them is made
TRIES = 20  # candidates that are looked at for each setting


class Told(NamedTuple):
    """A setting that was trained, and how good it is.

    Attributes:
      values: of its hyper-parameters.
      loss: its score over seeds, the lower the better; None where it diverged or is undefined.
      batch: the number of the batch that it was proposed in; -1: by an earlier search.
    """

    values: Setting
    loss: float | None
    batch: int


def propose(
    sampler: str,
    space: Space,
    told: Sequence[Told],
    count: int,
    seed: int,
    allowed: Callable[[Setting], bool] = lambda setting: True,
) -> list[dict[str, Any]]:
    """Returns settings to be trained next, which differ from each other and from all before.

    Where the sampler makes too few that are new and allowed, the others are drawn at random.

    Args:
      sampler: one of `SAMPLERS`.
      space: what is searched.
      told: the history, in order.
      count: how many settings; fewer are returned where no more are found.
      seed: of this batch.
      allowed: whether the task takes a setting.
    """
    taken = {key_of(one.values) for one in told if one.batch >= 0}
    tries = 100 * (len(taken) + count)
    candidates = itertools.chain(
        itertools.islice(SAMPLERS[sampler](space, told, count, seed), TRIES * count),
        itertools.islice(_random(space, told, count, seed), tries),
    )
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for setting in candidates:
        key = key_of(setting)
        if key not in taken and key not in found and allowed(setting):
            found[key] = setting
        if len(found) == count:
            break
    return list(found.values())


def batch_seed(seed: int, batch: int) -> int:
    """Returns the seed of one batch of a search."""
    return int(np.random.SeedSequence([seed, batch]).generate_state(1)[0])


def losses_of(told: Sequence[Told]) -> list[float]:
    """Returns the losses of settings, all finite: one that diverged, or has no score, is a tenth
    of the spread of the others worse than the worst of them."""
    finite = [one.loss for one in told if one.loss is not None]
    if not finite:
        return [0.0] * len(told)
    spread = max(finite) - min(finite)
    worst = max(finite) + (0.1 * spread if 0 < spread < math.inf else 1.0)
    return [worst if one.loss is None else one.loss for one in told]


def _random(space: Space, told: Any, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Settings at even, independent places."""
    del told, count
    random = np.random.default_rng(seed)
    while True:
        yield _at(space, random.uniform(size=len(space)))


def _sobol(space: Space, told: Any, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Settings at the places of a scrambled Sobol sequence (Owen, 1998), which leaves no gaps."""
    from scipy.stats import qmc  # half a second, which help and errors do not need

    del told, count
    points = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
    for exponent in itertools.chain([6], range(6, 30)):  # together a power of 2 after each
        for point in points.random_base2(exponent):
            yield _at(space, point)


def _at(space: Space, places: Any) -> dict[str, Any]:
    pairs = zip(space, places, strict=True)
    return {dimension.name: dimension.value(place) for dimension, place in pairs}


def _tpe(space: Space, told: Sequence[Told], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """The tree-structured Parzen estimator (Bergstra et al., 2011) of all hyper-parameters
    together. What a batch has proposed already counts as bad, which keeps the others off it."""
    options = {"n_startup_trials": 1, "multivariate": True, "constant_liar": True}
    return _by_optuna("TPESampler", options, space, told, count, seed)


def _gp(space: Space, told: Sequence[Told], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """A Gaussian process with the noise that the scores show, and expected improvement."""
    options = {"n_startup_trials": 1, "deterministic_objective": False}
    return _by_optuna("GPSampler", options, space, told, count, seed)


def _by_optuna(
    name: str,
    options: Mapping[str, Any],
    space: Space,
    told: Sequence[Told],
    count: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Settings of one of Optuna's samplers; those of a Sobol sequence until enough are told."""
    if len(told) < STARTUP:
        yield from _sobol(space, told, count, seed)
    with _quiet():
        optuna = _import("optuna")
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        sampler = getattr(optuna.samplers, name)(seed=seed, **options)
        study = optuna.create_study(sampler=sampler)
        wanted = {dimension.name: _distribution(optuna, dimension) for dimension in space}
        for one, loss in zip(told, losses_of(told), strict=True):
            params = {name: one.values[name] for name in wanted}
            trial = optuna.create_trial(params=params, distributions=wanted, value=loss)
            study.add_trial(trial)
    while True:
        with _quiet():
            params = study.ask(wanted).params
        yield {
            dimension.name: params[dimension.name]
            if dimension.choices
            else dimension.fitted(params[dimension.name])
            for dimension in space
        }


def _distribution(optuna: Any, dimension: Dimension) -> Any:
    """A dimension as Optuna has it."""
    kinds = optuna.distributions
    if dimension.choices:
        return kinds.CategoricalDistribution(dimension.choices)
    kind = kinds.IntDistribution if dimension.is_whole else kinds.FloatDistribution
    return kind(dimension.low, dimension.high, log=dimension.log)


def _cmaes(space: Space, told: Sequence[Told], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """CMA-ES (Hansen, 2016), a generation a batch; with the settings of an earlier search it
    begins where the best tenth of them are (Nomura et al., 2021). Choices are drawn at random."""
    cmaes, ranges = _import("cmaes"), [one for one in space if not one.choices]
    pairs = list(zip(told, losses_of(told), strict=True))
    own = [one.batch for one in told if one.batch >= 0]
    size = own.count(own[0]) if own else count

    def solutions(batch: int) -> list[tuple[Any, float]]:
        of_batch = [(one.values, loss) for one, loss in pairs if one.batch == batch]
        return [
            (np.array([dimension.place(values[dimension.name]) for dimension in ranges]), loss)
            for values, loss in of_batch
        ]

    mean, sigma, cov = np.full(len(ranges), 0.5), 0.3, None
    random = np.random.default_rng(seed)
    with _quiet():
        if earlier := solutions(-1):
            best = max(0.1, (1 + 1e-9) / len(earlier))
            mean, sigma, cov = cmaes.get_warm_start_mgd(earlier, gamma=min(best, 1.0))
        bounds = np.array([[0.0, 1.0]] * len(ranges))
        made = cmaes.CMA(mean, sigma, bounds, seed=seed, population_size=size, cov=cov)
        for batch in dict.fromkeys(own):
            if own.count(batch) == size:
                made.tell(solutions(batch))
    while True:
        with _quiet():
            places = dict(zip(ranges, made.ask(), strict=True))
        others = {one: random.uniform() for one in space if one.choices}
        yield _at(space, [(places | others)[dimension] for dimension in space])


SAMPLERS: Mapping[str, Callable[..., Iterator[dict[str, Any]]]] = {
    "random": _random,
    "sobol": _sobol,
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
}
PACKAGES = {"tpe": ("optuna",), "gp": ("optuna", "torch"), "cmaes": ("cmaes",)}


def is_adaptive(sampler: str) -> bool:
    """Whether a sampler proposes settings by the scores of others, batch by batch."""
    return sampler in PACKAGES


def check_installed(sampler: str) -> None:
    """Raises a `UserError` that says what to install if a package that a sampler needs is not."""
    for package in PACKAGES.get(sampler, ()):
        try:
            _import(package)
        except ImportError:
            how = f"install {package} with pip"
            if package != "torch":  # which no extra of this package has: it is large
                how = f"set up with SEEDBED_ALSO=optuna scripts/run ..., or {how}"
            raise UserError(
                f"--sampler {sampler}: the package {package} is missing: {how}"
            ) from None


def _import(package: str) -> Any:
    with _quiet():
        return importlib.import_module(package)


def _quiet() -> warnings.catch_warnings:
    """Drops the warnings of other packages while open: they speak of their own settings."""
    return warnings.catch_warnings(action="ignore")
