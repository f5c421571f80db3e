"""Tests of laying tokens out: which are predicted, from what context, and how often."""

import numpy as np
import pytest

from research.errors import UserError
from research.lm.data import TextLayout, lay_out, lay_out_heldout, lay_out_train, load_text


def layout(**changes):
    return TextLayout(batch_size=3, window=4, eval_streams=1, eval_context=0)._replace(**changes)


def after(n):
    """The start token 0 followed by the tokens 1 to n."""
    return np.arange(n + 1)


def test_training_streams_are_consecutive_and_predict_each_token_once():
    train = lay_out_train(after(25), layout())
    assert train.shape == (9, 3)
    np.testing.assert_array_equal(train[0], [0, 8, 16])
    np.testing.assert_array_equal(train[-1], [8, 16, 24])
    assert sorted(train[1:].ravel()) == list(range(1, 25))


@pytest.mark.parametrize("n", [1, 7, 40, 41])
@pytest.mark.parametrize("streams", [1, 2, 5])
@pytest.mark.parametrize("context", [0, 3, 30, 2**31 - 1])
def test_every_held_out_token_is_predicted_once_from_the_one_before(n, streams, context):
    heldout = lay_out_heldout(after(n), 99, layout(eval_streams=streams, eval_context=context))
    length = len(heldout.counts)
    assert length % 4 == 0
    assert len(heldout.tokens) == length + 1
    targets, inputs = heldout.tokens[1:], heldout.tokens[:-1]
    counted = heldout.counts > 0
    assert sorted(targets[counted]) == list(range(1, n + 1))
    np.testing.assert_array_equal(targets[counted], inputs[counted] + 1)
    assert heldout.characters == 99


def test_a_held_out_stream_reads_its_context_first():
    heldout = lay_out_heldout(after(40), 99, layout(eval_streams=4, eval_context=6))
    first = np.argmax(heldout.counts, axis=0)
    np.testing.assert_array_equal(first, [0, 6, 6, 6])
    np.testing.assert_array_equal(heldout.tokens[first + 1, np.arange(4)], [1, 11, 21, 31])


def test_a_single_held_out_stream_reads_the_whole_text():
    heldout = lay_out_heldout(after(10), 99, layout(eval_context=50))
    np.testing.assert_array_equal(heldout.tokens[:11, 0], np.arange(11))


def test_a_text_that_is_too_short_gives_an_error():
    with pytest.raises(UserError, match="has 11 tokens, fewer than one window of --window 4"):
        lay_out_train(after(11), layout())


def test_facts_count_characters_tokens_and_the_unknown(tmp_path):
    for name, text in (("train", "a b a\n"), ("valid", "a c\n"), ("test", "c c c\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    _, tokenizer, tokens, facts = load_text(str(tmp_path), "90/10", "word", 0)
    assert (facts["symbols"], len(tokenizer)) == (4, 4)
    assert [facts[name]["tokens"] for name in ("train", "validation", "test")] == [4, 3, 4]
    assert [facts[name]["characters"] for name in ("train", "validation", "test")] == [6, 4, 6]
    assert facts["validation"]["unknown"] == pytest.approx(1 / 3)
    assert facts["test"]["unknown"] == pytest.approx(3 / 4)
    assert tokenizer.decode(tokens["test"]) == "<unk> <unk> <unk>\n"


def test_a_window_longer_than_the_text_is_refused_before_anything_is_laid_out(tmp_path):
    (tmp_path / "text.txt").write_text("some words of a short text\n" * 9)
    parts, tokenizer, tokens, _ = load_text(str(tmp_path / "text.txt"), "80/10/10", "character", 0)
    with pytest.raises(UserError, match="fewer than one window of --window 2147483647"):
        lay_out(parts, tokenizer, tokens, layout(window=2**31 - 1))
