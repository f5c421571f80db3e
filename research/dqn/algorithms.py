"""The algorithms that train agents, by the name that a run folder records."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from research.dqn.pqn import make_pqn_problem, pqn_values
from research.dqn.presets import PQN_PRESETS, PRESETS, Preset
from research.dqn.task import make_problem, policy_values
from research.task import Problem


class Algorithm(NamedTuple):
    """The parts of an algorithm that recipes and tools use.

    Attributes:
      presets: name -> config and hyper-parameters; the first is the default.
      make_problem: config -> problem.
      policy_values: `(config, env, hparams, params) -> observations [N, ...] -> action values
        float32 [N, A]`.
    """

    presets: Mapping[str, Preset]
    make_problem: Callable[[Any], Problem]
    policy_values: Callable[..., Callable[[Any], Any]]


ALGORITHMS = {
    "dqn": Algorithm(PRESETS, make_problem, policy_values),
    "pqn": Algorithm(PQN_PRESETS, make_pqn_problem, pqn_values),
}


def algorithm_of(manifest: Mapping[str, Any]) -> Algorithm | None:
    """The algorithm that a run folder's manifest names; None if it is of no agent.

    Folders from before it was recorded name the experiment alike.
    """
    match manifest.get("data"):
        case [{"algorithm": str(name)}, *_]:
            return ALGORITHMS.get(name)
        case _:
            return ALGORITHMS.get(str(manifest["experiment"]))
