"""The language-model workload: an LSTM that predicts the next token of a text."""

from research.lm.config import Config, HParams
from research.lm.presets import PRESETS, Preset
from research.lm.task import make_problem, make_task

__all__ = [
    "PRESETS",
    "Config",
    "HParams",
    "Preset",
    "make_problem",
    "make_task",
]
