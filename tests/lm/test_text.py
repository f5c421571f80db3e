"""Tests of tokenizers: text to tokens and back."""

import json
import unicodedata

import numpy as np
import pytest

from research.errors import UserError
from research.lm.text import LEVELS, UNKNOWN_CHARACTER, load_tokenizer, make_tokenizer, split_words

TEXT = "the cat sat on the mat\n\n the <unk> sat\nÄpfel & 10 € fell\n"


def test_every_line_ends_with_eos_also_empty_ones():
    assert split_words("a b\n\n c\n") == ["a", "b", "<eos>", "<eos>", "c", "<eos>"]
    assert split_words("a") == ["a", "<eos>"]
    assert split_words("") == []


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_decoding_restores_the_text(level):
    size = 300 if level == "bpe" else 0
    tokenizer = make_tokenizer(level, TEXT, size)
    tokens = tokenizer.encode(TEXT)
    assert tokens.dtype == np.int32
    assert 0 <= tokens.min() <= tokens.max() < len(tokenizer)
    expected = TEXT.replace("\n the", "\nthe") if level == "word" else TEXT
    assert tokenizer.decode(tokens) == expected
    again = load_tokenizer(json.loads(json.dumps(tokenizer.dump())))
    np.testing.assert_array_equal(again.encode(TEXT), tokens)
    assert (again.start, len(again)) == (tokenizer.start, len(tokenizer))


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_a_text_is_read_as_if_after_a_line_end(level):
    tokenizer = make_tokenizer(level, TEXT, 300 if level == "bpe" else 0)
    assert tokenizer.decode([tokenizer.start]) == "\n"


def test_words_are_numbered_by_frequency():
    symbols = make_tokenizer("word", "b a b\nc a b\n").symbols
    assert symbols == ("b", "<eos>", "a", "c", "<unk>")


def test_rare_and_unseen_words_are_unknown():
    tokenizer = make_tokenizer("word", "b a b\nc a b\n", size=3)
    assert set(tokenizer.symbols) == {"b", "<eos>", "<unk>"}
    decoded = tokenizer.decode(tokenizer.encode("b c d\n"))
    assert decoded == "b <unk> <unk>\n"


@pytest.mark.parametrize("size", [2, 3, 4, 5, 9])
def test_the_vocabulary_has_at_most_the_given_size(size):
    """The size is four, one of which is <unk>, which the text does not contain."""
    assert len(make_tokenizer("word", "b a b\nc a b\n", size)) == min(size, 5)


def test_held_out_characters_become_unknown():
    tokenizer = make_tokenizer("character", "abc\n", heldout=["abé", "x"])
    assert tokenizer.symbols == ("\n", "a", "b", "c", UNKNOWN_CHARACTER)
    assert tokenizer.decode(tokenizer.encode("aéx😀")) == "a" + 3 * UNKNOWN_CHARACTER
    assert len(make_tokenizer("character", "abc\n", heldout=["ab"])) == 4


def test_an_unknown_character_is_named():
    with pytest.raises(UserError, match="'é', character 2, does not occur in the training text"):
        make_tokenizer("character", "abc\n").encode("aéx")


def test_an_accent_that_is_written_another_way_is_told():
    """An accented letter may be one character, or a letter and a combining accent."""
    one, two = (unicodedata.normalize(form, "cả né\n") for form in ("NFC", "NFD"))
    for known, given, form in ((one, two, "NFC"), (two, one, "NFD")):
        with pytest.raises(UserError, match=f"; in Unicode's form {form} all of them do: convert"):
            make_tokenizer("character", known).encode(given)
    with pytest.raises(UserError, match=r"which has 6 different ones$"):
        make_tokenizer("character", one).encode("cả xa")


@pytest.mark.parametrize("level", ["character", "bpe"])
def test_invalid_utf8_from_a_terminal_is_named(level):
    tokenizer = make_tokenizer(level, TEXT, 300 if level == "bpe" else 0)
    with pytest.raises(UserError, match=r"'\\udce9', character 4, "):
        tokenizer.encode("caf\udce9")


def test_byte_pairs_shorten_the_text_with_the_given_vocabulary_size():
    text = "the cat sat on the mat, the cat sat\n" * 20
    tokenizer = make_tokenizer("bpe", text, 264)
    assert len(tokenizer) == 264
    assert len(tokenizer.encode(text)) < len(text) / 2


def test_invalid_tokenizer_options_give_a_one_line_error():
    with pytest.raises(UserError, match="--level letter: there are word, character, byte, bpe"):
        make_tokenizer("letter", TEXT)
    with pytest.raises(UserError, match="--vocabulary-size 100: byte pairs need 257 or more"):
        make_tokenizer("bpe", TEXT, 100)
    with pytest.raises(UserError, match="--vocabulary-size 9: for words and byte pairs"):
        make_tokenizer("character", TEXT, 9)
