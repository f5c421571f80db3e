"""Draws an episode of a trained agent as an animated GIF into its run folder.

    scripts/watch RUN               the best run of the folder
    scripts/watch RUN --run 17      a chosen one

It acts as in evaluation, in an episode of its own.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from research.cli.tool import run_tool
from research.console import print_line
from research.dqn.tools.trained import restore
from research.dqn.watching import check_drawn, draw, play_one
from research.effects import flag_field
from research.limits import as_int, as_seed
from research.parsing import Unbounded
from research.report.one_run import one_run
from research.report.read import read_run_folder
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
    run = one_run(data, arguments.run)
    agent = restore(data, run, arguments.env, check_drawn)
    env, params = agent.env, agent.env_params
    epsilon = getattr(agent.hparams, "eval_epsilon", 0.0)
    episode = play_one(env, params, agent.values, epsilon, make_key(seed), arguments.steps)
    path = data.path / f"run-{run.number}.gif"
    end = "" if episode.ended else ", the most that are drawn"
    print_line(
        f"run {run.number}, seed {run.seed}: {data.manifest['key_metric']} {run.score:.4g}; "
        f"this episode has a return of {episode.returns[-1]:.4g} "
        f"after {len(episode.states)} steps{end}"
    )
    print_line(f"drawing {len(episode.states)} frames")
    draw(env, params, episode, path)
    print_line(f"animation: {path}")
    return path


def run(argv: list[str] | None = None, prog: str = "scripts/watch") -> None:
    """Parses the command line and draws an episode of the agent that it names."""
    run_tool(main, Arguments, __doc__ or "", argv, prog)


if __name__ == "__main__":
    run()
