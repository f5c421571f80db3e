"""Supervised learning from tables with a multilayer perceptron."""

from research.mlp.presets import PRESETS, Preset
from research.mlp.task import Config, HParams, make_problem, make_task

__all__ = ["PRESETS", "Config", "HParams", "Preset", "make_problem", "make_task"]
