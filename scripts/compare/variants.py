"""Measures whether a change makes training faster: times cases of `scripts/bench` with and without
it, in turns, each in a process of its own.

    scripts/run scripts/compare/variants.py --cases mlp-small dqn-cartpole --variants rbg
    scripts/run scripts/compare/variants.py --cases lstm-word-200 --checkout ../before
    scripts/run scripts/compare/variants.py --variants loops-in-command-buffers    # on a GPU
    PYTHONPATH=. python3 scripts/compare/variants.py --variants ...    # beside JAX alone

`--checkout FOLDER` times the code in another folder, such as a commit from before a change. A
variant may also be an environment variable, such as XLA_FLAGS=--xla_... (flags of XLA are added to
those that are set). Printed are ratios of units of work per second, the variant's over the
unchanged: the median of the turns, the smallest and the largest.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from research.errors import UserError, plain_exit, shortlist
from research.matmul import PRECISIONS

ROOT = Path(__file__).parents[2]
LOOP = Path(__file__).with_name("case_rate.py")
SECONDS = 1.5  # of each timing
# Case -> the number of runs that about saturates a CPU of 2 cores.
RUNS = {
    "mlp-small": 32,
    "mlp-digits": 16,
    "dqn-cartpole": 16,
    "dqn-breakout": 8,
    "lstm-char-128": 8,
    "lstm-word-200": 4,
    "lstm-word-650": 2,
}
GRAPHS = "XLA_FLAGS=--xla_gpu_enable_command_buffer="
VARIANTS = {
    "rbg": "JAX_DEFAULT_PRNG_IMPL=rbg",  # repeats only with the same layout of the runs
    "no-large-pages": "GLIBC_TUNABLES=",
    # NVIDIA: kernels started by the device itself, in CUDA graphs; alone, only straight-line code.
    "no-command-buffers": GRAPHS,
    "loops-in-command-buffers": GRAPHS + "+WHILE,+CONDITIONAL",
    "no-autotuning": "XLA_FLAGS=--xla_gpu_autotune_level=0",
    "no-triton": "XLA_FLAGS=--xla_gpu_enable_triton_gemm=false",
    "unrolled-loops": (
        "XLA_FLAGS=--xla_gpu_enable_while_loop_unrolling=WHILE_LOOP_UNROLLING_AUTO_UNROLL"
    ),
    "float32-is-not-tf32": "JAX_DEFAULT_MATMUL_PRECISION=highest",
}


def read_arguments() -> argparse.Namespace:
    """Reads the command line with argparse, since tyro may be missing, as for `scripts/bench`."""
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--cases", nargs="+", default=tuple(RUNS), help=f"of {', '.join(RUNS)}; all if not given")
    add("--variants", nargs="+", default=(), help=f"{', '.join(VARIANTS)}, or NAME=VALUE")
    add("--checkout", metavar="FOLDER", help="other code")
    add("--precision", default=PRECISIONS[0], help="(default: %(default)s)")
    add("--runs", type=int, default=0, help="at once (default: what saturates 2 cores)")
    add("--turns", type=int, default=3, help="(default: %(default)s)")
    return parser.parse_args()


def check(args: argparse.Namespace) -> dict[str, tuple[Path, Mapping[str, str]]]:
    """What is compared: name -> the folder of the code, and variables of its environment.

    Raises:
      UserError: for a case, variant or checkout that does not exist.
    """
    if odd := [case for case in args.cases if case not in RUNS]:
        raise UserError(f"--cases {odd[0]}: there are {shortlist(RUNS)}")
    if args.precision not in PRECISIONS:
        raise UserError(f"--precision {args.precision}: there are {shortlist(PRECISIONS)}")
    if args.turns < 1 or args.runs < 0:
        raise UserError("--turns must be at least 1, --runs at least 0")
    others: dict[str, tuple[Path, Mapping[str, str]]] = {}
    for variant in map(str, args.variants):
        name, equals, value = VARIANTS.get(variant, variant).partition("=")
        if not equals:
            raise UserError(f"--variants {variant}: there are {shortlist(VARIANTS)}")
        before = os.environ.get(name, "")
        others[variant] = ROOT, {name: f"{before} {value}" if name == "XLA_FLAGS" else value}
    if args.checkout is not None:
        folder = Path(args.checkout)
        places = ("research/benchmark/cases.py", "experiments/bench_cases.py")  # now, and before
        if not any((folder / place).is_file() for place in places):
            raise UserError(f"--checkout {folder}: holds no {places[0]}")
        others[str(folder)] = folder.resolve(), {}
    if not others:
        raise UserError("nothing to compare with: give --variants or --checkout")
    return others


def units_per_second(
    case: str, runs: int, precision: str, root: Path, variables: Mapping[str, str]
) -> float:
    """Units of work per second of all runs, timed in a process of its own.

    Raises:
      UserError: if it fails.
    """
    command = [sys.executable, str(LOOP), str(root), case, precision, str(runs), str(SECONDS)]
    env = {**os.environ, **variables}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{case} with {dict(variables)}, code of {root}: {done.stderr[-300:]}")
    return float(done.stdout.split()[-1])


def main(args: argparse.Namespace) -> None:
    """Prints a line for each case and variant."""
    others = check(args)
    for case in args.cases:
        runs = args.runs or RUNS[case]
        ratios = {name: [] for name in others}
        for _ in range(args.turns):
            usual = units_per_second(case, runs, args.precision, ROOT, {})
            for name, other in others.items():
                ratios[name].append(units_per_second(case, runs, args.precision, *other) / usual)
        for name, found in ratios.items():
            middle = statistics.median(found)
            print(
                f"{case}, {args.precision}, {runs:,} runs: {name} {middle:.3f} "
                f"({min(found):.3f} to {max(found):.3f})",
                flush=True,
            )


if __name__ == "__main__":
    with plain_exit():
        main(read_arguments())
