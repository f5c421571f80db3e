"""Tests that `--help` and errors of flags do not wait for libraries that only the work needs."""

import subprocess
import sys

import pytest

HEAVY = {"jax", "flax", "optax", "scipy.stats", "scipy.optimize", "matplotlib"}


@pytest.mark.parametrize("tool", ["figure", "report", "runs", "show"])
def test_the_flags_of_a_tool_are_read_without_heavy_libraries(tool):
    code = f"import sys, research.report.tools.{tool}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
