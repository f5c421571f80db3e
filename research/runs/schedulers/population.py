"""Population-based training: the worst members of a population take over the states of better ones
and go on with other hyper-parameters.

Jaderberg et al., "Population Based Training of Neural Networks", 2017. A population is all settings
of one seed, so that populations are independent of each other: a result has an interval over them.
Its members start from the same weights and draw the same random numbers.
"""

import dataclasses
from typing import Any, Literal, NamedTuple

import numpy as np

from research.engine.schedule import Decision, Key, Scheduler, Seen, go_on
from research.errors import UserError
from research.limits import short
from research.runs.schedulers.explore import Explore

Exploit = Literal["truncation", "tournament"]


class Population(NamedTuple):
    """Population-based training, as the user asks for it.

    Attributes:
      ready_every: between decisions, in steps or units of work as intervals are; None: at every
        evaluation.
      exploit: truncation: the worst `fraction` take over from the best `fraction`, each from one
        drawn at random; tournament: each member meets one drawn at random, and takes over from it
        if that has the better score.
      fraction: of the members, under truncation.
      perturb: factors, of which one is drawn for each hyper-parameter that is searched.
      resample: the probability of drawing its value anew instead.
    """

    ready_every: int | None = None
    exploit: Exploit = "truncation"
    fraction: float = 0.2
    perturb: tuple[float, float] = (0.8, 1.2)
    resample: float = 0.25


def check_population(population: Population) -> Population:
    """Returns the population if its numbers make sense.

    Raises:
      UserError: if they do not.
    """
    low, high = population.perturb
    given = f"{low:g} {high:g}"
    if not 0 < low < 1 < high < 100:
        raise UserError(
            f"--perturb {given}: give a factor between 0 and 1, then one above 1, such as 0.8 1.2"
        )
    if not 0 <= population.resample <= 1:
        raise UserError(f"--resample {population.resample:g}: a probability is from 0 to 1")
    if not 0 < population.fraction <= 0.5:
        raise UserError(
            f"--exploit-fraction {population.fraction:g}: must be above 0 and at most 0.5, as the "
            "worst members take over from the best"
        )
    return population


def decision_steps(population: Population, per: int, eval_every: int, steps: int) -> int:
    """Returns the steps between two decisions.

    Args:
      population: as the user asks for it.
      per: how many units of its interval one step is.
      eval_every: the steps between evaluations, by which members are compared.
      steps: that a run takes.

    Raises:
      UserError: if the interval is no multiple of that, or none ends before the run.
    """
    between = eval_every * per
    given = between if population.ready_every is None else population.ready_every
    flag = "--eval-every" if population.ready_every is None else "--ready-every"
    if given >= steps * per:
        raise UserError(
            f"{flag} {short(given)}: a population decides between evaluations, and the runs end "
            f"after {steps * per}; evaluate more often, or train for longer"
        )
    if given < 1 or given % between:
        near = max(between, round(given / between) * between)
        raise UserError(
            f"--ready-every {short(given)}: must be a multiple of --eval-every {between}, such as "
            f"{near}, since members are compared by evaluations"
        )
    return given // per


def make_population(
    population: Population, explore: Explore, every: int, seed: int, higher_is_better: bool
) -> Scheduler:
    """Returns the scheduler of population-based training.

    Args:
      population: how members take over from others.
      explore: how hyper-parameters change then.
      every: the steps between decisions.
      seed: of what is drawn.
      higher_is_better: of the key metric.
    """

    def decide(seen: Seen, key: Key) -> Decision:
        parents, hparams = np.arange(len(seen.runs)), seen.hparams
        if not seen.is_evaluated:
            return go_on(seen)
        for seed in np.unique(seen.seeds):
            members = np.flatnonzero(seen.seeds == seed)
            random = np.random.default_rng([*key, int(seed)])
            taken = _exploit(population, members, _merit(seen, higher_is_better), random)
            children = [child for child, _ in taken]
            parents[children] = [parent for _, parent in taken]
            hparams = _inherited(hparams, taken)
            hparams = explore.change(hparams, children, random)
        why = ["" if parent == place else "exploit" for place, parent in enumerate(parents)]
        return Decision(np.zeros(len(seen.runs), np.bool_), parents, hparams, why)

    return Scheduler(decide, lambda step: step % every == 0, seed)


def _merit(seen: Seen, higher_is_better: bool) -> np.ndarray:
    """The last score of each run, the larger the better; minus infinity where it is not defined or
    the run has diverged."""
    last = seen.scores[-1].astype(np.float64) * (1.0 if higher_is_better else -1.0)
    return np.where(np.isfinite(last) & ~seen.diverged, last, -np.inf)


def _exploit(
    population: Population, members: np.ndarray, merit: np.ndarray, random: np.random.Generator
) -> list[tuple[int, int]]:
    """The members that take over from another, each with that one. No one takes over from a worse
    member or from one without a score; one that has diverged takes over from any that has not."""
    ranked = members[np.argsort(merit[members], kind="stable")]  # the worst first
    if population.exploit == "tournament":
        met = members[random.permutation(len(members))]
        pairs = zip(members.tolist(), met.tolist(), strict=True)
    else:
        count = max(1, int(population.fraction * len(members)))
        lost = int(np.sum(np.isneginf(merit[members])))
        worst, best = ranked[: max(count, lost)], ranked[-count:]
        pairs = zip(worst.tolist(), random.choice(best, len(worst)).tolist(), strict=True)
    alike = population.exploit == "truncation"  # equal members part ways by their values
    return [
        (child, parent)
        for child, parent in pairs
        if merit[parent] > merit[child] or (alike and merit[parent] == merit[child] > -np.inf)
    ]


def _inherited(hparams: Any, taken: list[tuple[int, int]]) -> Any:
    """The hyper-parameters with those of the parent in place of each child's."""
    places = np.arange(len(next(iter(vars(hparams).values()))))
    for child, parent in taken:
        places[child] = parent
    return dataclasses.replace(
        hparams, **{name: column[places] for name, column in vars(hparams).items()}
    )
