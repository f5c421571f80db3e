"""Tests of every flag with extreme numbers: a one-line error, or exactly that number."""

import dataclasses
import math

import numpy as np
import pytest

from research.cli.arguments import make_experiment, make_options
from research.engine.axes import make_runs
from research.errors import UserError

SCRIPTS = ("mlp.py", "dqn.py", "pqn.py", "lstm_lm.py")
INTS = [0, -1, 2**31, 2**32, 2**63, 10**30, 10**400]
FLOATS = [0.0, -1.0, 2.0**31, 2.0**32, 2.0**63, 1e30, 1e39, 1e-50, 1.0, 0.999999999]
FLOATS += [math.nan, math.inf, -math.inf]
ANY = [*INTS, *FLOATS, True]
ANY += [np.int64(2**40), np.float64(1e300), np.float32(0.5), np.bool_(False), np.uint8(1)]
WORDS = ["0", "-1", "4294967296", "1e30", "nan", "inf", "9" * 5000, "", "1" + ",1" * 2_000]


def outcome(function):
    """What a function returns, or its `UserError`; other exceptions are raised."""
    try:
        return function()
    except UserError as error:
        return error


def made(preset, args):
    """The experiment that arguments ask for, after its options have been checked as well."""
    make_options(args)
    return make_experiment("x", lambda _: None, preset[0], preset[1], args)


def values_for(current):
    """Extreme numbers of the type of a flag's default, in a tuple if the flag takes a list."""
    if isinstance(current, tuple) and current:
        inner = current[0]
        if isinstance(inner, tuple):
            return [((number,),) for number in INTS] + [((4, number),) for number in INTS]
        return [(number,) for number in values_for(inner)]
    if isinstance(current, bool):
        return []
    if isinstance(current, int) or current is None:
        return INTS
    return FLOATS if isinstance(current, float) else WORDS


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_flag_refuses_a_bad_number_or_keeps_it_exactly(script, load_script):
    module = load_script(script)
    start = module.arguments(next(iter(module.RECIPES)), seeds=("2",))
    preset, tried = module._DEFAULT, 0
    for field in dataclasses.fields(start):
        words = ("distributed", "memory_limit", "env_param", "sample", "resume", "init_from",
                 "stop_when")  # fmt: skip
        if field.name in words:
            continue
        for value in values_for(getattr(start, field.name)):
            args = dataclasses.replace(start, **{field.name: value})
            experiment = outcome(lambda args=args: made(preset, args))
            tried += 1
            if not isinstance(experiment, UserError) and hasattr(preset[1], field.name):
                runs = make_runs(experiment.hparams, experiment.hparams_axes, 1)
                column = getattr(runs.hparams, field.name)
                assert column[0] == np.float32(value[0]), (field.name, value)
                assert np.isfinite(column[0])
                assert (column[0] == 0) == (value[0] == 0)
    assert tried > 200


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unknown_device_to_compile_for_is_refused_before_anything_is_made(
    script, answer, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    status, out, error = answer(script, "--compile-for H100")
    assert (status, out) == (2, "")
    assert error == "error: --compile-for H100: no such device; did you mean h100?\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_hyperparameter_refuses_a_bad_number_or_keeps_its_dtype(script, load_script):
    hparams = load_script(script)._DEFAULT[1]
    for field in dataclasses.fields(hparams):
        for value in ANY:
            runs = outcome(lambda f=field, v=value: make_runs(hparams, {f.name: [v]}, 1))
            if not isinstance(runs, UserError):
                assert getattr(runs.hparams, field.name).dtype == np.float32
                assert getattr(runs.hparams, field.name)[0] == np.float32(value)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_config_field_refuses_a_bad_number_or_keeps_it(script, load_script):
    config = load_script(script)._DEFAULT[0]
    for field in dataclasses.fields(config):
        if not isinstance(getattr(config, field.name), int | float):
            continue
        for value in ANY:
            made = outcome(lambda f=field, v=value: dataclasses.replace(config, **{f.name: v}))
            if not isinstance(made, UserError):
                number = getattr(made, field.name)
                assert np.float32(number) if number else number == 0
                assert isinstance(getattr(config, field.name), float) or abs(number) < 2**32
