"""Tests of reading word vectors from files."""

import gzip

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.lm.glove import Vectors, coverage, fill, read_vectors

WORDS = ["the", "cat", "sat", "é", "1990"]
LINES = [b"the 1 2 3", b". . . 7 8 9", b"\xc3\xa9 -1 0.5 1e-3", b"\xc2\x85 4 5 6", b"the 9 9 9",
         b"1990 3 2 1"]  # fmt: skip


@pytest.fixture
def file(tmp_path):
    """A function that writes lines to a file and returns its path."""

    def write(lines, end=b"\n"):
        path = tmp_path / "vectors.txt"
        path.write_bytes(end.join(lines) + end)
        return str(path)

    return write


@pytest.mark.parametrize("header", [[], [b"6 3"], [b"6\t3 "]])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \n", b" \r\n", b"\t\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_words_of_the_vocabulary_get_their_vectors(file, header, end, mark):
    """Words may hold spaces and unusual line ends; the first of two equal words counts."""
    lines = header + LINES
    vectors = read_vectors(file([mark + lines[0], *lines[1:]], end), WORDS, 3)
    assert vectors.found.tolist() == [True, False, False, True, True]
    np.testing.assert_allclose(vectors.table[0], [1, 2, 3])
    np.testing.assert_allclose(vectors.table[3], [-1, 0.5, 1e-3])
    np.testing.assert_allclose(vectors.table[4], [3, 2, 1])
    assert not vectors.table[1:3].any()


@pytest.mark.parametrize(
    "line", [b"cat\t4\t5\t6", b"cat\t4 5 6", b"cat  4 5  6", b" cat 4 5 6", b"cat 4 5 6"]
)
def test_numbers_may_be_separated_by_tabs_or_several_spaces(file, line):
    vectors = read_vectors(file([*LINES, line]), WORDS, 3)
    np.testing.assert_allclose(vectors.table[1], [4, 5, 6])


def test_malformed_words_of_a_vector_file_are_skipped(file):
    """GloVe's 840B vectors have such words: invalid UTF-8, non-breaking spaces, addresses."""
    strange = [b"\xff\xfe 9 9 9", b"\xc2\xa0 9 9 9", b"to name@domain.com 9 9 9", b"\x0c 9 9 9",
               b"nan 9 9 9", b"dog nan 9 9"]  # fmt: skip
    vectors = read_vectors(file([*LINES, *strange, b"cat 4 5 6"]), [*WORDS, "nan"], 3)
    assert vectors.found.tolist() == [True, True, False, True, True, True]
    np.testing.assert_allclose(vectors.table[1], [4, 5, 6])


@pytest.mark.parametrize("first", [b"the 1 2 3", b"The 7 8 9"])
def test_the_lower_case_vector_is_used_only_if_the_exact_word_is_missing(file, first):
    lines = [first, b"the 1 2 3", b"The 7 8 9", b"cat 4 5 6", b"Sat 9 9 9"]
    vectors = read_vectors(file(lines), ["the", "The", "Cat", "sat", "THE"], 3)
    assert vectors.found.tolist() == [True, True, True, False, True]
    np.testing.assert_allclose(vectors.table[[0, 1, 2, 4], 0], [1, 7, 4, 1])


def test_coverage_counts_symbols_and_tokens(file):
    vectors = read_vectors(file(LINES), WORDS, 3)
    assert coverage(vectors, np.array([0, 0, 0, 1])) == {
        "found": 3, "types": 0.6, "tokens": 0.75,
    }  # fmt: skip


