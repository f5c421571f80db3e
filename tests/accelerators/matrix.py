"""The table of bounds, and the matrix of what compiles as Markdown."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from research.accelerators.devices import read_device
from research.plain_text import human
from tests.accelerators.programs import PINNED, all_programs

DEVICES = ("h100", "v5e")
TABLE = Path(__file__).with_name("bounds.json")
MATRIX = Path(__file__).parents[2] / "experiments" / "results" / "compiled.md"
BOUNDS: dict[str, Any] = json.loads(TABLE.read_text("utf-8")) if TABLE.is_file() else {}

Found = Mapping[str, Any]  # what a program needs, as `programs.compile_one` gives it
INTRODUCTION = """# What compiles for accelerators

Every preset and every structural variant of each workload, compiled without a device. Presets with
`init` and `evaluate`, variants and cases of the benchmark as they train. Seconds are tracing and
compiling all of it on two shared cores; memory is what the compiler plans for so many runs at once,
temporaries in brackets. Kernels and copies are launches of one step of all runs; a TPU launches a
program as one.

    scripts/test --accelerators --write
"""


def write_tables(found: Mapping[str, Mapping[str, Found]]) -> None:
    """Rewrites the bounds of the cases that were compiled, and the matrix if everything was.

    Args:
      found: device -> program -> what it needs.
    """
    bounds = {device: bounds_of(device, by_name) for device, by_name in found.items()}
    write_bounds({device: BOUNDS.get(device, {}) | bounds.get(device, {}) for device in DEVICES})
    if all(set(found.get(device, ())) == set(all_programs()) for device in DEVICES):
        MATRIX.write_text(markdown(found), encoding="utf-8")


def bounds_of(device: str, by_name: Mapping[str, Found]) -> dict[str, Any]:
    """What cases of the benchmark need now: launches where a device has them, and temporaries."""
    counts = ("kernels", "copies", "waits") if read_device(device).launch_seconds else ()
    bounds = {}
    for case in PINNED:
        found = by_name.get(f"case {case}", {"error": "not compiled"})
        if "error" in found:
            continue
        launches = {name: math.ceil(100 * found[name]) / 100 for name in counts}
        bounds[case] = {"runs": found["runs"], **launches, "temp_bytes": found["temp_bytes"]}
    return bounds


def write_bounds(bounds: dict[str, Any]) -> None:
    """Rewrites the table, a line for each case."""
    devices = []
    for device, cases in bounds.items():
        lines = ",\n".join(f"  {json.dumps(case)}: {json.dumps(cases[case])}" for case in cases)
        devices.append(f" {json.dumps(device)}: {{\n{lines}\n }}")
    TABLE.write_text("{\n" + ",\n".join(devices) + "\n}\n", encoding="utf-8")


def markdown(found: Mapping[str, Mapping[str, Found]]) -> str:
    """The matrix: a row for each program, columns for each device."""
    names = ["program", "runs"]
    for device in found:
        names += [f"{device}: s", "memory (temporaries)"]
        names += ["kernels", "copies"] if read_device(device).launch_seconds else []
    lines = [f"| {' | '.join(names)} |", "| --- " + "| ---: " * (len(names) - 1) + "|"]
    for name in next(iter(found.values())):
        cells = [
            cell for device, by_name in found.items() for cell in _cells(device, by_name[name])
        ]
        runs = next(iter(found.values()))[name].get("runs", "")
        lines.append(f"| {name} | {runs} | {' | '.join(cells)} |")
    return "\n".join([INTRODUCTION, *lines, ""])


def _cells(device: str, one: Found) -> list[str]:
    counted = bool(read_device(device).launch_seconds)
    if "error" in one:
        return [one["error"].split(":")[0], *[""] * (3 if counted else 1)]
    memory = f"{human(one['peak_bytes'])}B ({human(one['temp_bytes'])}B)"
    launches = [f"{one['kernels']:,.1f}", f"{one['copies']:,.1f}"] if counted else []
    return [f"{one['seconds']:.0f}", memory, *launches]
