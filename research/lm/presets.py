"""Presets of the language model."""

import dataclasses
from typing import NamedTuple

from research.lm.config import Config, HParams


class Preset(NamedTuple):
    """A config and default hyper-parameters."""

    config: Config
    hparams: HParams


# Zaremba, Sutskever and Vinyals (2014), section 4.1. Their loss is summed over the window.
_ZAREMBA = Config(
    corpus="ptb", level="word", embedding_size=200, hidden=(200, 200), init_scale=0.1,
    batch_size=20, window=20, epochs=13, optimizer="sgd", loss_over="time", schedule="decay",
)  # fmt: skip
_ZAREMBA_RATES = HParams(learning_rate=1.0, decay=0.5, decay_after=4.0, max_grad_norm=5.0)


def _zaremba(units: int, dropout: float, epochs: int, scale: float, **rates: float) -> Preset:
    config = dataclasses.replace(
        _ZAREMBA, embedding_size=units, hidden=(units, units), window=35, epochs=epochs,
        init_scale=scale,
    )  # fmt: skip
    hparams = dataclasses.replace(
        _ZAREMBA_RATES, input_dropout=dropout, layer_dropout=dropout, output_dropout=dropout,
        **rates,
    )  # fmt: skip
    return Preset(config, hparams)


PRESETS = {
    # Characters of the language reference of Python.
    "topics": Preset(Config(), HParams()),
    # 50-d word vectors, two layers of 128 units, a vocabulary of 10,000 words.
    "article": Preset(
        Config(level="word", vocabulary_size=10_000, embedding_size=50, batch_size=20, window=20),
        HParams(learning_rate=2e-3),
    ),
    "shakespeare": Preset(
        Config(corpus="tinyshakespeare", batch_size=50, window=50, epochs=10),
        HParams(learning_rate=5e-3),
    ),
    "ptb-small": Preset(_ZAREMBA, _ZAREMBA_RATES),
    "ptb-medium": _zaremba(
        650, 0.5, epochs=39, scale=0.05, decay=1 / 1.2, decay_after=6.0, max_grad_norm=5.0
    ),
    "ptb-large": _zaremba(
        1500, 0.65, epochs=55, scale=0.04, decay=1 / 1.15, decay_after=14.0, max_grad_norm=10.0
    ),
    # Melis, Dyer and Blunsom (2018), one layer, 10 million params; hyper-parameters of their search
    # (google-deepmind/lamb, lamb/experiment/on-the-state/ptb_10m_lstm_d1/hps_proto). They validate
    # every 100 updates and decay the learning rate after 26 checks without progress: 6 epochs.
    # Differences:
    #   - theirs has four gates and 1194 units, with an input gate of at most 1 - f; here the input
    #     gate is 1 - f, and more units make up for the params of the fourth gate;
    #   - theirs resets the state with probability 0.01 at every window (drop_state_probability);
    #   - theirs decays the learning rate after 900 checks in any case, and trains for 1,000 checks
    #     (100,000 updates) or until validation stalls; here for 120 epochs, half as many updates;
    #   - theirs initializes params by truncated normals, here uniform as in PyTorch.
    "ptb-melis": Preset(
        Config(
            corpus="ptb",
            level="word",
            embedding_size=268,
            hidden=(1392,),
            tied=True,
            coupled=True,
            locked=True,
            forget_bias=1.0,
            batch_size=64,
            window=35,
            epochs=120,
            optimizer="adam",
            loss_over="time",
            schedule="plateau",
        ),
        HParams(
            learning_rate=0.00418,
            beta1=0.0,
            beta2=0.999,
            max_grad_norm=10.0,
            decay=0.1,
            patience=6.0,
            input_dropout=0.58,
            state_dropout=0.215,
            output_dropout=0.327,
            l2_penalty=0.000124,
        ),
    ),
}