def test_missing_vectors_are_drawn_with_the_scale_of_the_others():
    random = np.random.default_rng(0)
    table = (random.normal(size=(4000, 3)) * [1, 2, 3] + [0, 10, -5]).astype(np.float32)
    found = random.random(4000) < 0.5
    vectors = Vectors(np.where(found[:, None], table, 0), found)
    filled = np.asarray(fill(vectors, jax.random.key(0)))
    np.testing.assert_array_equal(filled[found], table[found])
    np.testing.assert_allclose(filled[~found].mean(axis=0), [0, 10, -5], atol=0.25)
    np.testing.assert_allclose(filled[~found].std(axis=0), [1, 2, 3], rtol=0.1)
    other = np.asarray(fill(vectors, jax.random.key(1)))
    assert (other[~found] != filled[~found]).all()
    assert jnp.isfinite(fill(vectors._replace(found=np.zeros(4000, bool)), jax.random.key(0))).all()


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([b"the 1 2 3 4"], "its vectors have 4 numbers, as of line 1, not --embedding-size 3"),
        ([b"the 1 2"], "its vectors have 2 numbers, as of line 1, not --embedding-size 3"),
        ([b"the 1 2 "], "its vectors have 2 numbers, as of line 1, not --embedding-size 3"),
        ([b"5 1 2 3 4"], "its vectors have 4 numbers, as of line 1, not --embedding-size 3"),
        ([b"6 3", b"the 1 2 3 4"], "have 4 numbers, as of line 2, not --embedding-size 3"),
        ([b"6 4", *LINES], "line 1 says that its vectors have 4 numbers, not --embedding-size 3"),
        ([b"6 3"], "it has no vectors after its first line"),
        ([*LINES, b"cat 1 2"], "line 7 has 2 numbers, not 3: is the file cut short"),
        ([*LINES, b"cat 1 2 "], "line 7 has 2 numbers, not 3: is the file cut short"),
        ([*LINES, b"cat 1  2"], "line 7 has 2 numbers, not 3: is the file cut short"),
        ([*LINES, b"cat 1 2 3 4"], "line 7 has 4 numbers, not 3: is the file cut short"),
        ([*LINES, b""], "line 7 has 0 numbers, not 3"),
        ([*LINES, b"cat 1 2 x"], r"line 7 \(cat\): 'x' is not a finite float32 number"),
        ([*LINES, b"cat 1 2 0,5"], r"line 7 \(cat\): '0,5' is not a finite"),
        ([*LINES, b"cat 1 2 1_0"], r"line 7 \(cat\): '1_0' is not a finite"),
        ([*LINES, b"cat 1 nan 3"], r"line 7 \(cat\): 'nan' is not a finite"),
        ([*LINES, b"cat -inf 2 3"], r"line 7 \(cat\): '-inf' is not a finite"),
        ([*LINES, b"cat 1 2 1e400"], r"line 7 \(cat\): '1e400' is not a finite"),
        ([*LINES, b"cat 1 2 1e39"], r"line 7 \(cat\): '1e39' is not a finite"),
        ([*LINES, b"cat 1 2 \xff"], r"line 7 \(cat\): '\ufffd' is not a finite"),
        ([b"dog 1 2 3", b"DOG 1 2 3"], "no vector for any of the 5 words of the vocabulary"),
    ],
)
def test_a_wrong_or_damaged_vector_file_gives_a_one_line_error(file, lines, says):
    with pytest.raises(UserError, match=f"--glove .*vectors.txt: .*{says}"):
        read_vectors(file(lines), WORDS, 3)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (gzip.compress(b"the 1 2 3\n", mtime=0), "it is compressed by gzip: unpack it first"),
        (b"PK\x03\x04and so on", "it is a zip archive: unpack it first"),
        ("the 1 2 3\n".encode("utf-16"), "it is UTF-16: convert it to UTF-8"),
        (b"1 3\nthe " + np.float32([1, 2, 3]).tobytes(), "it is binary; write the vectors as text"),
    ],
    ids=["empty", "gzip", "zip", "utf-16", "word2vec"],
)
def test_a_binary_vector_file_gives_a_one_line_error(tmp_path, content, says):
    (tmp_path / "vectors").write_bytes(content)
    with pytest.raises(UserError, match=f"--glove .*vectors: {says}"):
        read_vectors(str(tmp_path / "vectors"), WORDS, 3)


def test_a_missing_vector_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--glove .*nothing.txt: cannot read it: No such file"):
        read_vectors(str(tmp_path / "nothing.txt"), WORDS, 3)
