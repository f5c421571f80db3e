"""Deep Q-learning on gymnax environments: DQN with its many variants, and PQN."""

from research.dqn.algorithms import ALGORITHMS, Algorithm, algorithm_of
from research.dqn.config import Config, HParams
from research.dqn.environments import make_environment
from research.dqn.pqn import make_pqn_problem, pqn_values
from research.dqn.pqn_config import PQNConfig, PQNHParams
from research.dqn.presets import PQN_PRESETS, PRESETS, Preset
from research.dqn.task import make_problem, make_task, policy_values

__all__ = [
    "ALGORITHMS",
    "PQN_PRESETS",
    "PRESETS",
    "Algorithm",
    "Config",
    "HParams",
    "PQNConfig",
    "PQNHParams",
    "Preset",
    "algorithm_of",
    "make_environment",
    "make_pqn_problem",
    "make_problem",
    "make_task",
    "policy_values",
    "pqn_values",
]
