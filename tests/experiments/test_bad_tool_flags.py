"""Tests of every flag of every tool with bad values: its work would begin, or one line says
what is wrong, within seconds, and nothing is left behind."""

import errno
import importlib
import shutil
from typing import NamedTuple

import pytest

from research.cli.seedbed import TOOLS
from tests.bad_input import (
    OFTEN,
    Accepted,
    Count,
    cases,
    flags_of_dataclass,
    flags_of_parser,
    try_case,
)
from tests.sweeps import EXPERIMENTS


class Row(NamedTuple):
    """A tool, and what it takes to try it.

    Attributes:
      base: a command line that is right; a word in capitals is a path, see `paths`.
      begins: the functions that do its work, which are not called: names in its module, or whole.
      parser: the name of the function that returns its parser, if it is the standard library's.
      first: a word before its flags, such as a subcommand.
    """

    base: str
    begins: tuple[str, ...]
    parser: str = ""
    first: str = ""


ROWS = {
    "launch": [
        Row("MLP", ("prepare",), "make_parser"),
        Row("MLP --on slurm", ("prepare",), "make_parser"),
    ],
    "bench": [
        Row("", ("measure_ceilings",), "bench_parser"),
        Row("mlp-small", ("profile_case",), "profile_parser", "profile"),
        Row("", ("research.benchmark.compile_for.compile_elsewhere",), "compile_parser", "compile"),
    ],
    "gpu_check": [Row("--out NEW", ("check",), "check_parser")],
    "report": [Row("RUN", ("serving", "print_summary"))],
    "show": [Row("RUN", ("research.report.curves_png.draw_curves",))],
    "runs": [Row("mlp", ("list_run_folder",))],
    "figure": [Row("RUN", ("draw_figure",))],
    "new-experiment": [Row("maze", ("write_bytes",))],
    "evaluate": [Row("RUN", ("evaluate",))],
    "attack": [Row("RUN", ("attack_runs",))],
    "explain": [Row("RUN", ("integrate",))],
    "export": [Row("RUN", ("_write",))],
    "watch": [Row("AGENT", ("play_one",))],
    "sample": [Row("MODEL", ("research.lm.tools.trained.generate",))],
    "perplexity": [Row("MODEL", ("make_judge",))],
}
NAMES = {tool.name: tool for some in TOOLS.values() for tool in some}


@pytest.fixture
def paths(small_sweep, tmp_path, monkeypatch):
    """The words that stand for paths, in a folder of its own where work is done."""
    found = {"MLP": str(EXPERIMENTS / "mlp.py"), "NEW": str(tmp_path / "new")}
    for word, workload in {"RUN": "mlp", "AGENT": "dqn", "MODEL": "lm"}.items():
        folder = small_sweep(workload).folder
        shutil.copytree(folder, tmp_path / workload / "it")
        if workload == "lm":
            shutil.copy(folder.parents[1] / "text.txt", tmp_path)
        found[word] = str(tmp_path / workload / "it")
    monkeypatch.chdir(tmp_path)
    return found


# Imported here, not by a test: submitit configures logging, for which a stream of pytest is closed.
MODULES = {name: importlib.import_module(tool.module) for name, tool in NAMES.items()}


def flags_of(name, row):
    module = MODULES[name]
    return list(
        flags_of_parser(getattr(module, row.parser)())
        if row.parser
        else flags_of_dataclass(module.Arguments)
    )


def base_of(row, paths):
    """The flags of the command line that is right, and what is given by its place, each a list."""
    words = []
    for word in row.base.split():
        if words and words[-1][0].startswith("--") and len(words[-1]) == 1:
            words[-1].append(paths.get(word, word))
        else:
            words.append([paths.get(word, word)])
    return words


def try_all(name, paths, monkeypatch, capsys, folder, often):
    """Tries the cases of a tool that most often find a fault, or all others."""

    def stop(*args, **options):
        raise Accepted

    module, count = MODULES[name], Count()
    monkeypatch.setattr("research.cli.slurm_workers.check_slurm", lambda: None)
    monkeypatch.setattr("research.cli.machine.configure_jax", lambda *_: None)
    monkeypatch.setattr("research.benchmark.bench.configure_jax", lambda *_: None)
    for row in ROWS[name]:
        for begins in row.begins:
            whole = begins if "." in begins else f"{module.__name__}.{begins}"
            monkeypatch.setattr(whole, stop)

        def run(words, first=row.first):
            module.run([first, *words] if first else words, prog=f"scripts/{name}")

        for flag in flags_of(name, row):
            for case in cases(flag, base_of(row, paths)):
                if (case.kind in OFTEN) == often:
                    count.add(case, try_case(case, run, capsys, folder))
    return count


