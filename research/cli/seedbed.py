"""The console command `seedbed`: one subcommand for each tool, which is imported when it is asked
for."""

import difflib
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from research.console import print_text
from research.errors import UserError, plain_exit


class Tool(NamedTuple):
    """A subcommand.

    Attributes:
      usage: its name, and what it takes.
      module: has a function `run(argv, prog)`.
      help: what it does, in a line; `scripts/README.md` says the same.
    """

    usage: str
    module: str
    help: str

    @property
    def name(self) -> str:
        """The subcommand, and the script in `scripts/` that does the same."""
        return self.usage.split()[0]


TOOLS: Mapping[str, Sequence[Tool]] = {
    "Training": (
        Tool("launch FILE.py FLAGS", "research.cli.launch",
             "trains a sweep in several processes, here or through SLURM"),
        Tool("new-experiment NAME", "research.cli.new_experiment",
             "writes an experiment to begin with: a task, its recipe and tests that pass"),
        Tool("bench", "research.benchmark.bench",
             "measures how fast this machine trains, and how fast it could"),
        Tool("gpu_check", "research.benchmark.gpu_check.check",
             "measures in minutes what only a machine with a GPU can tell; needs no network"),
    ),
    "Any run folder": (
        Tool("report RUN...", "research.report.tools.report",
             "compares the settings of run folders, with intervals, on a page of figures"),
        Tool("runs [FOLDER]", "research.report.tools.runs",
             "lists run folders: what each swept, how far it is, and how good"),
        Tool("figure RUN...", "research.report.tools.figure",
             "draws learning curves for a paper, and writes tables as LaTeX, Markdown or CSV"),
        Tool("show RUN", "research.report.tools.show",
             "prints the result table of a run folder and draws its learning curve"),
    ),
    "MLPs": (
        Tool("evaluate RUN", "research.mlp.tools.evaluate",
             "computes every metric, of each run and of ensembles, with figures"),
        Tool("attack RUN", "research.mlp.tools.attack",
             "measures the scores under FGSM and PGD"),
        Tool("explain RUN", "research.mlp.tools.explain",
             "computes integrated gradients and permutation importance"),
        Tool("export RUN", "research.mlp.tools.export",
             "writes a program that predicts without this package"),
    ),
    "DQN and PQN": (
        Tool("watch RUN", "research.dqn.tools.watch",
             "draws an episode of a trained agent as an animated GIF"),
    ),
    "Language models": (
        Tool("sample RUN", "research.lm.tools.sample",
             "lets a trained model write text"),
        Tool("perplexity RUN", "research.lm.tools.perplexity",
             "computes the perplexity of each run and of their ensemble"),
    ),
}  # fmt: skip
RECIPES = "To train, start a recipe: a script in the repository's experiments/, such as dqn.py."


def main(argv: Sequence[str] | None = None) -> None:
    """Starts the tool that the first word names; without a word, or with --help, lists all.

    Args:
      argv: the words after `seedbed`; those of this process if None.
    """
    name, *words = (sys.argv[1:] if argv is None else argv) or ["--help"]
    with plain_exit():
        if name in ("-h", "--help"):
            print_text("\n".join(_listing()))
            return
        tool = find_tool(name)
    importlib.import_module(tool.module).run(words, prog=f"seedbed {name}")


def find_tool(name: str) -> Tool:
    """Returns the tool of a name.

    Raises:
      UserError: suggesting the nearest name, if there is no such tool.
    """
    tools = {tool.name: tool for some in TOOLS.values() for tool in some}
    if name in tools:
        return tools[name]
    near = difflib.get_close_matches(name, tools, n=1)
    right = f"did you mean {near[0]}?" if near else f"there are {', '.join(tools)}"
    raise UserError(f"seedbed {name}: no such subcommand; {right}")


def _listing() -> Iterator[str]:
    """Yields the lines of `seedbed --help`."""
    yield "usage: seedbed SUBCOMMAND ...; seedbed SUBCOMMAND --help lists its flags"
    yield ""
    yield RECIPES
    width = max(len(tool.usage) for tools in TOOLS.values() for tool in tools)
    for heading, tools in TOOLS.items():
        yield ""
        yield f"{heading}:"
        for tool in tools:
            yield f"  {tool.usage:<{width}}  {tool.help}"


if __name__ == "__main__":
    main()
