"""A toy experiment under halving, for tests of who trains on."""

import dataclasses

from research.engine.cadence import Intervals
from research.runs.experiment import Experiment
from research.runs.search import Halving
from tests import toy


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    start: float = 0.0


def toy_halving(
    halving: Halving, settings: int, seeds: int, groups: int, higher_is_better: bool = False
) -> Experiment:
    """27 steps of so many settings in each of so many groups."""

    def make_problem(config):
        problem = toy.problem(config.start)
        return problem._replace(task=problem.task._replace(higher_is_better=higher_is_better))

    return Experiment(
        name="toy",
        make_problem=make_problem,
        config=ToyConfig(),
        hparams=toy.ToyHParams(),
        config_axes={"start": [float(group) for group in range(groups)]},
        hparams_axes={"rate": [float(setting) for setting in range(settings)]},
        seeds=range(seeds),
        steps=27,
        intervals=Intervals(log_every=1),
        halving=halving,
    )
