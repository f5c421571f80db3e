"""Replay of one run: a ring of transitions, and how updates sample it."""

from research.dqn.replay.n_step import Batch, read
from research.dqn.replay.prioritized import PRIORITIZED
from research.dqn.replay.ring import Replay, empty_replay, slot_of, write
from research.dqn.replay.uniform import UNIFORM, ReplaySampler

SAMPLERS: dict[str, ReplaySampler] = {"uniform": UNIFORM, "prioritized": PRIORITIZED}

__all__ = [
    "SAMPLERS",
    "Batch",
    "Replay",
    "ReplaySampler",
    "empty_replay",
    "read",
    "slot_of",
    "write",
]
