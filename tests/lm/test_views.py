"""Tests of the views of language models: the texts that they wrote."""

import numpy as np

from research.lm.samples import keep_sample
from research.lm.views import texts
from research.report.page.page import make_page
from research.report.read import read_run_folder
from research.report.summary import summarize

SAMPLE = {"run": 3, "of_seed": 1, "prompt": "A", "temperature": 0.5, "text": "A b"}


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
