"""Tests of keeping the texts that models wrote."""

import pytest

from research.errors import UserError
from research.lm.samples import MOST_KEPT, keep_sample, read_samples

SAMPLE = {"run": 3, "of_seed": 1, "prompt": "A", "temperature": 0.5, "text": "A b"}


def test_samples_are_kept_in_order_and_the_oldest_dropped(tmp_path):
    assert read_samples(tmp_path) == []
    for number in range(MOST_KEPT + 2):
        keep_sample(tmp_path, SAMPLE | {"run": number})
    kept = [sample["run"] for sample in read_samples(tmp_path)]
    assert kept == list(range(2, MOST_KEPT + 2))


@pytest.mark.parametrize("text", ["[{", "3", '[{"run": 1}]', '["text"]'])
def test_a_damaged_samples_file_is_named_and_not_overwritten(tmp_path, text):
    path = tmp_path / "evaluation" / "samples.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match=r"samples\.json is damaged"):
        keep_sample(tmp_path, SAMPLE)
    assert path.read_text() == text
