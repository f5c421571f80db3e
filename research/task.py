"""The contract between a workload and the engine: a `Task` is three pure functions.

Every `Task` can be swept over seeds and hyper-parameters in one compiled program, sharded, split,
measured, recorded and reported, without knowing about any of it.

    config   static: a frozen dataclass. Another value is another program.
    hparams  traced: a `flax.struct` dataclass of scalars. Another value is another lane.
    shared   the arrays that all runs read (data, environment parameters). Passed in, never closed
             over: a closed-over array is compiled into the program as a constant.
    state    the carry of a run: a pytree with a field `params`, the optimizer state and data. No
             functions, no keys, and no counter that a branch depends on.
    key      a fresh key for every step, given by the engine: `fold_in(run_key, t)`. So a run
             depends neither on the chunk length, nor on where it was stopped, nor on other runs.
    t        the step, counted by the engine and the same for all runs. Schedules, epochs and
             write positions follow from it. A branch on `t` stays a branch under `vmap`; a branch
             on anything in the state becomes a `select` that computes both sides.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:  # JAX takes a second to import, and flags are read without it
    import jax

Shared = Any
HParams = Any
State = Any
Metrics = Mapping[str, "jax.Array | Mean"]


class Requirement(NamedTuple):
    """A condition on several hyper-parameters of one run, such as that a range is not empty.

    Attributes:
      fields: the names of the hyper-parameters.
      holds: bool, or bool [R] for columns of R runs.
      reason: the condition in words, for the end of the error line.
    """

    fields: tuple[str, ...]
    holds: Any
    reason: str


def no_requirements(hparams: HParams) -> Sequence[Requirement]:
    """No requirements."""
    del hparams
    return ()


def replace_params(state: State, params: Any) -> State:
    """Returns a state with other params, where nothing else in it depends on them."""
    if hasattr(state, "_replace"):
        return state._replace(params=params)
    return dataclasses.replace(state, params=params)


@dataclasses.dataclass(frozen=True)
class SplitStep:
    """The `step` of a task, told so that an accelerator needs fewer kernels: what it draws at
    random, and the rest. A task whose step is replaced, say by one that calls it, is as any other.

    Attributes:
      draw: `(shared, hparams, fixed, key, t) -> drawn`, a tree of arrays: what no earlier step
        changes, above all what is drawn at random. An accelerator computes it for many steps at
        once, since each call of the generator is some kernels.
      step_drawn: as the step, with what was drawn in place of the key.
      fixed: the fields of the state that no step changes and that `draw` reads; it is given a
        mapping from their names to their values.
      packed: the fields of the state that consist of many small arrays. On an accelerator each lies
        in one array between steps, since what is updated by itself is a kernel.
    """

    draw: Callable[..., Any]
    step_drawn: Callable[..., Any]
    fixed: tuple[str, ...] = ()
    packed: tuple[str, ...] = ()

    def fixed_of(self, state: State) -> dict[str, Any]:
        """The fields of a state that `draw` reads."""
        return {name: getattr(state, name) for name in self.fixed}

    def __call__(
        self, shared: Shared, hparams: HParams, state: State, key: "jax.Array", t: "jax.Array"
    ) -> tuple[State, Metrics]:
        """The whole step."""
        drawn = self.draw(shared, hparams, self.fixed_of(state), key, t)
        return self.step_drawn(shared, hparams, state, drawn, t)


def as_split(step: Callable[..., Any]) -> SplitStep:
    """A step as a `SplitStep`; one that is none draws its key alone."""
    return step if isinstance(step, SplitStep) else SplitStep(_only_key, step)


def _only_key(shared, hparams, fixed, key, t):
    del shared, hparams, fixed, t
    return key


class Task(NamedTuple):
    """Three pure functions, and a few facts for the engine.

    Attributes:
      init: `(shared, hparams, key) -> state`.
      step: `(shared, hparams, state, key, t) -> (state, metrics)`, one update. `t` is an int32
        scalar that counts from 0. Metrics are scalars, or `Mean` where there may be none. It may be
        a `SplitStep`.
      evaluate: `(shared, hparams, state, key) -> metrics`. It leaves the state unchanged.
      key_metric: the metric that settings are compared by; one that `evaluate` returns.
      higher_is_better: whether a larger `key_metric` is better.
      work_unit: the unit of work, in the plural: examples, env steps, tokens.
      work_per_step: the units of work in one step of one run.
      work_at_start: the units of work in `init`.
      steps: the length of a run, and the horizon of its schedules; None leaves it to the command
        line, where there are no schedules.
      epoch: the steps of one pass over the data, if it is read in order.
      goal: the value of `key_metric` at which a run has solved its problem.
      requirements: `hparams -> conditions` on several hyper-parameters together. Checked for every
        setting of a sweep before anything compiles.
      with_params: `(state, params) -> state`: a state before its first step with other params.
      extends: `hparams -> conditions` under which a longer run begins as a shorter one, since no
        schedule ends with the run. None: always where `steps` is None, and else never.
    """

    init: Callable[[Shared, HParams, "jax.Array"], State]
    step: Callable[[Shared, HParams, State, "jax.Array", "jax.Array"], tuple[State, Metrics]]
    evaluate: Callable[[Shared, HParams, State, "jax.Array"], Metrics]
    key_metric: str = "loss"
    higher_is_better: bool = False
    work_unit: str = "steps"
    work_per_step: int = 1
    work_at_start: int = 0
    steps: int | None = None
    epoch: int | None = None
    goal: float | None = None
    requirements: Callable[[HParams], Sequence[Requirement]] = no_requirements
    with_params: Callable[[State, Any], State] = replace_params
    extends: Callable[[HParams], Sequence[Requirement]] | None = None

    def work_after(self, step: Any) -> Any:
        """The work that is done after `step` steps."""
        return self.work_at_start + step * self.work_per_step


class Mean(NamedTuple):
    """A metric that is not defined at every step, such as the return of an episode.

    The engine sums both fields over the steps that it logs together and records total / weight, or
    null where weight is 0. An observation of weight 0 is ignored, whatever its total, in training
    and in evaluation: a NaN there, such as the R2 of a single row, does not count as divergence.
    With `done` and `returns` over the environments of one run:
    `Mean(jnp.sum(returns * done), jnp.sum(done))`.
    """

    total: Any  # float32 scalar
    weight: Any  # scalar, integer or float, >= 0

    @classmethod
    def of(cls, metric: "jax.Array | Mean") -> "Mean":
        """`metric` if it is a `Mean`, else a `Mean` of this one observation."""
        import jax.numpy as jnp

        if isinstance(metric, Mean):
            return cls(jnp.float32(metric.total), jnp.float32(metric.weight))
        return cls(jnp.float32(metric), jnp.float32(1))


class Problem(NamedTuple):
    """A task and its data.

    Attributes:
      task: the task.
      shared: the arrays that its runs share.
      facts: facts about the data, for the manifest; JSON types.
      files: name -> JSON types, each kept as a file in the run folder: what a trained run needs to
        be used, such as its vocabulary.
      notes: lines that the user should read before the runs are trained.
      workload: the name of its workload, by which tools and the report know the run folders of all
        experiments with it; without one, that of the experiment.
      offers: name -> what the tools of the workload use of a trained run, such as the function that
        an agent acts by. The workload says which names there are.
    """

    task: Task
    shared: Shared
    facts: Mapping[str, Any] = {}
    files: Mapping[str, Any] = {}
    notes: Sequence[str] = ()
    workload: str = ""
    offers: Mapping[str, Any] = {}


class OnlyWith(NamedTuple):
    """When a field has an effect.

    Attributes:
      fields: the names of other flags.
      holds: of their values, whether it has one.
      words: what they have to be, as on the command line, for the user.
    """

    fields: tuple[str, ...]
    holds: Callable[..., Any]
    words: str


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
    code_in: Callable[[str], list[str]] | None = None,
    usual: int | None = None,
    only_with: OnlyWith | None = None,
    length: bool = False,
) -> Any:
    """A field of a config or hparams dataclass, with its help text and legal range.

    The type is the annotation's. Type and range are checked on the host before anything compiles
    (`research.limits`): under `vmap` they could not be.

    Args:
      default: the default value.
      help: the help text of its flag.
      low, high: inclusive bounds of the range.
      above, below: exclusive bounds, such as 1 for the decay of an average that is divided by
        1 - decay.
      log: whether a random search draws the logarithm uniformly, as suits a learning rate.
      zero_is_off: whether the hyper-parameter costs time even at 0; see `always_zero`.
      words: for a field that is a tuple of strings: the command line's name of one of them.
      code_in: for a field that may name code of the user: value -> the files and modules in it.
      usual: the most of a count that does not take very long; the command line asks for
        `--unbounded` beyond.
      only_with: when the field has an effect, if not always.
      length: whether it says how long a run trains. A run folder may be resumed with more of it.
    """
    metadata = {
        "help": help, "low": low, "high": high, "above": above, "below": below, "log": log,
        "zero_is_off": zero_is_off, "words": words, "code_in": code_in, "usual": usual,
        "only_with": only_with, "length": length,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


def off_field() -> Any:
    """The field `off` of a config: the `always_zero` of all runs, filled in by the experiment.

    It has no flag.
    """
    return dataclasses.field(default=(), metadata={"derived": True})


def always_zero(hparams: HParams, values: Any = None) -> tuple[str, ...]:
    """The hyper-parameters that cost time even at 0 and are 0 in every run, by name.

    Args:
      hparams: a hparams dataclass.
      values: an object with one value, or an array of values, of each; `hparams` if None.
    """
    values = hparams if values is None else values
    costly = [one.name for one in dataclasses.fields(hparams) if one.metadata.get("zero_is_off")]
    return tuple(name for name in costly if not np.any(getattr(values, name)))


def in_use(config: Any, hparams: HParams, name: str) -> Any:
    """The value of a hyper-parameter; None if it is off, that is 0 in every run."""
    return None if name in config.off else getattr(hparams, name)


def make_key(seed: Any) -> "jax.Array":
    """The typed key of a seed.

    The generator is Threefry whatever JAX's default is: under `vmap`, the numbers that JAX's other
    generators draw for a run depend on the other runs.
    """
    import jax

    return jax.random.key(seed, impl="threefry2x32")


def bind(function: Callable[..., Any], *static: Any) -> Callable[..., Any]:
    """`function` with its first, static, arguments filled in, such as a config."""
    return lambda *args: function(*static, *args)
