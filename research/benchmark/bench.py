"""Measures how fast this machine trains more and more runs at once, beside what it could do at best
and beside baselines: other libraries that train the same.

    scripts/bench                          every case; some 20 minutes on a CPU
    scripts/bench --quick                  three cases at two sizes, in two minutes
    scripts/bench --quick --peers PYTHON   three cases at one size beside the strongest baseline of
                                           each, in as much time: one turn of a second, one process
                                           against one process, and no time to a score
    scripts/bench --peers PYTHON           beside torch and stable_baselines3, if PYTHON has them
    scripts/bench --peers PYTHON --purejaxrl FOLDER    and a checkout of purejaxrl, if it has gymnax
                                           0.0.9 and flashbax
    scripts/bench profile CASE             where the time of a case goes
    scripts/bench compile --for h100       what an accelerator would launch and need; none is needed
    scripts/bench compare A.json B.json    two machines, or before and after a change
    scripts/bench readme                   writes the tables of the README files from results/bench/

Throughput counts units of work (examples, env steps, tokens) of all runs together and leaves
evaluations out; the time to a score includes them. Every repeat waits for the device, and figures
are medians of ten repeats, with --quick of five. Baselines are timed in turn with this project, in
two forms: one process a core, and one process with all threads. They are refused unless their net,
batch and updates are the same. The strongest baseline of the MLPs is torch.func: many nets in one
PyTorch process, `vmap(grad(loss))` over stacked params, compiled if there is a C++ compiler; on a
GPU, a CUDA graph.
Results are written to OUT/bench.json, with a figure beside it.

JAX, Flax, Optax and Chex are enough: where the project is not set up and the Python has them, they
are measured as they are. Without gymnax there are no DQNs, without matplotlib there is no figure.
"""

import dataclasses
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from research.accelerators.devices import NAMES as DEVICES
from research.accelerators.devices import read_device
from research.accelerators.needs import assumptions
from research.benchmark import compile_for, tables
from research.benchmark.cases import CASES, known_cases, targets
from research.benchmark.ceilings import measure_ceilings
from research.benchmark.figure import draw
from research.benchmark.growth import Limits, measure_growth
from research.benchmark.predicted import draw_predicted, save_predicted
from research.benchmark.profiling import profile_case
from research.benchmark.readme import README_FILES, RESULTS, write_readme
from research.benchmark.record import Benchmark, load, save
from research.benchmark.target import time_to_target
from research.benchmark.timing import Case
from research.benchmark.turns import QUICK_EFFORT, Effort, measure_baselines
from research.cli.machine import configure_jax
from research.console import LOOSE, print_table, say, waiting
from research.errors import UserError, plain_exit, shortlist
from research.flags import PlainParser, check_path, check_writable, number_after
from research.limits import MOST_RUNS, as_float, as_int
from research.matmul import PRECISIONS
from research.plain_text import count_of, one_line
from research.runs.session import describe_session

