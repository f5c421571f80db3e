"""Replay of one run: a ring of transitions, and how updates sample it."""

from research.dqn.replay.n_step import Batch, read
from research.dqn.replay.prioritized import PRIORITIZED
from research.dqn.replay.ring import (
    Replay,
    action_of,
    empty_replay,
    end_of,
    slot_of,
    write,
    write_moves,
    write_seen,
)
from research.dqn.replay.uniform import UNIFORM, ReplaySampler

SAMPLERS: dict[str, ReplaySampler] = {"uniform": UNIFORM, "prioritized": PRIORITIZED}

__all__ = [
    "SAMPLERS",
    "Batch",
    "Replay",
    "ReplaySampler",
    "action_of",
    "empty_replay",
    "end_of",
    "read",
    "slot_of",
    "write",
    "write_moves",
    "write_seen",
]
