"""Tests of what a task may take and return: whatever does not fit is named before JAX meets it."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from flax import struct

from research.engine import sweep
from research.errors import UserError
from research.task import Mean, SplitStep, Task


@struct.dataclass
class HParams:
    rate: float = 0.1


class State(NamedTuple):
    params: Any


def init(shared, hparams, key):
    return State({"w": jnp.zeros(3)})


def step(shared, hparams, state, key, t):
    w = state.params["w"] + hparams.rate
    return State({"w": w}), {"moved": jnp.sum(w)}


def evaluate(shared, hparams, state, key):
    return {"loss": jnp.sum(state.params["w"])}


def train(hparams=None, axes=None, **functions):
    task = Task(**{"init": init, "step": step, "evaluate": evaluate} | functions)
    return sweep(task, None, hparams or HParams(), seeds=2, steps=2, axes=axes or {})


def gives(state, metrics):
    return lambda shared, hparams, old, key, t: (state(old), metrics)


same = lambda state: state


@pytest.mark.parametrize(
    ("functions", "line"),
    [
        ({"init": lambda *_: {"params": 0}}, r"init returns a dict; a state is a NamedTuple or"),
        ({"init": lambda *_: (jnp.zeros(3),)}, r"init returns a tuple of 1; a state is"),
        ({"init": lambda *_: jnp.zeros(3)}, r"init returns float32 \[3\]; a state is"),
        ({"init": lambda s, h, key: State({"k": key})}, r"with a key, params\['k'\]; a state hol"),
        ({"step": lambda s, h, state, k, t: state}, r"step returns a State; it has to return \(st"),
        ({"step": gives(same, jnp.float32(0))}, r"metrics of step are float32 \[\]; they have to"),
        ({"step": gives(same, {"a": jnp.zeros(2)})}, r"metric a of step is float32 \[2\]; a metr"),
        ({"step": gives(same, {"a": Mean(jnp.zeros(2), 1)})}, r"metric a of step is float32 \[2\]"),
        ({"step": gives(same, {"loss": 0.0})}, r"both report loss: .*key_metric='validation_loss'"),
        (
            {"step": gives(lambda _: State({"w": jnp.zeros(4)}), {})},
            r"params\['w'\] of the state is float32 \[3\] after init and float32 \[4\] after step",
        ),
        (
            {"step": gives(lambda _: State({"w": jnp.zeros(3, int)}), {})},
            r"is float32 \[3\] after init and int32 \[3\] after step",
        ),
        (
            {"step": gives(lambda _: State({"w": jnp.zeros(3), "b": 0.0}), {})},
            r"params\['b'\] of the state is missing after init and float32 \[\] after step",
        ),
        (
            {"step": gives(lambda _: State(Other(jnp.zeros(3))), {}), "init": lambda *_: OF_W},
            r"init returns a state a State, and step a State; they have to be of one structure",
        ),
        (
            {"evaluate": lambda *_: 0.0},
            r"the metrics of evaluate are float32 \[\]; they have to be",
        ),
        (
            {"evaluate": lambda *_: {"loss": jnp.zeros(1)}},
            r"metric loss of evaluate is float32 \[1",
        ),
        (
            {"evaluate": lambda *_: {"score": 0.0}},
            r"key metric 'loss' is not evaluated; there are s",
        ),
        (
            {"step": lambda state, key: state},
            r"step takes \(state, key\); it is called with \(share",
        ),
        (
            {"init": lambda key: OF_W},
            r"init takes \(key\); it is called with \(shared, hparams, key",
        ),
        (
            {"evaluate": lambda: OF_W},
            r"evaluate takes \(\); it is called",
        ),
    ],
)
def test_what_does_not_fit_the_contract_is_named(functions, line):
    with pytest.raises(UserError, match=line):
        train(**functions)


class OfW(NamedTuple):
    w: Any


class Other(NamedTuple):
    w: Any


OF_W = State(OfW(jnp.zeros(3)))


@dataclasses.dataclass(frozen=True)
class PlainHParams:
    rate: float = 0.1


class TupleHParams(NamedTuple):
    rate: float = 0.1


@pytest.mark.parametrize(
    ("hparams", "line"),
    [
        ({"rate": 0.1}, "a dict where a dataclass of fields"),
        (TupleHParams(), "a TupleHParams where a dataclass"),
        (PlainHParams(), "PlainHParams is a leaf to JAX; hyper-parameters are a dataclass of flax"),
        (HParams, "HParams is a class: give an object of it"),
    ],
)
def test_hyperparameters_of_another_kind_are_named(hparams, line):
    with pytest.raises(UserError, match=line):
        train(hparams, axes={"rate": [0.1, 0.2]})


def test_what_fits_is_trained():
    """A weakly typed scalar, a `SplitStep`, a jitted function and default arguments fit."""
    metrics, _, diverged = train(init=lambda *_: State({"w": 0.0}))
    assert not diverged
    split = SplitStep(lambda *_: jnp.float32(1), step)
    assert set(train(step=split).metrics["moved"]) == {0.30000001192092896, 0.6000000238418579}
    more = lambda shared, hparams, state, key, t, scale=1: step(shared, hparams, state, key, t)
    assert train(step=jax.jit(more)).metrics.equals(train().metrics)
    assert len(metrics) == 4