QUICK_LIMITS = Limits(runs=32, factor=32, repeats=5, cached=False)
QUICK_NOTE = (
    "--quick: three cases at two sizes, medians of five repeats; how long programs take that come "
    "from the cache was left out"
)
QUICK_PEERS_NOTE = (
    "--quick --peers: three cases at one size, medians of five repeats, and the strongest baseline "
    "of each that is installed, one process against one process, in one turn; how long programs "
    "take that come from the cache and the time to a score were left out"
)
FILE_WIDTH = 150  # columns, where the output is no terminal


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure; `read_arguments` describes each."""

    quick: bool = False
    out: str = "bench"
    cases: Sequence[str] = ()
    precisions: Sequence[str] = ()
    peers: str | None = None
    purejaxrl: str | None = None
    runs: int = Limits().runs
    seconds: float | None = None
    targets: bool = True


def bench_parser(prog: str = "scripts/bench") -> PlainParser:
    """Returns the parser of the benchmark: of the standard library, since tyro may not be
    installed."""
    parser = PlainParser(prog, (__doc__ or "").replace("scripts/bench", prog))
    add, default = parser.add_argument, Arguments()
    add("--quick", action="store_true",
        help="three cases at two sizes, five repeats each, and no programs from the cache; with "
        "--peers at one size, with no time to a score, beside the strongest baseline of each, one "
        "process against one process, in one turn")  # fmt: skip
    add(
        "--out",
        metavar="FOLDER",
        default=default.out,
        help="folder for the results (default: %(default)s)",
    )
    add(
        "--cases",
        metavar="CASE",
        nargs="+",
        default=(),
        help=f"some of {', '.join(CASES)}; all if not given",
    )
    add(
        "--precisions",
        nargs="+",
        default=(),
        help="float32, bfloat16; both if not given, with --quick the first",
    )
    add("--peers", metavar="PYTHON", help="an interpreter that has the packages of the baselines")
    add("--purejaxrl", metavar="FOLDER", help="a checkout of purejaxrl, for that interpreter")
    add(
        "--runs",
        metavar="N",
        type=number_after("--runs"),
        default=default.runs,
        help="most runs at once (default: %(default)s)",
    )
    add("--seconds", type=number_after("--seconds", float),
        help=f"how long a turn of a baseline is timed (default: {Effort().seconds:g}, with --quick "
        f"{QUICK_EFFORT.seconds:g})")  # fmt: skip
    add("--no-targets", dest="targets", action="store_false", help="leave out the time to a score")
    return parser


def read_arguments(words: Sequence[str], prog: str = "scripts/bench") -> Arguments:
    """Returns the arguments that a command line gives."""
    return Arguments(**vars(bench_parser(prog).parse_args(words)))


def main(args: Arguments) -> Path:
    """Measures every case, prints tables, writes the results and returns the path of the JSON."""
    names = check(args)
    wanted = args.precisions or (PRECISIONS[:1] if args.quick else PRECISIONS)
    console = make_console()
    session = describe_session()
    machine = {name: session[name] for name in ("started", "versions", "device", "git_commit")}
    ceilings = measure_ceilings(wanted)
    benchmark = Benchmark(machine, ceilings, [], [], [])
    say(console, f"{benchmark.name}: {tables.ceilings_line(benchmark)}")
    for name in names:
        for precision in wanted:
            measure_case(CASES[name](precision), args, benchmark, console)
    if args.targets and not (args.quick and args.peers):
        for make_target in targets(args.quick):
            benchmark.targets.append(time_to_target(make_target()))
        show(tables.targets_table(benchmark), console)
    show(tables.baselines_table(benchmark), console)
    if args.quick:
        say(console, QUICK_PEERS_NOTE if args.peers else QUICK_NOTE)
    show(tables.summary_table(benchmark), console)
    path = Path(args.out) / "bench.json"
    save(benchmark, path)
    figure = draw(benchmark, path.with_suffix(".png"))
    say(console, f"numbers: {path}; figure: {figure or 'none, matplotlib is not installed'}")
    return path


def make_console() -> Console:
    """Returns a console as wide as the terminal, or `FILE_WIDTH` if the output is none."""
    console = Console()
    return console if console.is_terminal else Console(width=FILE_WIDTH)


def check(args: Arguments) -> list[str]:
    """Returns the names of the cases to measure.

    Raises:
      UserError: for an argument that makes no sense.
    """
    check_known("--cases", args.cases, known_cases())
    check_known("--precisions", args.precisions, PRECISIONS)
    check_runs([args.runs])
    if args.purejaxrl is not None:
        if args.peers is None:
            raise UserError(
                f"--purejaxrl {one_line(args.purejaxrl)}: give --peers, an interpreter that has "
                "what it needs"
            )
        if not (Path(args.purejaxrl) / "purejaxrl" / "dqn.py").is_file():
            raise UserError(f"--purejaxrl {args.purejaxrl}: holds no purejaxrl/dqn.py")
    if args.seconds is not None and not as_float("--seconds", args.seconds) > 0:
        raise UserError(f"--seconds {args.seconds:g}: must be above 0")
    check_path("--out", args.out)
    check_writable(Path(args.out) / "bench.json", "--out", parents=True)
    return list(args.cases) or known_cases(args.quick)


def check_known(flag: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Raises a `UserError` for a name that is not among the known ones, or is given twice."""
    for name in given:
        if name in CASES and name not in known:
            raise UserError(f"{flag} {name}: gymnax is not installed")
        if name not in known:
            raise UserError(f"{flag} {one_line(name)}: there are {shortlist(known)}")
    check_distinct(flag, given)


def check_runs(counts: Sequence[int], flag: str = "--runs") -> None:
    """Raises a `UserError` unless there is at least one run each time, and not too many."""
    for runs in counts:
        as_int(flag, runs, low=1, high=MOST_RUNS)
    check_distinct(flag, counts)


def check_distinct(flag: str, given: Sequence[object]) -> None:
    """Raises a `UserError` for a value that is given twice."""
    if repeated := [value for value in given if list(given).count(value) > 1]:
        raise UserError(f"{flag} {repeated[0]} {repeated[0]}: a value is given twice")


def measure_case(case: Case, args: Arguments, benchmark: Benchmark, console: Console) -> None:
    """Times a case with more and more runs, then its baselines beside its best number of runs."""
    limits = limits_of(args)
    with waiting(console, f"{case.name}, {case.precision}") as change:
        tell = lambda timing: change(
            f"{case.name}, {case.precision}: {count_of(timing.runs, 'run')}, "
            f"{timing.units_per_second:,.0f} {case.problem.task.work_unit}/s"
        )
        growth = measure_growth(case, limits, tell)
        benchmark.growths.append(growth)
        if args.peers or not args.quick:
            results = measure_baselines(
                case, growth, args.peers, args.purejaxrl, effort_of(args), partial(say, console)
            )
            benchmark.baselines.extend(results)
    show(tables.growth_table(benchmark, growth), console)


def limits_of(args: Arguments) -> Limits:
    """Returns how many runs are timed: with --quick few, and one number only beside baselines."""
    if not args.quick:
        return Limits(runs=args.runs)
    return QUICK_LIMITS._replace(first=QUICK_LIMITS.runs) if args.peers else QUICK_LIMITS


