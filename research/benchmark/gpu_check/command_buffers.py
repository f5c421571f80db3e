"""Part 4: which flags for command buffers (CUDA graphs) train fastest.

XLA records kernels that follow each other in graphs, which are launched as one. By default it does
so between loops; `+WHILE` adds loops to what it records, so that a whole chunk is one graph.
"""

from collections.abc import Sequence

from research.benchmark.gpu_check.processes import Found
from research.benchmark.gpu_check.results import PartResults

BUFFERS = "--xla_gpu_enable_command_buffer="
VARIANTS = {
    "as they are": "",
    "+WHILE": f"{BUFFERS}+WHILE",
    "+WHILE unrolled": f"{BUFFERS}+WHILE --xla_gpu_command_buffer_unroll_loops=true",
    "minimal size 1": "--xla_gpu_graph_min_graph_size=1",
    "none": BUFFERS,
    "+WHILE, minimal size 1": f"{BUFFERS}+WHILE --xla_gpu_graph_min_graph_size=1",
}  # name -> XLA_FLAGS, the most promising first


def measure(part: PartResults) -> None:
    """Times the quick cases under each variant, each in a process of its own with a fair share of
    what is left."""
    plan = part.plan
    points = [(name, plan.precisions[0], plan.usual_runs, "training") for name in plan.quick]
    arguments = {"points": points, "repeats": plan.repeats}
    for index, (name, flags) in enumerate(VARIANTS.items()):
        seconds = part.left() / (len(VARIANTS) - index)
        part.collect("rates", arguments, seconds, flags, variant=name, flags_of_xla=flags)


def describe(results: Sequence[Found]) -> list[str]:
    """Returns a line for each variant: its rates over the default's."""
    default = {one["case"]: one["units_per_second"] for one in of_variant(results, "as they are")}
    lines = []
    for name in VARIANTS:
        rates = [
            f"{one['case']} {one['units_per_second'] / default[one['case']]:.2f}x"
            for one in of_variant(results, name)
            if one["case"] in default
        ]
        if rates:
            lines.append(f"{name}: {', '.join(rates)}")
    return lines


def of_variant(results: Sequence[Found], name: str) -> list[Found]:
    """Returns the timings of one variant."""
    return [one for one in results if one["variant"] == name]
