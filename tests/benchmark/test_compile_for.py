"""Compiling a case for a device that is not there: as many runs fit as its memory holds."""

from research.benchmark.cases import CASES
from research.benchmark.compile_for import compile_case
from tests.accelerators.small_device import SMALL, compile_on_cpu


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
