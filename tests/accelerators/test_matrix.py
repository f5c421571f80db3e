"""Tests that the tables of what compiles keep what was not compiled anew."""

import json

import pytest

from tests.accelerators import matrix

PROGRAMS = ("case mlp-small", "case mlp-digits", "lm ptb-melis")


def facts(seconds, kernels):
    return {"runs": 6, "seconds": seconds, "kernels": kernels, "copies": 1.0, "waits": 1,
            "temp_bytes": 1_000, "peak_bytes": 2_000_000}  # fmt: skip


@pytest.fixture
def written(monkeypatch, tmp_path):
    """A function that rewrites tables, and returns the lines of the matrix; None where there is
    none."""
    table, file = tmp_path / "bounds.json", tmp_path / "compiled.md"
    monkeypatch.setattr(matrix, "TABLE", table)
    monkeypatch.setattr(matrix, "MATRIX", file)
    monkeypatch.setattr(matrix, "BOUNDS", {})
    monkeypatch.setattr(matrix, "all_programs", lambda: dict.fromkeys(PROGRAMS))

    def write(**found):
        matrix.write_tables(found)
        monkeypatch.setattr(matrix, "BOUNDS", json.loads(table.read_text()))
        rows = file.read_text().splitlines() if file.is_file() else []
        return [line for line in rows if line.startswith("| ")][2:] or None

    return write


def test_a_matrix_is_written_once_it_has_all_programs_and_then_row_by_row(written):
    some = {name: facts(5.0, 20.0) for name in PROGRAMS[:2]}
    assert written(h100=some, v5e=some) is None
    last = {PROGRAMS[2]: {"error": "XlaRuntimeError: too large", "runs": 6}}
    assert written(h100=last, v5e=last) is None  # the others were never written
    rows = written(h100=some | last, v5e=some | last)
    assert [row.split(" | ")[0] for row in rows] == [f"| {name}" for name in PROGRAMS]
    assert rows[0] == ("| case mlp-small | 6 | 5 | 2MB (1kB) | 20.0 | 1.0 | 5 | 2MB (1kB) |")
    assert "XlaRuntimeError" in rows[2]
    new = {PROGRAMS[1]: facts(7.0, 16.004)}
    again = written(h100=new, v5e=new)
    assert (again[0], again[2]) == (rows[0], rows[2])
    assert "| 7 | 2MB (1kB) | 16.0 |" in again[1]
    assert matrix.BOUNDS["h100"]["mlp-digits"]["kernels"] == 16.01
    assert matrix.BOUNDS["h100"]["mlp-small"]["kernels"] == 20.0
    assert "kernels" not in matrix.BOUNDS["v5e"]["mlp-digits"]


def test_a_program_of_one_device_alone_changes_no_row(written):
    every = {name: facts(5.0, 20.0) for name in PROGRAMS}
    rows = written(h100=every, v5e=every)
    assert written(h100={PROGRAMS[0]: facts(9.0, 9.0)}) == rows
