"""Tests that `--help` and errors of flags do not wait for libraries that only the work needs."""

import subprocess
import sys

import pytest

HEAVY = {"jax", "flax", "optax", "scipy.stats", "scipy.optimize", "matplotlib"}
TOOLS = ("figure", "report", "runs", "show")
CODE = f"""
import importlib, sys
for tool in {TOOLS}:
    importlib.import_module("research.report.tools." + tool)
    print(tool, *sorted({HEAVY} & set(sys.modules)))
"""


@pytest.mark.once
def test_the_flags_of_a_tool_are_read_without_heavy_libraries():
    """One process imports them one after another: starting one takes seconds."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [*TOOLS]
