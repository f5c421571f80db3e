"""Tests of the defaults and flag groups of all recipes."""

import dataclasses

import pytest

from research import dqn, lm, mlp
from research.cli.arguments import make_experiment
from research.cli.command_line import parse_arguments

WORKLOADS = {
    "mlp.py": (mlp.Config, mlp.HParams),
    "dqn.py": (dqn.Config, dqn.HParams),
    "pqn.py": (dqn.PQNConfig, dqn.PQNHParams),
    "lstm_lm.py": (lm.Config, lm.HParams),
}


@pytest.mark.parametrize("script", WORKLOADS)
def test_flag_defaults_equal_the_python_defaults(script, load_script):
    """If a recipe sweeps a field by default, the Python default is among its values."""
    module = load_script(script)
    args = parse_arguments(module.RECIPES, "text", [])
    config, hparams = module._DEFAULT[:2]
    made = make_experiment("x", lambda _: None, config, hparams, args)
    for found, python, axes in zip(
        (made.config, made.hparams),
        (part() for part in WORKLOADS[script]),
        (made.config_axes, made.hparams_axes),
        strict=True,
    ):
        for field in dataclasses.fields(python):
            if field.metadata.get("derived"):
                continue
            default, value = getattr(python, field.name), getattr(found, field.name)
            assert default in axes.get(field.name, (value,)), field.name


@pytest.mark.parametrize("script", WORKLOADS)
def test_every_flag_is_in_a_group_and_the_usual_ones_are_nine(script, load_script):
    """The usual flags are nine and `--preset`."""
    fields = dataclasses.fields(load_script(script).Arguments)
    groups = [field.metadata["group"] for field in fields]
    assert not {"config", "hyper-parameter", "further"} & set(groups)
    assert groups.index("usual") == 0
    assert groups.count("usual") == 9
    usual = {field.name for field in fields if field.metadata["group"] == "usual"}
    assert {"seeds", "learning_rate", "name", "resume"} <= usual
