"""What the report shows of language models: the texts that they wrote."""

import numpy as np
import pytest

from research.errors import UserError
from research.lm.views import MOST_KEPT, keep_sample, read_samples, texts
from research.report.page.page import make_page
from research.report.read import read_run_folder
from research.report.summary import summarize

SAMPLE = {"run": 3, "of_seed": 1, "prompt": "A", "temperature": 0.5, "text": "A b"}


def test_they_are_kept_in_order_and_the_oldest_go(tmp_path):
    assert read_samples(tmp_path) == []
    for number in range(MOST_KEPT + 2):
        keep_sample(tmp_path, SAMPLE | {"run": number})
    kept = [sample["run"] for sample in read_samples(tmp_path)]
    assert kept == list(range(2, MOST_KEPT + 2))


@pytest.mark.parametrize("text", ["[{", "3", '[{"run": 1}]', '["text"]'])
def test_a_damaged_file_is_named_and_left_alone(tmp_path, text):
    path = tmp_path / "evaluation" / "samples.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match=r"samples\.json is damaged"):
        keep_sample(tmp_path, SAMPLE)
    assert path.read_text() == text


def test_the_latest_text_comes_first_without_its_prompt(make_sweep):
    path = make_sweep(np.zeros((2, 2, 2)), experiment="lstm_lm")
    sample = SAMPLE | {"run": 0, "of_seed": 5, "prompt": "The ", "text": "The <end>"}
    keep_sample(path, sample | {"run": 9})
    keep_sample(path, sample)
    first, second = texts(read_run_folder(path))
    assert first.title == "Written by run 0, seed 5, temperature 0.5"
    assert (first.beginning, first.text) == ("The ", "<end>")
    assert second.title.startswith("Written by run 9")
    assert "<strong>The </strong>&lt;end&gt;" in make_page(summarize([read_run_folder(path)]))
