"""Makes the scheduler that an experiment asks for."""

import numpy as np

from research.engine.schedule import Scheduler
from research.runs.experiment import Experiment, Part
from research.runs.schedulers.explore import make_explore
from research.runs.schedulers.follow import make_follower
from research.runs.schedulers.population import decision_steps, make_population
from research.runs.schedulers.stopping import make_stopping
from research.task import HParams


def make_scheduler(experiment: Experiment, part: Part) -> Scheduler | None:
    """Returns the scheduler of the runs of a group; None if all of them go on to the end.

    Raises:
      UserError: if its interval does not fit their cadence.
    """
    population, task = experiment.population, part.problem.task
    if experiment.early_stop is not None:
        return make_stopping(experiment.early_stop, task, part.cadence.eval_every)
    if population is None:
        changes = [one for one in experiment.schedule if 0 < one[0] < part.steps]
        return make_follower(changes) if changes else None

    def allowed(hparams: HParams) -> np.ndarray:
        runs = len(next(iter(vars(hparams).values())))
        holds = [np.broadcast_to(one.holds, runs) for one in task.requirements(hparams)]
        return np.all([np.ones(runs, np.bool_), *holds], axis=0)

    explore = make_explore(
        experiment.hparams,
        experiment.hparams_axes,
        population.perturb,
        population.resample,
        allowed,
    )
    per = task.work_per_step if experiment.in_work else 1
    every = decision_steps(population, per, part.cadence.eval_every, part.steps)
    seed = experiment.search.seed if experiment.search else 0
    return make_population(population, explore, every, seed, task.higher_is_better)