def test_every_tool_has_a_command_line_that_is_right():
    assert set(ROWS) == set(NAMES)


@pytest.mark.parametrize("name", ROWS)
def test_the_command_line_is_right(name, paths, monkeypatch, capsys, tmp_path):
    """Else everything would be refused, for what is wrong with it."""
    for row in ROWS[name]:
        base = [word for words in base_of(row, paths) for word in words]
        case = next(cases(flags_of(name, row)[-1], []))._replace(words=base)
        with monkeypatch.context() as patch:
            module, reached = MODULES[name], []

            def stop(*args, reached=reached, **options):
                reached.append(True)
                raise Accepted

            patch.setattr("research.cli.slurm_workers.check_slurm", lambda: None)
            patch.setattr("research.cli.machine.configure_jax", lambda *_: None)
            patch.setattr("research.benchmark.bench.configure_jax", lambda *_: None)
            for begins in row.begins:
                patch.setattr(begins if "." in begins else f"{module.__name__}.{begins}", stop)
            first = [row.first] if row.first else []
            run = lambda words, module=module, first=first: module.run(
                [*first, *words], prog=f"scripts/{name}"
            )
            outcome = try_case(case, run, capsys, tmp_path)
        assert reached, outcome


# What makes each tool write something, and the flag that says where, if there is one.
WRITES = {
    "bench": ("--out NEW", "--out"),
    "bench compile": ("--out NEW", "--out"),
    "gpu_check": ("", "--out"),
    "report": ("", "--out"),
    "runs": ("--page", ""),
    "figure": ("", "--out"),
    "new-experiment": ("", ""),
    "evaluate": ("", ""),
    "attack": ("", ""),
    "explain": ("", ""),
    "export": ("", "--to"),
    "watch": ("", ""),
    "perplexity": ("--by-line text.txt --out NEW", "--out"),
}
ON_THE_SCREEN = {"show", "sample", "launch", "bench profile"}  # first, or all of it


def test_every_tool_writes_something_or_shows_it():
    rows = {f"{name} {row.first}".strip() for name, some in ROWS.items() for row in some}
    assert rows == set(WRITES) | ON_THE_SCREEN


@pytest.mark.parametrize("which", WRITES)
def test_a_path_that_cannot_be_written_is_told_before_any_work(
    which, paths, monkeypatch, capsys, tmp_path
):
    name, _, first = which.partition(" ")
    (row,) = (row for row in ROWS[name] if row.first == first)
    base = [word for words in base_of(row, paths) for word in words]
    more, flag = WRITES[which]
    words = [*filter(None, [first]), *base, *(paths.get(word, word) for word in more.split())]

    def refuse(path):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    def stop(*args, **options):
        raise Accepted

    monkeypatch.setattr("research.atomic._new_file", refuse)
    monkeypatch.setattr("research.cli.machine.configure_jax", lambda *_: None)
    monkeypatch.setattr("research.benchmark.bench.configure_jax", lambda *_: None)
    for begins in row.begins:
        if not begins.startswith("write"):
            module = f"{MODULES[name].__name__}."
            monkeypatch.setattr(begins if "." in begins else module + begins, stop)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as left:
        MODULES[name].run(words, prog=f"scripts/{name}")
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: cannot write ")
    assert ": Read-only file system" in err
    assert err.count("\n") == 1
    assert err.endswith(f"; give another {flag}\n" if flag else " system\n")
    assert not out
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.once
@pytest.mark.parametrize("name", ROWS)
def test_every_flag_takes_or_refuses_what_is_most_often_wrong(
    name, paths, monkeypatch, capsys, tmp_path
):
    count = try_all(name, paths, monkeypatch, capsys, tmp_path, often=True)
    count.tell(name, capsys)
    assert not count.faults, "\n".join(count.faults)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_every_flag_takes_or_refuses_every_other_bad_value(
    name, paths, monkeypatch, capsys, tmp_path
):
    count = try_all(name, paths, monkeypatch, capsys, tmp_path, often=False)
    count.tell(name, capsys)
    assert not count.faults, "\n".join(count.faults)
