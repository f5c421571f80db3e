"""Presets of the MLP."""

from typing import NamedTuple

from research.mlp.config import Config, HParams


class Preset(NamedTuple):
    """A config, default hyper-parameters, and the number of steps to train."""

    config: Config
    hparams: HParams
    steps: int


PRESETS = {
    # 64-128-10 on 8x8 images of digits.
    "digits": Preset(Config(), HParams(), steps=1_500),
    # The two-layer net 10-5-1 with ReLU: regression on ten features.
    "article": Preset(
        Config(data="diabetes", hidden=(5,), activation="relu"),
        HParams(learning_rate=1e-2),
        steps=1_000,
    ),
}
