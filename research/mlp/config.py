"""The config and the hyper-parameters of the MLP."""

import dataclasses
from typing import Any

from flax import struct

from research.errors import UserError, shortlist
from research.limits import MOST_SEED, fit_fields
from research.matmul import PRECISION_HELP, PRECISIONS
from research.mlp import loss as losses
from research.mlp.dataset import DATA_HELP, TARGET_TYPES, DataChoice
from research.mlp.key_metrics import KEY_METRIC_HELP, KEY_METRICS
from research.mlp.model import ACTIVATIONS
from research.task import OnlyWith, field, off_field

OPTIMIZERS = ("adam", "sgd")
CLASS_WEIGHTS = ("none", "balanced")


def _any(*given: Any) -> bool:
    return any(given)


@dataclasses.dataclass(frozen=True)
class Config:
    """The static config of the MLP: another value is another program."""

    data: str = field("digits", DATA_HELP)
    target: str = field("", "the column of a file to predict")
    test_data: str = field("", "a file whose rows are the test part")
    drop: tuple[str, ...] = field((), "columns of a file to leave out", words="COLUMN")
    missing: tuple[str, ...] = field(
        (), "words that stand for a missing cell, written as in the file; unless given: ? na n/a "
        "nan null none in any case, - among numbers, and none of them in a Parquet file",
        words="WORD",
    )  # fmt: skip
    categorical: tuple[str, ...] = field(
        (), "columns of a file whose cells are categories, such as zip codes", words="COLUMN"
    )
    numeric: tuple[str, ...] = field(
        (), "columns of a file whose cells are numbers, such as ids to keep", words="COLUMN"
    )
    target_type: str = field("auto", "what the target is, one of " + ", ".join(TARGET_TYPES))
    min_category: int = field(1, "categories with fewer training rows become one", low=1)
    hidden: tuple[int, ...] = field((128,), "widths of the hidden layers, such as 128 or 64x32")
    channels: tuple[int, ...] = field(
        (), "filters of 3x3 convolutions before the hidden layers, such as 16x32"
    )
    activation: str = field(
        "relu", "one of " + ", ".join(ACTIVATIONS),
        only_with=OnlyWith(("hidden", "channels"), _any, "a hidden layer or --channels"),
    )  # fmt: skip
    layer_norm: bool = field(
        False, "normalize hidden layers before the activation",
        only_with=OnlyWith(("hidden", "channels"), _any, "a hidden layer or --channels"),
    )  # fmt: skip
    residual: bool = field(
        False, "hidden layers add their input, if it is as wide",
        only_with=OnlyWith(("hidden",), bool, "a hidden layer"),
    )  # fmt: skip
    loss: str = field("auto", "auto (by the target), or one of " + ", ".join(losses.LOSSES))
    class_weights: str = field(
        "none", "weights of the loss: none, or balanced (rare classes weigh more)"
    )
    key_metric: str = field("auto", KEY_METRIC_HELP)
    optimizer: str = field("adam", "adam (AdamW) or sgd (with momentum)")
    batch_size: int = field(64, "examples an update", low=1)
    compute: str = field("float32", PRECISION_HELP)
    adversarial_steps: int = field(0, "train on attacks: 1 is FGSM, more are PGD", low=0, usual=100)
    split_seed: int = field(
        0, "seed of the split into training, validation and test", low=0, high=MOST_SEED
    )
    off: tuple[str, ...] = off_field()

    def __post_init__(self):
        for name in ("drop", "missing", "categorical", "numeric"):
            if isinstance(given := getattr(self, name), str):
                object.__setattr__(self, name, (given,) if given else ())
        fit_fields(self)
        for name, known in (
            ("activation", ACTIVATIONS),
            ("loss", ("auto", *losses.LOSSES)),
            ("key_metric", ("auto", *KEY_METRICS)),
            ("optimizer", OPTIMIZERS),
            ("class_weights", CLASS_WEIGHTS),
            ("target_type", TARGET_TYPES),
            ("compute", PRECISIONS),
        ):
            if (given := getattr(self, name)) not in known:
                flag = "--" + name.replace("_", "-")
                raise UserError(f"{flag} {given}: there are {shortlist(known, 20)}")
        for name in ("hidden", "channels"):
            if any(width < 1 for width in getattr(self, name)):
                raise UserError(f"--{name} {getattr(self, name)}: each width must be at least 1")

    @property
    def choice(self) -> DataChoice:
        """The fields that choose the data."""
        return DataChoice(**{name: getattr(self, name) for name in DataChoice._fields})


@struct.dataclass
class HParams:
    """The hyper-parameters of a run: traced, each may differ between runs."""

    learning_rate: float = field(1e-3, "step size", low=0, log=True)
    weight_decay: float = field(0.0, "decoupled decay of the kernels (AdamW)", low=0, log=True)
    momentum: float = field(0.9, "momentum of SGD; beta1 of Adam", low=0, below=1)
    beta2: float = field(0.999, "beta2 of Adam", low=0, below=1)
    dropout: float = field(
        0.0, "rate at which hidden units are dropped", low=0, below=1, zero_is_off=True
    )
    label_noise: float = field(
        0.0, "share of wrong training labels; for regression, the standard deviation of the noise",
        low=0, high=1, zero_is_off=True,
    )  # fmt: skip
    adversarial_radius: float = field(0.0, "how far --adversarial-steps may move an input", low=0)


def check_flags(given: Any) -> None:
    """Checks that the config and the hyper-parameters of a sweep fit together.

    Raises:
      UserError: for adversarial training without a radius, or a radius without it.
    """
    steps, radii = given.adversarial_steps, given.adversarial_radius
    if any(radii) and not any(steps):
        raise UserError(
            f"--adversarial-radius {max(radii):g}: give --adversarial-steps, 1 (FGSM) or more (PGD)"
        )
    if any(steps) and not any(radii):
        raise UserError(
            f"--adversarial-steps {max(steps)}: give an --adversarial-radius, such as 0.1"
        )
