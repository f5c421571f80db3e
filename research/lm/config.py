"""The config and the hyper-parameters of the language model."""

import dataclasses
from typing import Any

from flax import struct

from research.errors import UserError, shortlist
from research.limits import fit_fields
from research.lm.averaging import MEMORY
from research.lm.corpora import CORPORA, is_one_file, parse_split
from research.lm.text import LEVELS
from research.matmul import PRECISION_HELP, PRECISIONS
from research.task import OnlyWith, field, off_field

CHOICES = {
    "level": tuple(LEVELS),
    "optimizer": ("adam", "sgd"),
    "loss_over": ("tokens", "time"),
    "schedule": ("constant", "decay", "cosine", "plateau"),
    "averaging": ("none", "ema", "asgd"),
    "compute": PRECISIONS,
}
_DROPPED = ("input_dropout", "layer_dropout", "output_dropout")  # of each step, unless locked


@dataclasses.dataclass(frozen=True)
class Config:
    """The static config of the language model: another value is another program."""

    corpus: str = field("topics", f"a text file, a folder of parts, or {', '.join(CORPORA)}")
    split: str = field(
        "90/5/5", "percent of one file to train on, validate on and test on",
        only_with=OnlyWith(("corpus",), is_one_file, "--corpus of a single file"),
    )  # fmt: skip
    level: str = field("character", "what a token is, one of " + ", ".join(LEVELS))
    vocabulary_size: int = field(
        0, "most words, or byte pairs; 0: all words, or 4096 pairs", low=0,
        only_with=OnlyWith(("level",), lambda kind: kind in ("word", "bpe"), "--level word or bpe"),
    )  # fmt: skip
    embedding_size: int = field(128, "size of the embedding of a token", low=1)
    glove: str = field("", "a file of word vectors that initialize the embeddings")
    frozen: bool = field(False, "whether the embeddings are not trained")
    hidden: tuple[int, ...] = field((128, 128), "units of the LSTM layers, such as 200x200")
    tied: bool = field(False, "whether the softmax uses the embeddings")
    coupled: bool = field(False, "whether the input gate is 1 - the forget gate")
    init_scale: float = field(
        0.0, "params are initialized uniform in +-this; 0: as in PyTorch", low=0
    )
    forget_bias: float = field(0.0, "added to the initial biases of the forget gates")
    batch_size: int = field(16, "streams of text read side by side", low=1)
    window: int = field(
        64, "tokens of a stream in one update: the length of backpropagation", low=1
    )
    epochs: int = field(
        2, "passes over the training text", low=1, length=True,
        only_with=OnlyWith(("steps",), lambda steps: steps == 0, "--steps 0"),
    )  # fmt: skip
    steps: int = field(
        0, "updates of a run, the horizon of schedules; 0: by --epochs", low=0, length=True
    )
    optimizer: str = field("adam", "adam or sgd")
    loss_over: str = field(
        "tokens", "average the loss over tokens, or over streams and sum it over time (time)"
    )
    locked: bool = field(
        False, "whether dropout drops the same units at all steps of a window",
        only_with=OnlyWith(_DROPPED, lambda *rates: any(rates), "a dropout of layers above 0"),
    )  # fmt: skip
    schedule: str = field(
        "cosine", "schedule of the learning rate, one of " + ", ".join(CHOICES["schedule"])
    )
    averaging: str = field(
        "none", "average of the params: none, ema, or asgd (begins when validation stalls)"
    )
    compute: str = field("float32", PRECISION_HELP)
    softmax_chunk: int = field(0, "tokens whose logits are in memory at once; 0 for all", low=0)
    eval_streams: int = field(16, "streams that a held-out text is cut into; 1: exact", low=1)
    eval_context: int = field(
        64, "tokens each stream reads before those it predicts", low=0,
        only_with=OnlyWith(("eval_streams",), lambda n: n > 1, "--eval-streams above 1"),
    )  # fmt: skip
    off: tuple[str, ...] = off_field()

    def __post_init__(self):
        fit_fields(self)
        for name, known in CHOICES.items():
            if (given := getattr(self, name)) not in known:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} {given}: there are {shortlist(known)}")
        parse_split(self.split)
        if not self.hidden or any(units < 1 for units in self.hidden):
            raise UserError(f"--hidden {self.hidden}: give at least one layer of at least 1 unit")
        if self.glove and self.level != "word":
            raise UserError(f"--glove {self.glove}: for --level word, not {self.level}")
        if self.frozen and self.tied:
            raise UserError("--frozen True --tied True: the softmax would not learn; choose one")
        if self.softmax_chunk and self.batch_size * self.window % self.softmax_chunk:
            raise UserError(
                f"--softmax-chunk {self.softmax_chunk}: must divide the {self.batch_size} x "
                f"{self.window} tokens of an update"
            )


def _dropout(help: str) -> Any:
    return field(0.0, help, low=0, below=1, zero_is_off=True)


def _penalty(help: str) -> Any:
    return field(0.0, help, low=0, log=True, zero_is_off=True)


@struct.dataclass
class HParams:
    """The hyper-parameters of a run: traced, each may differ between runs."""

    learning_rate: float = field(1e-2, "learning rate after the warm-up", low=0, log=True)
    warmup: float = field(0.0, "updates of linear warm-up of the learning rate", low=0)
    decay: float = field(
        0.5, "factor of the learning rate, for the schedules decay and plateau", low=0, high=1
    )
    decay_after: float = field(4.0, "epochs before the first decay", low=0)
    patience: float = field(
        1.0, "epochs without progress before plateau decays the learning rate", low=0
    )
    beta1: float = field(0.9, "beta1 of Adam", low=0, below=1)
    beta2: float = field(0.999, "beta2 of Adam", low=0, below=1)
    max_grad_norm: float = field(
        1.0, "global norm that gradients are clipped to; 0: no clipping", low=0, zero_is_off=True
    )
    weight_decay: float = field(0.0, "decoupled decay of kernels and embeddings", low=0, log=True)
    l2_penalty: float = _penalty("weight of half the sum of all squared params in the loss")
    embedding_dropout: float = _dropout("dropout rate of whole tokens, of rows of the embedding")
    input_dropout: float = _dropout("dropout rate before the first layer")
    layer_dropout: float = _dropout("dropout rate between layers")
    output_dropout: float = _dropout("dropout rate before the softmax")
    state_dropout: float = _dropout("dropout rate of the recurrent state, locked")
    weight_dropout: float = _dropout("dropout rate of the recurrent weights")
    activation_penalty: float = _penalty("weight of the squared outputs in the loss (AR)")
    slowness_penalty: float = _penalty("weight of their squared change over time (TAR)")
    ema_decay: float = field(0.999, "decay of the average, for --averaging ema", low=0, below=1)
    trigger_after: float = field(
        5.0, "epochs without progress before asgd begins to average", low=1, high=MEMORY - 1
    )
