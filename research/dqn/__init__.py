"""Deep Q-learning on gymnax environments."""

from research.dqn.config import Config, HParams
from research.dqn.presets import PRESETS, Preset
from research.dqn.task import make_problem, make_task

__all__ = ["PRESETS", "Config", "HParams", "Preset", "make_problem", "make_task"]
