"""Tests of running tests on the device, and of the DQN that is compared with rejax."""

from pathlib import Path

import pytest

from research.benchmark.gpu_check import rejax, suite
from research.benchmark.gpu_check.correctness import describe
from research.benchmark.gpu_check.suite import FILES, run_suite

ROOT = Path(__file__).parents[3]
LINES = """tests/a.py::test_it PASSED [ 50%]
tests/a.py::test_that[x y-1] FAILED [100%]
FAILED tests/a.py::test_that[x y-1] - AssertionError: 1e-3"""


class Ended:
    """A process that has ended."""

    errors = "warning: slow"

    def __init__(self, status=1, over=False):
        self.status, self.over = status, over

    def __call__(self, call, variables, seconds, folder):
        self.call = call
        return self

    def lines(self):
        return iter(LINES.splitlines(keepends=True))


def test_the_outcome_of_each_test_and_the_reasons_of_failures_are_told(monkeypatch):
    ended = Ended()
    monkeypatch.setattr(suite, "Process", ended)
    *outcomes, reasons = run_suite(10, has_gymnax=False)
    assert [one["right"] for one in outcomes] == [True, False]
    assert outcomes[1]["test"] == "tests/a.py::test_that[x y-1]"
    assert describe([*outcomes, reasons]) == [
        "tests on the device: 1 passed, 1 failed",
        "FAILED tests/a.py::test_that[x y-1] - AssertionError: 1e-3",
    ]
    assert not any("/dqn/" in word for word in ended.call)


@pytest.mark.parametrize(
    ("ended", "says"),
    [(Ended(over=True), {"skipped": "the rest of the tests: their 10 s were over"}),
     (Ended(status=4), {"what": "pytest", "error": f"status 4: {LINES.splitlines()[-1]}",
                        "traceback": f"{LINES}\nwarning: slow"})],
)  # fmt: skip
def test_tests_that_do_not_end_or_begin_are_named(ended, says, monkeypatch):
    monkeypatch.setattr(suite, "Process", ended)
    assert list(run_suite(10, has_gymnax=True))[-1] == says


@pytest.mark.parametrize("file", FILES)
def test_chosen_tests_exist(file):
    """Goldens are in the first three files, the contract is in the others."""
    text = (ROOT / file).read_text("utf-8")
    names = suite.CHOSEN.split(" or ")
    chosen = [name for name in names if any(name in line for line in text.splitlines()
              if line.startswith("def test_"))]  # fmt: skip
    assert chosen == (names[:1] if file in FILES[:3] else names[1:])


@pytest.mark.slow
def test_pytest_runs_them_without_conftest(tmp_path, monkeypatch):
    path = tmp_path / "test_some.py"
    path.write_text(
        "import jax\n"
        "def test_as_pytorch(): assert jax.config.jax_default_matmul_precision == 'highest'\n"
        "def test_resuming(corpus): assert False\n"
        "def test_another(): pass\n"
    )
    monkeypatch.setattr(suite, "FILES", (str(path),))
    first, second, reasons = run_suite(300, has_gymnax=True)
    assert (first["right"], second["right"]) == (True, False)
    assert "test_resuming" in reasons["reasons"][0]


def test_the_dqn_of_the_chart_updates_after_every_step_of_one_environment():
    case = rejax.make_case("float32")
    task = case.problem.task
    assert (task.work_unit, task.work_per_step) == ("env steps", 1)
    assert task.steps == 1_000_000 - 1_000
    assert (case.hparams.gamma, case.hparams.learning_rate) == (1.0, 5e-4)
