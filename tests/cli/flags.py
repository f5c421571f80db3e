"""A small config and the presets of a made-up recipe, for tests of flags."""

import dataclasses

from research.cli.arguments import arguments_type
from research.cli.command_line import parse_arguments
from research.task import field
from tests import toy


@dataclasses.dataclass(frozen=True)
class Config:
    hidden: tuple[int, ...] = field((8,), "widths")
    kind: str = field("relu", "a word")
    batch_size: int = field(4, "a number", low=1)
    dual: bool = field(False, "a switch")
    names: tuple[str, ...] = field((), "words", words="NAME")


Arguments = arguments_type(Config(), toy.ToyHParams())
PRESETS = {"small": Arguments(), "large": Arguments(batch_size=(64,), rate=(0.5, 0.25), steps=9)}


def parse(line):
    return parse_arguments(PRESETS, "text", line.split())
