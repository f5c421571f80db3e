"""Supervised learning from tables and pictures, with perceptrons and small convolutional nets."""

from research.mlp.config import ZERO_IS_OFF, Config, HParams, check_flags, unused
from research.mlp.presets import PRESETS, Preset
from research.mlp.task import fit_to, make_problem, make_task

__all__ = [
    "PRESETS",
    "ZERO_IS_OFF",
    "Config",
    "HParams",
    "Preset",
    "check_flags",
    "fit_to",
    "make_problem",
    "make_task",
    "unused",
]
