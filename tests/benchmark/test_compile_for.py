"""Compiling a case for a device that is not there: as many runs fit as its memory holds."""

import jax
import pytest

from research.benchmark import compile_for
from research.benchmark.cases import CASES
from research.benchmark.compile_for import compile_case
from tests.accelerators.small_device import SMALL, compile_on_cpu


def test_a_case_that_the_compiler_refuses_for_its_memory_is_a_row_that_does_not_fit(monkeypatch):
    """As a TPU's does; any other error is one."""

    def refuse(*args):
        raise jax.errors.JaxRuntimeError(reason)

    monkeypatch.setattr(compile_for, "measure_needs", refuse)
    reason = "RESOURCE_EXHAUSTED: Ran out of memory on HBM"
    refused = compile_case(CASES["mlp-small"]("float32"), 4, SMALL)
    assert (refused.bound, refused.runs, refused.units_per_second) == ("does not fit", 4, 0.0)
    reason = "INTERNAL: something else"
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        compile_case(CASES["mlp-small"]("float32"), 4, SMALL)


def test_a_case_is_compiled_and_as_many_runs_fit_as_the_memory_holds(monkeypatch):
    compile_on_cpu(monkeypatch)
    compiled = compile_case(CASES["mlp-small"]("float32"), 4, SMALL)
    assert compiled.kernels >= 1
    assert compiled.peak_bytes > compiled.temp_bytes > 0
    assert compiled.units_per_second > 0
    assert compiled.most_runs >= 4
    exact = compile_case(
        CASES["mlp-small"]("float32"), 4, SMALL._replace(memory_bytes=compiled.peak_bytes)
    )
    assert exact.most_runs == 4
