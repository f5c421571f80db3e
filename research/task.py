"""The contract between a workload and the engine: a `Task` is three pure functions.

Everything that is a `Task` can be swept over seeds and hyper-parameters in one compiled program,
sharded, split, measured, recorded and reported, and has to know nothing about any of it.

    config   static: a frozen dataclass. Another value is another program.
    hparams  traced: a `flax.struct` dataclass of scalars. Another value is another lane.
    shared   what all runs read (data, environment parameters). Passed in, never closed over:
             a closed-over array is compiled into the program as a constant.
    state    what a run carries: a pytree with a field `params`; optimizer state and data beside
             it. No functions, no keys, and no counter that a branch depends on.
    key      comes from the engine, a fresh one for every step: `fold_in(run_key, t)`. So a run
             depends neither on the chunk length, nor on where it was stopped, nor on neighbours.
    t        the step, counted by the engine and the same for all runs. Schedules, epochs and
             write positions follow from it. A branch on `t` stays a branch under `vmap`; a branch
             on anything in the state becomes a `select` that computes both sides.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Shared = Any
HParams = Any
State = Any
Metrics = Mapping[str, "jax.Array | Mean"]


class Requirement(NamedTuple):
    """What must hold between the hyper-parameters of one run, such as that a range is not empty.

    Attributes:
      fields: the names of the hyper-parameters.
      holds: bool; [R] where they are columns of R runs.
      reason: what must hold; the end of the line that refuses a setting.
    """

    fields: tuple[str, ...]
    holds: Any
    reason: str


def nothing_required(hparams: HParams) -> Sequence[Requirement]:
    """No requirements."""
    del hparams
    return ()


class Task(NamedTuple):
    """Three pure functions, and the few facts that the engine prints.

    Attributes:
      init: `(shared, hparams, key) -> state`.
      step: `(shared, hparams, state, key, t) -> (state, metrics)`, one update. `t` is an int32
        scalar that counts from 0. Metrics are scalars, or `Mean` where there may be none.
      evaluate: `(shared, hparams, state, key) -> metrics`. It changes nothing.
      key_metric: the metric by which settings are compared; one of those `evaluate` returns.
      higher_is_better: whether a larger `key_metric` is the better one.
      work_unit: what a step works through, in the plural: examples, env steps, tokens.
      work_per_step: how many of them one step of one run works through.
      work_at_start: how many of them `init` has done.
      steps: how many steps the config asks for, at whose end schedules end; None, if there are no
        schedules, leaves it to the command line.
      epoch: in how many steps the data is read once, if it is read in turn.
      goal: the value of `key_metric` at which a run counts as having solved its problem.
      requirements: `hparams -> requirements` between them, of which the range of a single field
        knows nothing. Checked for every setting of a sweep before anything compiles.
    """

    init: Callable[[Shared, HParams, jax.Array], State]
    step: Callable[[Shared, HParams, State, jax.Array, jax.Array], tuple[State, Metrics]]
    evaluate: Callable[[Shared, HParams, State, jax.Array], Metrics]
    key_metric: str = "loss"
    higher_is_better: bool = False
    work_unit: str = "steps"
    work_per_step: int = 1
    work_at_start: int = 0
    steps: int | None = None
    epoch: int | None = None
    goal: float | None = None
    requirements: Callable[[HParams], Sequence[Requirement]] = nothing_required

    def work_after(self, step: Any) -> Any:
        """How much work is done after so many steps."""
        return self.work_at_start + step * self.work_per_step


class Mean(NamedTuple):
    """A metric that is not defined at every step, such as the return of an episode.

    The engine adds up both fields over the steps it logs together and records total / weight, or
    nothing where weight is 0. In training and in evaluation alike, an observation of weight 0 is
    no observation, whatever its total: a NaN there is undefined, as the R2 of a single row, and no
    sign of divergence. With `done` and `returns` over the environments of one run:
    `Mean(jnp.sum(returns * done), jnp.sum(done))`.
    """

    total: Any  # float32 scalar
    weight: Any  # scalar, integer or float, >= 0

    @classmethod
    def of(cls, metric: "jax.Array | Mean") -> "Mean":
        """`metric` itself if it is a `Mean`, else one observation of it."""
        if isinstance(metric, Mean):
            return cls(jnp.float32(metric.total), jnp.float32(metric.weight))
        return cls(jnp.float32(metric), jnp.float32(1))


class Problem(NamedTuple):
    """A task and what it works on.

    Attributes:
      task: what a run is.
      shared: the arrays its runs share.
      facts: about those, for the record; JSON types.
      files: what is needed to make use of a trained run, such as its vocabulary: name -> JSON
        types, each kept as a file of its own in the run folder.
      notes: what the user should know before the runs are trained; lines.
    """

    task: Task
    shared: Shared
    facts: Mapping[str, Any] = {}
    files: Mapping[str, Any] = {}
    notes: Sequence[str] = ()


def field(
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    log: bool = False,
    zero_is_off: bool = False,
    words: str = "",
) -> Any:
    """A field of a config or hparams dataclass, with its help text and legal range.

    The type is the annotation's. Type and range are checked on the host before anything compiles
    (`research.limits`): under `vmap` they could not be.

    Args:
      default: its value where none is given.
      help: the text of its flag.
      low, high: the ends of the range, which are legal.
      above, below: ends that are not, such as the decay 1 of an average that is divided by
        1 - decay.
      log: whether a random search draws the logarithm evenly, as suits a learning rate.
      zero_is_off: whether a hyper-parameter takes time even at 0; see `always_zero`.
      words: what the command line calls a word of a field that is a tuple of words, all of which
        are one value.
    """
    metadata = {
        "help": help, "low": low, "high": high, "above": above, "below": below, "log": log,
        "zero_is_off": zero_is_off, "words": words,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


def off_field() -> Any:
    """The field `off` of a config: no flag, it follows from the hyper-parameters of all runs, of
    which it is what `always_zero` says. An experiment fills it in."""
    return dataclasses.field(default=(), metadata={"derived": True})


def always_zero(hparams: HParams, values: Any = None) -> tuple[str, ...]:
    """The hyper-parameters that take time even at 0, and are 0 in every run.

    Args:
      hparams: a hparams dataclass.
      values: an object with one value or several of each; `hparams` if not given.
    """
    values = hparams if values is None else values
    costly = [one.name for one in dataclasses.fields(hparams) if one.metadata.get("zero_is_off")]
    return tuple(name for name in costly if not np.any(getattr(values, name)))


def in_use(config: Any, hparams: HParams, name: str) -> Any:
    """A hyper-parameter, or None if it is off: 0 in every run, and so not in the program."""
    return None if name in config.off else getattr(hparams, name)


def make_key(seed: Any) -> jax.Array:
    """The typed key of a seed, of the Threefry generator whatever JAX's default is: under `vmap`,
    JAX's other generators draw numbers for a run that depend on its neighbours."""
    return jax.random.key(seed, impl="threefry2x32")


def bind(function: Callable[..., Any], *static: Any) -> Callable[..., Any]:
    """`function` with its first arguments, a config and what follows from it, filled in."""
    return lambda *args: function(*static, *args)
