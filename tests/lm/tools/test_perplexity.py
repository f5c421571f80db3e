"""Tests of `scripts/perplexity`: single runs, ensembles and dynamic evaluation."""

import pandas as pd
import pytest

from research.errors import UserError
from research.lm.tools import perplexity
from tests.lm.tools.conftest import WORDS


def test_perplexity_of_single_runs_and_their_ensemble(trained, capsys):
    """Single runs score as in the sweep, ensembles better, dynamic evaluation differently."""
    folder = trained(**WORDS)
    metrics = pd.read_parquet(folder / "metrics")
    measured = metrics[metrics["step"] == 10]["test_perplexity"]
    capsys.readouterr()

    def read(**changes):
        perplexity.main(perplexity.Arguments(str(folder), **changes))
        (line,) = [line for line in capsys.readouterr().out.splitlines() if " all " in line]
        words = line.replace("[", " ").replace("]", " ").split()
        assert words[:3] == ["all", "3", "perplexity"]
        return float(words[3]), float(words[-1])

    alone, together = read()
    assert alone == pytest.approx(measured.median(), rel=2e-3)
    assert together < measured.mean()
    assert read(streams=4, context=60) == pytest.approx((alone, together), rel=2e-3)
    assert read(dynamic="sgd", rate=0.0) == pytest.approx((alone, together), rel=1e-3)
    assert read(dynamic="rms", rate=0.05)[0] < 0.98 * alone


def test_dynamic_evaluation_with_invalid_steps_gives_a_one_line_error():
    """The step size is NaN, or it is divided by gradients that were all 0."""
    with pytest.raises(UserError, match="--rate nan: must be a finite number"):
        perplexity.Arguments("runs/it", rate=float("nan")).check()
    with pytest.raises(UserError, match=r"--epsilon 0\.0: must be above 0"):
        perplexity.Arguments("runs/it", epsilon=0.0).check()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"part": "dev"}, "--part dev: there are train, validation, test"),
        ({"dynamic": "adam"}, "--dynamic adam: there are none, sgd, rms"),
        ({"window": 0}, "--window 0: must be at least 1"),
        ({"decay": 2.0}, "--decay 2.0: must be between 0 and 1"),
        ({"corpus": "strange.txt"}, "'!' at place 0 does not occur in the training text"),
        ({"corpus": "none.txt"}, "--corpus none.txt: no such file"),
    ],
)
def test_a_run_that_cannot_be_evaluated_gives_a_one_line_error(
    trained, tmp_path, monkeypatch, changes, says
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strange.txt").write_text("!\n" * 99)
    folder = trained()
    with pytest.raises(UserError, match=says):
        perplexity.main(perplexity.Arguments(str(folder), **changes))
