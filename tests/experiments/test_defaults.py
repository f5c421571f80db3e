"""What a workload does by default is the same from Python and from the command line."""

import dataclasses

import pytest

from research import dqn, lm, mlp
from research.cli.command_line import make_experiment, parse_arguments

WORKLOADS = {
    "mlp.py": (mlp.Config, mlp.HParams),
    "dqn.py": (dqn.Config, dqn.HParams),
    "pqn.py": (dqn.PQNConfig, dqn.PQNHParams),
    "lstm_lm.py": (lm.Config, lm.HParams),
}


@pytest.mark.parametrize("script", WORKLOADS)
def test_a_command_line_without_flags_is_the_config_and_hparams_of_python(script, load_script):
    """Where the command line sweeps a field by default, Python's default is among its values."""
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
