"""scripts/show."""

import io

import pytest
from rich.console import Console

from research.errors import UserError
from research.report.show import show_run


def test_it_prints_the_table_and_draws_the_curve(make_run):
    file = io.StringIO()
    picture = show_run(make_run(), "test_score", Console(file=file, width=100))
    assert picture.name == "test_score.png"
    assert str(picture) in file.getvalue()
    assert "IQM" in file.getvalue()


def test_an_unknown_metric_is_refused_with_those_there_are(make_run):
    with pytest.raises(UserError, match=r"--metric lost: .* loss, validation_score, test_score"):
        show_run(make_run(), "lost", Console(file=io.StringIO()))
