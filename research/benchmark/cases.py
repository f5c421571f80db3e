"""The cases that `scripts/bench` times: the workloads at well-known sizes."""

import dataclasses
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from research import lm, mlp
from research.benchmark.target import Target
from research.benchmark.timing import Case
from research.engine import Cadence
from research.lm.data import Heldout, TextData
from research.mlp.dataset import Dataset, Split
from research.task import Problem, always_zero

WINDOWS = 50  # of random text, which is read as any other though there is nothing to learn
# Symbols, layers, streams, window: the small and the medium model of Zaremba et al. (2014), but for
# dropout, and one of characters.
LSTMS = {
    "lstm-char-128": (65, (128, 128), 64, 64),
    "lstm-word-200": (10_000, (200, 200), 20, 20),
    "lstm-word-650": (10_000, (650, 650), 20, 35),
}


def mlp_digits(precision: str) -> Case:
    """An MLP 64-128-10 on random data of the size of scikit-learn's digits, batches of 64, Adam."""
    return _mlp("mlp-digits", "digits", precision, (1_077, 64, 10), 500)


def mlp_small(precision: str) -> Case:
    """An MLP 10-5-1 on random data of the size of scikit-learn's diabetes, batches of 64, Adam."""
    return _mlp("mlp-small", "article", precision, (264, 10, 0), 2_000)


def _mlp(
    name: str, preset: str, precision: str, sizes: tuple[int, int, int], first_steps: int
) -> Case:
    chosen, data = mlp.PRESETS[preset], random_table(*sizes)
    off = always_zero(chosen.hparams)
    config = dataclasses.replace(chosen.config, off=off, compute=precision)
    task = mlp.make_task(mlp.fit_to(config, data))
    return Case(name, precision, Problem(task, data), chosen.hparams, first_steps)


def random_table(rows: int, features: int, classes: int) -> Dataset:
    """A table of random rows, the same in all three parts: there is nothing to learn."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    y = rng.integers(classes, size=rows).astype(np.int32) if classes else x[:, 0]
    zero, one = np.zeros(features, np.float32), np.ones(features, np.float32)
    part = Split(x, y)
    return Dataset(
        train=part, validation=part, test=part, x_mean=zero, x_scale=one, x_low=-np.inf * one,
        x_high=np.inf * one, radius=one, target_mean=np.float32(0), target_scale=np.float32(1),
        class_weights=np.ones(classes, np.float32), classes=classes,
    )  # fmt: skip


def dqn_cartpole(precision: str) -> Case:
    """A DQN on CartPole as in CleanRL: 10 environments, 120-84, a batch of 128 every 10 steps."""
    return _dqn("dqn-cartpole", "cleanrl", precision, 100)


def dqn_breakout(precision: str) -> Case:
    """A DQN on Breakout as in MinAtar: a convolution, a batch of 32 every step, replay of 100,000.

    Errors are squared and gradients clipped, as when the published figures were measured.
    """
    return _dqn("dqn-breakout", "minatar", precision, 100, loss="squared", max_grad_norm=10.0)


def _dqn(
    name: str,
    preset: str,
    precision: str,
    first_steps: int,
    loss: str = "squared",
    max_grad_norm: float = 0.0,
) -> Case:
    from research import dqn  # gymnax is not everywhere

    chosen = dqn.PRESETS[preset]
    chosen = chosen._replace(
        config=dataclasses.replace(chosen.config, loss=loss),
        hparams=chosen.hparams.replace(max_grad_norm=max_grad_norm),
    )
    off = always_zero(chosen.hparams)
    config = dataclasses.replace(chosen.config, off=off, learning_starts=1_000, compute=precision)
    return Case(name, precision, dqn.make_problem(config), chosen.hparams, first_steps)


def lstm(name: str, precision: str, make_task: Callable[..., Any] = lm.make_task) -> Case:
    """An LSTM on random tokens: truncated backpropagation and SGD on clipped gradients."""
    symbols, hidden, batch, window = LSTMS[name]
    hparams = lm.HParams(learning_rate=0.1, max_grad_norm=5.0)
    config = lm.Config(
        hidden=hidden, embedding_size=hidden[0], batch_size=batch, window=window, optimizer="sgd",
        schedule="constant", compute=precision, off=always_zero(hparams),
    )  # fmt: skip
    problem = Problem(make_task(config, WINDOWS), random_text(symbols, batch, window))
    return Case(name, precision, problem, hparams, 4)


def random_text(symbols: int, batch: int, window: int) -> TextData:
    """A text of random tokens, laid out in `WINDOWS` windows: there is nothing to learn."""
    tokens = np.random.default_rng(0).integers(symbols, size=(WINDOWS * window + 1, batch))
    tokens = tokens.astype(np.uint16)
    heldout = Heldout(tokens[: window + 1], np.ones((window, batch), np.float32), np.float32(1))
    return TextData(tokens, heldout, None, symbols)


CASES: dict[str, Callable[[str], Case]] = {
    "mlp-small": mlp_small,
    "mlp-digits": mlp_digits,
    "dqn-cartpole": dqn_cartpole,
    "dqn-breakout": dqn_breakout,
    **{name: lambda precision, name=name: lstm(name, precision) for name in LSTMS},
}  # name -> a function that makes it in a precision
QUICK = ("mlp-digits", "dqn-cartpole", "lstm-char-128")
HAS_GYMNAX = importlib.util.find_spec("gymnax") is not None  # without it, there is no DQN
HAS_SKLEARN = importlib.util.find_spec("sklearn") is not None  # without it, there are no digits


def known_cases(quick: bool = False) -> list[str]:
    """Returns the names of the cases that can be made with the packages that are installed."""
    names = QUICK if quick else tuple(CASES)
    return [name for name in names if HAS_GYMNAX or not name.startswith("dqn")]


def targets(quick: bool) -> list[Callable[[], Target]]:
    """Returns the sweeps that are timed until they reach a score, evaluations included."""
    digits = [_digits] if HAS_SKLEARN else []
    if quick:
        return digits
    return [*digits, *([_cartpole] if HAS_GYMNAX else []), _characters]


def _digits() -> Target:
    chosen = mlp.PRESETS["digits"]
    hparams = dataclasses.replace(chosen.hparams, learning_rate=3e-3)
    config = dataclasses.replace(chosen.config, off=always_zero(hparams))
    problem = mlp.make_problem(config)
    return Target("digits, 64-128-10", problem, hparams, 32, 3_000, Cadence(30, 30, 30), 0.97)


def _cartpole() -> Target:
    from research import dqn

    chosen = dqn.PRESETS["cartpole"]
    problem, steps = dqn.make_problem(chosen.config), chosen.config.updates
    cadence = Cadence(steps // 40, steps // 40, steps // 40)
    return Target("DQN on CartPole-v1", problem, chosen.hparams, 64, steps, cadence, 475)


def _characters() -> Target:
    chosen = lm.PRESETS["topics"]
    config = dataclasses.replace(chosen.config, off=always_zero(chosen.hparams))
    problem = lm.make_problem(config)
    steps = problem.task.steps
    assert steps is not None  # the preset counts epochs
    cadence = Cadence(steps // 20, steps // 20, steps // 20)
    steps = 20 * cadence.eval_every
    return Target("LSTM on Python's reference", problem, chosen.hparams, 4, steps, cadence, 2.2)