def effort_of(args: Arguments) -> Effort:
    """Returns how thoroughly baselines are timed."""
    effort = QUICK_EFFORT if args.quick else Effort()
    return effort if args.seconds is None else effort._replace(seconds=args.seconds)


def show(rows: tables.Rows, console: Console) -> None:
    """Prints a table, unless it is empty."""
    if not rows.rows:
        return
    print_table(console, rows.names, rows.rows, title=rows.title, padding=LOOSE)


def compare(words: Sequence[str]) -> None:
    """Prints how much faster benchmark B is than benchmark A: `compare A.json B.json`."""
    if len(words) != 2:
        raise UserError("compare: give two files of scripts/bench")
    first, second = map(load, words)
    rows = tables.compare_table(first, second, [Path(word).name for word in words])
    if not rows.rows:
        raise UserError(f"{words[0]} and {words[1]} have no case and number of runs in common")
    show(rows, Console())


def profile_parser(prog: str = "scripts/bench profile") -> PlainParser:
    """Returns the parser of `profile CASE`."""
    description = "Prints where the time of a case goes: kinds of kernels, and the longest kernels."
    parser = PlainParser(prog, description)
    parser.add_argument("case", help=f"one of {', '.join(known_cases())}")
    parser.add_argument("--precision", default=PRECISIONS[0], help="(default: %(default)s)")
    parser.add_argument("--runs", type=number_after("--runs"), default=16,
        help="runs at once (default: %(default)s)")  # fmt: skip
    return parser


def profile(words: Sequence[str], prog: str = "scripts/bench profile") -> None:
    """Prints which kernels a case spends its time in: `profile CASE`."""
    args = profile_parser(prog).parse_args(words)
    check_known("profile", [args.case], known_cases())
    check_known("--precision", [args.precision], PRECISIONS)
    check_runs([args.runs])
    found = profile_case(CASES[args.case](args.precision), args.runs)
    console = make_console()
    for rows in tables.profile_tables(found):
        show(rows, console)


def compile_parser(prog: str = "scripts/bench compile") -> PlainParser:
    """Returns the parser of `compile --for DEVICE...`."""
    parser = PlainParser(prog, compile_for.__doc__)
    add = parser.add_argument
    add("--for", dest="devices", nargs="+", default=["h100"], metavar="DEVICE",
        help=f"some of {', '.join(DEVICES)} (default: h100)")  # fmt: skip
    add("--cases", nargs="+", default=(), help=f"some of {', '.join(CASES)}; all if not given")
    add("--precision", nargs="+", default=PRECISIONS[:1], help="float32, bfloat16; or both")
    add("--out", metavar="FOLDER", help="folder for compile.json and a figure, compile.png")
    add("--runs", nargs="+", type=number_after("--runs"), default=compile_for.RUNS,
        help="(default: %(default)s)")  # fmt: skip
    return parser


def compile_cases(words: Sequence[str], prog: str = "scripts/bench compile") -> None:
    """Prints what programs need of devices that are not there: `compile --for DEVICE...`."""
    args = compile_parser(prog).parse_args(words)
    devices = [read_device(name) for name in args.devices]
    check_distinct("--for", args.devices)
    check_known("--cases", args.cases, known_cases())
    check_known("--precision", args.precision, PRECISIONS)
    check_runs(args.runs)
    check_path("--out", args.out)
    if args.out is not None:
        check_writable(Path(args.out) / "compile.json", "--out", parents=True)
    console, found = make_console(), []
    for device in devices:
        say(console, assumptions(device))
        names, some = list(args.cases) or known_cases(), []
        with waiting(console, f"compiling for {device.name}") as tell:
            for one in compile_for.compile_elsewhere(names, args.precision, args.runs, device):
                tell(f"compiling for {device.name}: {one.case}, {count_of(one.runs, 'run')} done")
                some.append(one)
        show(tables.compiled_table(some, device), console)
        found += some
    if args.out is not None:
        path = Path(args.out) / "compile.json"
        save_predicted(found, devices, path)
        figure = draw_predicted(found, devices, path.with_suffix(".png"))
        say(console, f"numbers: {path}; figure: {figure or 'none, matplotlib is not installed'}")


def run(argv: list[str] | None = None, prog: str = "scripts/bench") -> None:
    """Parses the command line and measures, profiles, compares or writes the README's tables."""
    given = sys.argv[1:] if argv is None else argv
    with plain_exit():
        command, *words = given or [""]
        if command == "compare":
            compare(words)
        elif command == "readme":
            for path, make_tables in README_FILES.items():
                write_readme(path, make_tables(RESULTS))
        elif command == "profile":
            configure_jax()
            profile(words, f"{prog} profile")
        elif command == "compile":
            configure_jax()
            compile_cases(words, f"{prog} compile")
        else:
            arguments = read_arguments(given, prog)
            configure_jax()
            main(arguments)


if __name__ == "__main__":
    run()
