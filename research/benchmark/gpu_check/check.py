"""Measures in a few minutes what only a machine with a GPU can tell, the most important first.

    scripts/gpu_check --minutes 8 --out FOLDER    on a machine with a GPU; no network is needed
    PYTHONPATH=WHEELS scripts/gpu_check --out FOLDER    with packages that lie in a folder
    scripts/gpu_check --minutes 60 --out FOLDER    every point of the throughput curves
    scripts/gpu_check --minutes 3 --out FOLDER --cases mlp-small --runs 1 8 --no-tests    shortened

JAX, Flax, Optax and Chex are enough, in a Python of 3.11 or newer: where the project is not set up,
they are used as they are. Without gymnax there are no DQNs; it may be brought along with gymnasium
and farama-notifications, as by `pip install --target WHEELS`. Without pytest the tests are left
out. In this order, each part with a share of the time:

    correctness      training on the device agrees with the CPU, and sharded with unsharded;
                     scatters under XLA's deterministic flag; goldens and contract tests
    throughput       of all cases with 1 to 4,096 runs in both precisions; evaluation apart
    launch_cost      what a kernel costs to launch, fitted; predicted against measured
    command_buffers  variants of XLA's flags for CUDA graphs, on the quick cases
    rejax            the DQN of rejax's chart, with 50 and 512 agents
    profiles         where the time of each quick case goes

Each part has a file FOLDER/PART.json, written anew with every result, and summary.txt and
summary.json tell what is known so far: a check may be killed at any time, and its files are whole.
What does not fit the time or the memory is left out and named. The status is 1 if anything was
found wrong. A throughput is only worth something while nothing else runs on the machine.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from research.benchmark.bench import check_known, check_runs
from research.benchmark.cases import CASES, HAS_GYMNAX, known_cases
from research.benchmark.gpu_check import (
    command_buffers,
    correctness,
    launch_cost,
    profiles,
    rejax,
    throughput,
)
from research.benchmark.gpu_check.plan import CheckPlan, Clock, make_plan
from research.benchmark.gpu_check.processes import Found, results_of
from research.benchmark.gpu_check.results import (
    CheckResults,
    Describe,
    PartResults,
    open_folder,
)
from research.console import print_text
from research.errors import UserError, plain_exit
from research.flags import PlainParser, check_path, number_after
from research.limits import as_float
from research.matmul import PRECISIONS

STARTING = 120.0  # seconds that JAX may take to find its devices


class CheckPart(NamedTuple):
    """A part of a check.

    Attributes:
      name: of its file.
      title: of what it tells, in words.
      share: of the time; what one part leaves is for the next. 0: it takes no time.
      measure: finds the results.
      describe: makes lines for the summary of them.
    """

    name: str
    title: str
    share: float
    measure: Callable[[PartResults], None]
    describe: Describe


PARTS = (
    CheckPart("correctness", "It is right", 0.25, correctness.measure, correctness.describe),
    CheckPart("throughput", "Throughput", 0.3, throughput.measure, throughput.describe),
    CheckPart("launch_cost", "Launch cost", 0.0, launch_cost.measure, launch_cost.describe),
    CheckPart("command_buffers", "Command buffers", 0.28, command_buffers.measure,
         command_buffers.describe),
    CheckPart("rejax", "The DQN of rejax's chart", 0.07, rejax.measure, rejax.describe),
    CheckPart("profiles", "Profiles", 0.1, profiles.measure, profiles.describe),
)  # fmt: skip


def check(plan: CheckPlan, folder: Path, parts: Sequence[CheckPart] = PARTS) -> CheckResults:
    """Measures all parts, one after the other, and returns what they found.

    Raises:
      UserError: if JAX finds no device.
    """
    clock = Clock(60 * plan.minutes)
    machine = _machine()
    device = machine["device"]
    if device["platform"] == "cpu":
        print_text("JAX finds no GPU: this measures the CPU")
    if not HAS_GYMNAX:
        print_text("gymnax is not installed: there are no DQNs")
    results, end = CheckResults(folder, plan, clock, machine), 0.0
    for part in parts:
        end += part.share
        found = results.begin(part.name, part.title, end, part.describe)
        found.run(part.measure, at_once=not part.share)
        for line in found.lines():
            print_text(line)
    return results


def _machine() -> Found:
    """Asks a process, since one that looks at a GPU takes most of its memory."""
    for found in results_of("machine", {}, STARTING):
        if "device" in found:
            return found
        raise UserError(found.get("error") or f"JAX has found no device in {STARTING:.0f} s")
    raise UserError("JAX finds no device")


def check_parser(prog: str = "scripts/gpu_check") -> PlainParser:
    """Returns the parser of the check."""
    parser = PlainParser(prog, (__doc__ or "").replace("scripts/gpu_check", prog))
    add, default = parser.add_argument, CheckPlan()
    add("--minutes", type=number_after("--minutes", float), default=default.minutes,
        help="for all parts (default: 8)")  # fmt: skip
    add("--out", metavar="FOLDER", required=True, help="a new folder for the results")
    add("--cases", metavar="CASE", nargs="+", default=(),
        help=f"some of {', '.join(CASES)}; all if not given, three in every part")  # fmt: skip
    add("--precisions", nargs="+", default=PRECISIONS, help="float32, bfloat16; both if not given")
    add("--runs", metavar="N", nargs="+", type=number_after("--runs"), default=default.runs,
        help="runs at once (default: 1 8 64 512 4096)")  # fmt: skip
    add("--agents", metavar="N", nargs="+", type=number_after("--agents"), default=default.agents,
        help="agents of the DQN of rejax's chart (default: 50 512)")  # fmt: skip
    add("--no-tests", dest="tests", action="store_false", help="leave out what needs pytest")
    return parser


def read_arguments(words: Sequence[str], prog: str) -> tuple[CheckPlan, Path]:
    """Returns the plan and the folder that a command line gives.

    Raises:
      UserError: for an argument that makes no sense.
    """
    given = vars(check_parser(prog).parse_args(words))
    if not as_float("--minutes", given["minutes"]) > 0:
        raise UserError(f"--minutes {given['minutes']:g}: must be above 0")
    check_known("--cases", given["cases"], known_cases())
    check_known("--precisions", given["precisions"], PRECISIONS)
    for name in ("runs", "agents"):
        check_runs(given[name], f"--{name}")
    check_path("--out", given["out"])
    folder = open_folder(Path(given.pop("out")))
    as_tuples = {name: tuple(one) for name, one in given.items() if isinstance(one, list | tuple)}
    return make_plan(**given | as_tuples), folder


def run(argv: Sequence[str] | None = None, prog: str = "scripts/gpu_check") -> None:
    """Parses the command line, measures, and ends with status 1 if anything was found wrong."""
    with plain_exit():
        plan, folder = read_arguments(sys.argv[1:] if argv is None else argv, prog)
        with tempfile.TemporaryDirectory() as cache:
            os.environ.setdefault("SEEDBED_CACHE", cache)  # the processes share programs
            results = check(plan, folder)
        print_text(f"results: {folder}/summary.txt")
        if not all(part.is_right for part in results.parts):
            raise SystemExit(1)


if __name__ == "__main__":
    run()
