"""Part 1: it is right. The device agrees with the CPU, and passes the tests."""

from collections.abc import Sequence

from research.benchmark.cases import HAS_GYMNAX
from research.benchmark.gpu_check.processes import Found
from research.benchmark.gpu_check.results import PartResults
from research.benchmark.gpu_check.suite import run_suite
from research.cli.machine import DETERMINISTIC

AGREEMENT_SHARE = 0.65  # of the time of this part
CONV = "dqn-breakout"  # has a convolution, which no quick case has


def measure(part: PartResults) -> None:
    """Compares with the CPU, writes under the deterministic flag, and runs the tests."""
    plan, whole = part.plan, part.left()
    cases = [*plan.quick, *([CONV] if CONV in plan.others else [])]
    arguments = {"cases": cases, "precision": plan.precisions[0]}
    part.collect("agreement", arguments, AGREEMENT_SHARE * whole)
    part.collect("scatter", {}, flags=" ".join(DETERMINISTIC))
    if plan.tests and part.left() >= 1:
        for found in run_suite(part.left(), HAS_GYMNAX):
            part.add(found)


def describe(results: Sequence[Found]) -> list[str]:
    """Returns a line for each comparison, and one each for scatters and tests."""
    lines = []
    for one in results:
        if "products" in one:
            verdict = "agree" if one["right"] else "DIFFER"
            apart = one["median_difference"]
            lines.append(
                f"{one['what']} {verdict}, {one['products']} products: median difference "
                f"{'unknown' if apart is None else f'{apart:.2g}'} of the way trained, "
                f"{one['parted_runs']:.0%} of the runs beyond {one['tolerance']:g}"
            )
    scatters = [one for one in results if "first_wrong" in one]
    wrong = [one["what"] for one in scatters if not one["right"]]
    if scatters:
        verdict = f"WRONG: {'; '.join(wrong)}" if wrong else "right"
        lines.append(f"{len(scatters)} scatters with {' '.join(DETERMINISTIC)}: {verdict}")
    tests = [one for one in results if "test" in one]
    if tests:
        failed = [one["test"] for one in tests if not one["right"]]
        lines.append(
            f"tests on the device: {len(tests) - len(failed)} passed, {len(failed)} failed"
        )
        reasons = [line for one in results for line in one.get("reasons", ())]
        lines += reasons or [f"FAILED {name}" for name in failed]
    return lines
