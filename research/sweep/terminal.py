"""The lines that a sweep prints: what it is, what it costs, how fast it was, what went wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from research.console import say
from research.human import human
from research.sweep import machine
from research.sweep.experiment import Experiment, Part
from research.sweep.program import Program
from research.task import Task

MOST_NAMED = 10  # diverged runs


def experiment_line(experiment: Experiment, parts: Sequence[Part], folder: Path, where: str) -> str:
    """How many runs, of what, and where they are "recorded in", or how one calls it."""
    runs, seeds = sum(len(part.group.runs) for part in parts), len(experiment.seeds)
    facts = machine.device_facts()
    lengths = sorted({_length(experiment, part) for part in parts})
    length = " or ".join(f"{length:,}" for length in lengths)
    unit = parts[0].problem.task.work_unit if experiment.in_work else "steps"
    kind = facts["processor"] if facts["platform"] == "cpu" else facts["kind"]
    return (
        f"{experiment.name}: {runs:,} runs = {runs // seeds} settings x {seeds} seeds, "
        f"{length} {unit} each, on {facts['count']} x {facts['platform']} ({kind})\n"
        f"{experiment.name}: {where} {folder}"
    )


def _length(experiment: Experiment, part: Part) -> int:
    task = part.problem.task
    return task.work_after(part.steps) if experiment.in_work else part.steps


def cost_line(program: Program) -> str:
    """Compile time, FLOPs, memory and layout of a program."""
    cost, layout = program.cost, program.layout
    cached = f" ({cost.cache_hits} programs from the cache)" if cost.cache_hits else ""
    memory = human(cost.peak_bytes)
    flops = f"{human(cost.flops_per_step)} FLOP a step and run, " if cost.flops_per_step else ""
    turns = f", {layout.blocks} such blocks in turn" if layout.blocks > 1 else ""
    return (
        f"compiled in {cost.compile_seconds:.1f} s{cached}; {flops}{memory}B a device; "
        f"{layout.devices} devices x {layout.lanes} runs in lockstep{turns}"
    )


def trained_line(result: Mapping[str, Any], task: Task) -> str:
    """How long a group took and how fast it went."""
    line = f"trained in {result['train_seconds']:.1f} s"
    if speed := result["throughput"]:
        line += (
            f"; in the steady state {human(speed['steps_per_second'])} steps/s, "
            f"{human(speed['work_per_second'])} {task.work_unit}/s, "
            f"{speed['runs_per_second']:.3g} runs/s"
        )
        if "flops_per_second" in speed:
            line += f", {human(speed['flops_per_second'])} FLOP/s"
        line += ", all runs together"
    return line


def print_diverged(console: Console, diverged: Sequence[Mapping[str, Any]], runs: int) -> None:
    """Names the runs that became non-finite, with step, seed and hyper-parameters."""
    if not diverged:
        return
    say(console, f"{len(diverged)} of {runs} runs became non-finite; the others are untouched:")
    for one in diverged[:MOST_NAMED]:
        facts = [f"{name} {_short(value)}" for name, value in one.items()]
        say(console, "  " + "  ".join(facts))
    if len(diverged) > MOST_NAMED:
        say(console, f"  and {len(diverged) - MOST_NAMED} more, named in manifest.json")


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
