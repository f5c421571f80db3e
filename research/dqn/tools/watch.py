"""Draws an episode of a trained agent as an animated GIF into its run folder.

    scripts/watch RUN               the best run of the folder, of each environment
    scripts/watch RUN --run 17      a chosen one

It acts as in evaluation, in an episode of its own.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from research.cli.tool import run_tool
from research.console import print_line
from research.dqn.tools.trained import changed_code, restore
from research.dqn.watching import check_drawn, draw, play_one
from research.effects import flag_field
from research.errors import UserError
from research.flags import check_writable
from research.limits import as_int, as_seed
from research.parsing import Unbounded, WhichParams
from research.plain_text import count_of
from research.report.one_run import OneRun, best_runs
from research.report.read import RunFolderData, read_run_folder
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
    params: WhichParams = "last"
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


def main(arguments: Arguments) -> list[Path]:
    """Plays, draws, and returns the path of the GIF: one for each environment, if there are several
    and no run is named; one that cannot be drawn is named then.

    Raises:
      UserError: if nothing can be drawn.
    """
    as_int("--steps", arguments.steps, low=1)
    as_seed("--seed", arguments.seed)
    data = read_run_folder(arguments.folder)._replace(params=arguments.params)
    runs, paths = best_runs(data, arguments.run), []
    for run in runs:
        try:
            paths.append(_watch(data, run, arguments))
        except UserError as error:
            if run is runs[-1] and not paths:
                raise
            print_line(f"run {run.number}: {error}")
    return paths


def _watch(data: RunFolderData, run: OneRun, arguments: Arguments) -> Path:
    path = data.path / f"run-{run.number}.gif"
    check_writable(path)
    agent = restore(data, run, env_name=arguments.env, check=check_drawn)
    if line := changed_code(data, agent):
        print_line(line)
    env, params = agent.env, agent.env_params
    epsilon = getattr(agent.hparams, "eval_epsilon", 0.0)
    key = make_key(arguments.seed)
    episode = play_one(env, params, agent.values, epsilon, key, arguments.steps)
    end = "" if episode.ended else ", the most that are drawn"
    print_line(
        f"run {run.number}, seed {run.seed}: {data.manifest['key_metric']} {run.score:.4g}; "
        f"this episode has a return of {episode.returns[-1]:.4g} "
        f"after {count_of(len(episode.states), 'step')}{end}"
    )
    print_line(f"drawing {count_of(len(episode.states), 'frame')}")
    draw(env, params, episode, path)
    print_line(f"animation: {path}")
    return path


def run(argv: list[str] | None = None, prog: str = "scripts/watch") -> None:
    """Parses the command line and draws an episode of the agent that it names."""
    run_tool(main, Arguments, __doc__ or "", argv, prog)


if __name__ == "__main__":
    run()
