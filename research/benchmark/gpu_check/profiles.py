"""Part 6: where the time of each quick case goes, kernel by kernel.

While it profiles, XLA launches kernels one by one unless it is told to keep its command buffers:
otherwise another program is shown.
"""

import time
from collections.abc import Iterator, Sequence

from research.benchmark.cases import CASES
from research.benchmark.gpu_check.command_buffers import BUFFERS
from research.benchmark.gpu_check.processes import Found, attempt
from research.benchmark.gpu_check.rates import without_evaluation
from research.benchmark.gpu_check.results import PartResults
from research.benchmark.profiling import profile_case
from research.plain_text import count_of

KEPT = "--xla_enable_command_buffers_during_profiling=true"
MOST_KERNELS = 60


def measure(part: PartResults) -> None:
    """Profiles the quick cases; without command buffers those that show no kernel with them."""
    plan = part.plan
    arguments = {"precision": plan.precisions[0], "runs": plan.usual_runs}
    part.collect("profiles", arguments | {"cases": plan.quick}, flags=KEPT, flags_of_xla=KEPT)
    profiled = {one["case"] for one in part.results}
    if missing := [name for name in plan.quick if name not in profiled]:
        part.collect("profiles", arguments | {"cases": missing}, flags=BUFFERS,
                     flags_of_xla=BUFFERS)  # fmt: skip


def work(cases: Sequence[str], precision: str, runs: int, seconds: float) -> Iterator[Found]:
    """Yields the profile of each case."""
    end, longest = time.monotonic() + seconds, 0.0
    for name in cases:
        began = time.monotonic()
        if began + longest > end:
            yield {"skipped": f"the profile of {name}: it takes {longest:.0f} s"}
            continue
        yield attempt(name, _profile, name, precision, runs)
        longest = max(longest, time.monotonic() - began)


def _profile(name: str, precision: str, runs: int) -> Found:
    profile = profile_case(without_evaluation(CASES[name](precision)), runs)
    found = profile._asdict() | {"idle": profile.idle, "by_kind": profile.by_kind()}
    kernels = [
        one._asdict() | {"kernel": one.kernel._asdict()} for one in profile.spent[:MOST_KERNELS]
    ]
    return found | {"case": name, "spent": kernels}


def describe(results: Sequence[Found]) -> list[str]:
    """Returns a line for each case: the share of each kind of kernel."""
    lines = []
    for one in results:
        whole = one["devices"] * one["seconds"]
        kinds = one["by_kind"] | {"none": one["idle"]}
        shares = ", ".join(f"{kind} {seconds / whole:.0%}" for kind, seconds in kinds.items())
        step = 1e6 * one["seconds"] / one["steps"]
        lines.append(
            f"{one['case']}, {count_of(one['runs'], 'run')}, {step:.1f} us a step: {shares}"
        )
    return lines
