"""A sweep compiled for a device that is not there: whether it fits, in how many parts, and what
the user reads."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from research.accelerators import elsewhere
from research.accelerators.devices import read_device
from research.cli import compile_for
from research.cli.compile_for import GroupNeeds, compile_sweep, group_needs
from research.engine.cadence import Intervals
from research.errors import UserError
from research.runs.experiment import Experiment, make_parts
from research.runs.opening import RunOptions
from research.runs.schedulers.population import Population
from research.runs.search import Search
from research.runs.training import TrainOptions
from research.task import field
from tests import toy
from tests.accelerators.small_device import SMALL, compile_on_cpu

RUN_BYTES = 1_000_000


@dataclasses.dataclass(frozen=True)
class Config:
    size: int = field(RUN_BYTES // 4, "numbers in the params", low=1)
    compute: str = field("float32", "a word")


def problem(config):
    init = lambda shared, hparams, key: toy.init({"start": jnp.zeros(config.size)}, hparams, key)
    first = lambda metrics: {name: jnp.ravel(value)[0] for name, value in metrics.items()}

    def step(shared, hparams, state, key, t):
        state, metrics = toy.step(shared, hparams, state, key, t)
        return state, metrics | first({"loss": metrics["loss"]})

    evaluate = lambda *args: first(toy.evaluate(*args))
    task = toy.TASK._replace(init=init, step=step, evaluate=evaluate)
    return toy.problem()._replace(task=task)


EXPERIMENT = Experiment(
    name="toy", make_problem=problem, config=Config(), hparams=toy.ToyHParams(), config_axes={},
    hparams_axes={"rate": (1.0, 2.0)}, seeds=range(4), steps=200, intervals=Intervals(),
)  # fmt: skip


def needs_within(limit, experiment=EXPERIMENT, **options):
    (part,) = make_parts(experiment)
    given = RunOptions(train=TrainOptions(memory_limit=limit), **options)
    return group_needs(experiment, part, given, SMALL._replace(memory_bytes=10**9))


def test_a_sweep_is_split_into_parts_that_fit(monkeypatch):
    compile_on_cpu(monkeypatch)
    whole = needs_within(None)
    assert (whole.runs, whole.steps, whole.parts, whole.together) == (8, 200, 1, 8)
    assert whole.peak_bytes == whole.whole_bytes > 8 * RUN_BYTES
    assert whole.limit_bytes == 0.9 * 10**9
    assert whole.seconds == 200 * whole.step_seconds
    split = needs_within(whole.peak_bytes // 2 + RUN_BYTES)
    assert split.parts * split.together >= 8
    assert 1 < split.parts <= 4
    assert split.peak_bytes <= split.limit_bytes < split.whole_bytes
    assert split.whole_bytes == pytest.approx(whole.whole_bytes, rel=0.25)
    assert split.seconds == split.parts * 200 * split.step_seconds
    none = needs_within(RUN_BYTES)
    assert (none.parts, none.together) == (0, 1)
    assert none.peak_bytes > none.limit_bytes
    asked = needs_within(None, parallel=3)
    assert (asked.parts, asked.together) == (3, 3)


def test_a_population_stays_together(monkeypatch):
    """Four of two members each: they are split between populations, and one alone has to fit."""
    compile_on_cpu(monkeypatch)
    populations = EXPERIMENT._replace(
        population=Population(), search=Search(2, 0), hparams_axes={"rate": (1.0, 2.0)}
    )
    whole = needs_within(None, populations)
    assert (whole.parts, whole.together, whole.fewest) == (1, 8, 2)
    per_run = whole.peak_bytes // 8
    assert needs_within(7 * per_run, populations).together in (4, 6)
    split = needs_within(None, populations, parallel=3)
    assert (split.parts, split.together) == (4, 2)
    lone = needs_within(int(1.5 * per_run), populations)
    assert (lone.parts, lone.together, lone.fewest) == (0, 2, 2)
    assert lone.peak_bytes > lone.limit_bytes


def test_a_compiler_that_refuses_a_program_has_it_split(monkeypatch):
    """As that of a TPU does; below, one for which 2 runs are the most."""
    compile_on_cpu(monkeypatch)
    measure = compile_for.measure_needs

    def refuse(problem, runs, *rest):
        if len(runs) > most:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory on HBM")
        return measure(problem, runs, *rest)

    monkeypatch.setattr(compile_for, "measure_needs", refuse)
    most = 2
    split = needs_within(None)
    assert (split.parts, split.together) == (4, 2)
    assert 8 * RUN_BYTES < split.whole_bytes < 16 * RUN_BYTES
    most = 0
    assert needs_within(None).parts == 0


ONE = GroupNeeds(
    group="hidden=8", runs=8, steps=1_000, parts=2, together=4, fewest=1, whole_bytes=90 * 10**9,
    peak_bytes=50 * 10**9, limit_bytes=70 * 10**9, kernels=30.0, copies=2.0, waits=1, cycles=0.0,
    bound="launches", step_seconds=8e-5,
)  # fmt: skip


def printed(capsys, monkeypatch, *found):
    monkeypatch.setattr(
        compile_for, "run_elsewhere", lambda words, device: [one._asdict() for one in found]
    )
    monkeypatch.setenv("COLUMNS", "200")
    try:
        compile_sweep(EXPERIMENT, RunOptions(), ["h100"])
    finally:
        out = capsys.readouterr().out
    return out


def test_parts_memory_and_time_of_the_whole_sweep_are_printed(capsys, monkeypatch):
    out = printed(capsys, monkeypatch, ONE, ONE._replace(group="hidden=16", parts=1, together=8))
    assert "hidden=8: together its 8 runs need 90GB, 20GB more than the 70GB that can be" in out
    assert "2 parts of up to 4 runs" in out
    assert "toy: 16 runs fit h100 in 3 parts, and train for 240 ms at best; evaluations" in out
    assert "times are predicted" in out
    assert "2.5 microseconds a kernel" in out


def test_a_run_that_does_not_fit_alone_is_an_error_after_the_table(capsys, monkeypatch):
    lone = ONE._replace(parts=0, together=1, peak_bytes=80 * 10**9)
    with pytest.raises(
        UserError, match="--compile-for h100: one run of hidden=8 alone does not fit: it needs"
    ):
        printed(capsys, monkeypatch, lone)


def test_a_population_that_does_not_fit_is_an_error_that_says_so(capsys, monkeypatch):
    lone = ONE._replace(parts=0, together=4, fewest=4, peak_bytes=80 * 10**9)
    with pytest.raises(UserError, match="h100: a population of 4 of hidden=8 does not fit: it"):
        printed(capsys, monkeypatch, lone)


def test_the_process_elsewhere_sends_what_this_one_reads(capsys, monkeypatch, tmp_path):
    compile_on_cpu(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(elsewhere.VARIABLE, "h100")
    compile_sweep(EXPERIMENT, RunOptions(), ["v5e", "h100"])
    (line,) = capsys.readouterr().out.splitlines()
    facts = elsewhere.json.loads(line.removeprefix(elsewhere.MARK))
    sent = GroupNeeds(**facts)
    assert sent.limit_bytes == int(0.9 * read_device("h100").memory_bytes)
    assert (sent.parts, sent.waits) == (1, 0)
    assert not list(tmp_path.iterdir())
