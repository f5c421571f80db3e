"""Draws an episode of a trained agent as an animated GIF into its run folder.

    scripts/watch RUN               the best run of the folder
    scripts/watch RUN --run 17      a chosen one

It acts as in evaluation, in an episode of its own.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax
import tyro

from research.cli import own_code
from research.cli.tool import run_tool
from research.console import print_line
from research.dqn import algorithm_of, make_environment
from research.dqn.env_params import PREFIX, add_env_params, with_env_params
from research.dqn.own_environments import code_in
from research.dqn.watching import check_drawn, draw, play_one
from research.effects import flag_field
from research.errors import UserError
from research.limits import as_int, as_seed
from research.parsing import Unbounded
from research.plain_text import count_of
from research.report.one_run import one_run
from research.report.read import read_run_folder, workload_of
from research.runs.experiment import restore_config, restore_hparams
from research.runs.run_folder import load_params
from research.task import make_key


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Draws an episode of a trained agent as an animated GIF into its run folder."""

    folder: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run folder of dqn or pqn")
    ]
    run: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="number of the run; the best if not given")
    ] = None
    steps: Annotated[int, tyro.conf.arg(help="most steps to draw; a hundred take some seconds")] = (
        flag_field(500, usual=10_000)
    )
    seed: Annotated[int, tyro.conf.arg(help="seed of the episode")] = 0
    env: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE.py:NAME", help="the code of its environment, if it is not where it was"
        ),
    ] = None
    unbounded: Unbounded = False


def main(arguments: Arguments) -> Path:
    """Plays, draws, and returns the path of the GIF."""
    as_int("--steps", arguments.steps, low=1)
    seed = as_seed("--seed", arguments.seed)
    data = read_run_folder(arguments.folder)
    algorithm = algorithm_of(data.manifest)
    if algorithm is None:
        workload = workload_of(data.manifest)
        raise UserError(f"{data.path} is a run folder of {workload}: only agents can be watched")
    run = one_run(data, arguments.run)
    like, hparams = next(iter(algorithm.presets.values()))
    config = restore_config(run.config, like)
    if arguments.env is not None:
        config = dataclasses.replace(config, env=arguments.env)
        own_code.remember(code_in(config.env))
    own_code.check_known(code_in(config.env), data.path, f"--env {config.env}")
    env = make_environment(config.env, config.protocol)
    check_drawn(env)
    problem = algorithm.make_problem(config)  # checks what a changed file may hold
    given = [name.removeprefix(PREFIX) for name in run.hparams if name.startswith(PREFIX)]
    hparams = restore_hparams(run.hparams, add_env_params(hparams, env, given))
    init = lambda: problem.task.init(problem.shared, hparams, make_key(0))
    params = load_params(data.path, run.number, jax.eval_shape(init).params)
    env_params = with_env_params(env.params, hparams)
    policy = algorithm.policy_values(config, env, hparams, params)
    key = make_key(seed)
    episode = play_one(env, env_params, policy, hparams.eval_epsilon, key, arguments.steps)
    path = data.path / f"run-{run.number}.gif"
    end = "" if episode.ended else ", the most that are drawn"
    print_line(
        f"run {run.number}, seed {run.seed}: {data.manifest['key_metric']} {run.score:.4g}; "
        f"this episode has a return of {episode.returns[-1]:.4g} "
        f"after {count_of(len(episode.states), 'step')}{end}"
    )
    print_line(f"drawing {count_of(len(episode.states), 'frame')}")
    draw(env, env_params, episode, path)
    print_line(f"animation: {path}")
    return path


def run(argv: list[str] | None = None, prog: str = "scripts/watch") -> None:
    """Parses the command line and draws an episode of the agent that it names."""
    run_tool(main, Arguments, __doc__ or "", argv, prog)


if __name__ == "__main__":
    run()
