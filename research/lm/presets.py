"""Named settings of the language model."""

import dataclasses
from typing import NamedTuple

from research.lm.config import Config, HParams


class Preset(NamedTuple):
    """A config, and the values that its hyper-parameters start from."""

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
    # Characters of English about Python.
    "topics": Preset(Config(), HParams()),
    # 50-d word vectors -> 2 x 128 -> vocabulary; the article's shape.
    "article": Preset(
        Config(level="word", vocabulary_size=10_000, embedding_size=50, batch_size=20, window=20),
        HParams(learning_rate=2e-3),
    ),
    "shakespeare": Preset(
        Config(corpus="tinyshakespeare", split="90/10", batch_size=50, window=50, epochs=10),
        HParams(learning_rate=5e-3),
    ),
    "ptb-small": Preset(_ZAREMBA, _ZAREMBA_RATES),
    "ptb-medium": _zaremba(
        650, 0.5, epochs=39, scale=0.05, decay=1 / 1.2, decay_after=6.0, max_grad_norm=5.0
    ),
    "ptb-large": _zaremba(
        1500, 0.65, epochs=55, scale=0.04, decay=1 / 1.15, decay_after=14.0, max_grad_norm=10.0
    ),
    # Melis, Dyer and Blunsom (2018), one layer of 10 million params; the rates are those that their
    # search found (google-deepmind/lamb, lamb/experiment/on-the-state/ptb_10m_lstm_d1/hps_proto).
    # They look at validation every 100 updates, and drop the rate after 26 looks without progress:
    # 6 epochs. It differs from theirs in these:
    #   - theirs has four gates and 1194 units, its input gate at most 1 - f; here it is 1 - f, and
    #     units make up for the gate that is spared;
    #   - their state is forgotten with probability 0.01 at every window (drop_state_probability);
    #   - their rate drops after 900 looks in any case, and training ends after 1,000 (100,000
    #     updates) or where validation makes no progress; here after 120 epochs, half as many;
    #   - their params begin by truncated normals, here uniform as in PyTorch.
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
