"""Colours and dashes that tell settings apart, for eyes of all kinds, on light and dark ground."""

from typing import NamedTuple

# Okabe and Ito (2008), less black and yellow, which one of the grounds would swallow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a")
DASHES = ("solid", "dash", "dot")
MARKS = ("circle", "square", "diamond")
MOST = len(COLOURS) * len(DASHES)  # settings that are told apart; more are told apart by nobody


class Look(NamedTuple):
    """How a setting is drawn, wherever it is."""

    colour: str
    dash: str
    mark: str


def look(place: int) -> Look:
    """Of the setting at a place."""
    kind = place // len(COLOURS) % len(DASHES)
    return Look(COLOURS[place % len(COLOURS)], DASHES[kind], MARKS[kind])
