"""The table of bounds, and the matrix of what compiles as Markdown."""

import json
import math
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from research.accelerators.devices import read_device
from research.plain_text import human
from tests.accelerators.programs import PINNED, all_programs

DEVICES = ("h100", "v5e")
TABLE = Path(__file__).with_name("bounds.json")
MATRIX = Path(__file__).parents[2] / "experiments" / "results" / "compiled.md"


def read_bounds() -> dict[str, Any]:
    """The bounds as they are on disk: device -> case -> what it may need."""
    return json.loads(TABLE.read_text("utf-8")) if TABLE.is_file() else {}


BOUNDS = read_bounds()
Found = Mapping[str, Any]  # what a program needs, as `programs.compile_one` gives it
INTRODUCTION = """# What compiles for accelerators

Every preset and every structural variant of each workload, compiled without a device (jax {jax},
Python {python}; last changed {date}). Presets with
`init` and `evaluate`, variants and cases of the benchmark as they train. Seconds are tracing and
compiling all of it on two shared cores; memory is what the compiler plans for so many runs at once,
temporaries in brackets. Kernels and copies are launches of one step of all runs; a TPU launches a
program as one.

    scripts/test --accelerators --write
"""


def write_tables(found: Mapping[str, Mapping[str, Found]]) -> None:
    """Rewrites the bounds and the rows of what was compiled; the matrix once it has all programs.

    Args:
      found: device -> program -> what it needs.
    """
    bounds = {device: bounds_of(device, by_name) for device, by_name in found.items()}
    known = read_bounds()  # now, since other rows may have been rewritten meanwhile
    write_bounds({device: known.get(device, {}) | bounds.get(device, {}) for device in DEVICES})
    rows = read_rows(MATRIX) | matrix_rows(found)
    if all(name in rows for name in all_programs()):
        MATRIX.write_text(markdown(rows), encoding="utf-8")


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


def markdown(rows: Mapping[str, str]) -> str:
    """The matrix: a row for each program, columns for each device."""
    names = ["program", "runs"]
    for device in DEVICES:
        names += [f"{device}: s", "memory (temporaries)"]
        names += ["kernels", "copies"] if read_device(device).launch_seconds else []
    lines = [f"| {' | '.join(names)} |", "| --- " + "| ---: " * (len(names) - 1) + "|"]
    introduction = INTRODUCTION.format(
        jax=jax.__version__, python=platform.python_version(), date=time.strftime("%Y-%m-%d")
    )
    return "\n".join([introduction, *lines, *(rows[name] for name in all_programs()), ""])


def matrix_rows(found: Mapping[str, Mapping[str, Found]]) -> dict[str, str]:
    """The rows of the programs that were compiled for all devices, by name."""
    first, *others = (found.get(device, {}) for device in DEVICES)
    rows = {}
    for name in first:
        if all(name in by_name for by_name in others):
            cells = [cell for device in DEVICES for cell in _cells(device, found[device][name])]
            rows[name] = f"| {name} | {first[name].get('runs', '')} | {' | '.join(cells)} |"
    return rows


def read_rows(path: Path) -> dict[str, str]:
    """The rows of a matrix that was written before, by name; none where there is no file."""
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    rows = [line for line in lines if line.startswith("| ")][2:]  # without heading and rule
    return {line.split(" | ")[0].removeprefix("| "): line for line in rows}


def _cells(device: str, one: Found) -> list[str]:
    counted = bool(read_device(device).launch_seconds)
    if "error" in one:
        return [one["error"].split(":")[0], *[""] * (3 if counted else 1)]
    memory = f"{human(one['peak_bytes'])}B ({human(one['temp_bytes'])}B)"
    launches = [f"{one['kernels']:,.1f}", f"{one['copies']:,.1f}"] if counted else []
    return [f"{one['seconds']:.0f}", memory, *launches]
