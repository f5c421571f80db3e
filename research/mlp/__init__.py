"""The MLP workload: supervised learning from tables and images."""

from research.mlp.config import Config, HParams, check_flags
from research.mlp.presets import PRESETS, Preset
from research.mlp.task import fit_to, make_problem, make_task

__all__ = [
    "PRESETS",
    "Config",
    "HParams",
    "Preset",
    "check_flags",
    "fit_to",
    "make_problem",
    "make_task",
]
