"""Corpora by name, folder and file."""

import hashlib
import zipfile

import pooch
import pytest

from research.downloads import Source
from research.errors import UserError
from research.lm import corpora
from research.lm.corpora import CORPORA, Named, load_corpus, split_text

LINES = "".join(f"line {number:02}\n" for number in range(100))  # of 8 characters each


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("SEEDBED_DATA", str(tmp_path / "data"))
    return tmp_path


def test_a_file_is_cut_after_whole_lines_or_where_told(tmp_path):
    (tmp_path / "text.txt").write_text(LINES)
    parts = load_corpus(str(tmp_path / "text.txt"), "80/15/5")
    assert [len(part) for part in parts] == [648, 120, 32]
    assert "".join(parts) == LINES
    assert all(part.endswith("\n") for part in parts)
    assert [len(part) for part in split_text(LINES, (81, 19), whole_lines=False)] == [648, 152, 0]


def test_a_folder_holds_a_file_for_each_part(tmp_path):
    for name in ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"):
        (tmp_path / name).write_text(name)
    assert tuple(load_corpus(str(tmp_path))) == (
        "wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens",
    )  # fmt: skip
    (tmp_path / "wiki.test.tokens").unlink()
    assert load_corpus(str(tmp_path)).test == ""


def test_line_ends_are_those_of_unix(tmp_path):
    (tmp_path / "text.txt").write_bytes(LINES.replace("\n", "\r\n").encode())
    assert "".join(load_corpus(str(tmp_path / "text.txt"))) == LINES


def test_the_text_that_python_carries_is_english():
    parts = load_corpus("topics")
    assert len(parts.train) > 300_000
    assert len(parts.validation) > 15_000
    assert parts.train.count(" the ") > 3_000


@pytest.mark.parametrize("name", sorted(set(CORPORA) - {"topics"}))
def test_without_a_network_it_says_what_to_put_where(data, monkeypatch, name):
    def refuse(*args, **options):
        raise ConnectionError

    monkeypatch.setattr(pooch, "retrieve", refuse)
    source = CORPORA[name].sources[0]
    expected = f"cannot download it .*get {source.url} and put it at {data}/data/{name}/"
    with pytest.raises(UserError, match=expected):
        load_corpus(name)


@pytest.fixture
def named(data, monkeypatch):
    """A corpus whose file lies in the data folder already."""
    path = data / "data" / "small" / "small.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for part in ("train", "valid", "test"):
            archive.writestr(f"wikitext-2/wiki.{part}.tokens", part + LINES)
    checksum = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    source = Source("http://127.0.0.1:9/small.zip", checksum)
    small = Named((source,), CORPORA["wikitext-2"].read)
    monkeypatch.setitem(corpora.CORPORA, "small", small)
    return path


def test_a_file_that_is_there_is_not_downloaded(named):
    parts = load_corpus("small")
    assert tuple(part[:5] for part in parts) == ("train", "valid", "testl")


def test_a_file_that_was_changed_is_not_read(named):
    named.write_bytes(named.read_bytes().replace(b"line 07", b"lime 07"))
    with pytest.raises(UserError, match=r"cannot download it .*put it at .*small\.zip"):
        load_corpus("small")


def test_a_download_that_was_changed_is_not_kept(named, monkeypatch):
    named.unlink()

    def other(url, output_file, pooch):
        with open(output_file, "wb") as file:
            file.write(b"something else")

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda *args, **options: other)
    with pytest.raises(
        UserError, match=r"small\.zip is not what it was, or was changed on its way"
    ):
        load_corpus("small")
    assert not named.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "its train part is empty"),
        (b"one line without a second", "its validation part is empty"),
        (b"line\n" * 3 + b"caf\xe9\n", r"byte 18, in line 4, is no UTF-8 \(b'\\xe9'\)"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(tmp_path, content, says):
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(UserError, match=says):
        load_corpus(str(tmp_path / "text.txt"))


def test_what_is_no_corpus_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="--corpus nothing: no such file or folder, and no name"):
        load_corpus("nothing")
    (tmp_path / "train.txt").write_text(LINES)
    with pytest.raises(UserError, match="no file with 'valid' in its name"):
        load_corpus(str(tmp_path))
    (tmp_path / "train-2.txt").write_text(LINES)
    with pytest.raises(UserError, match=r"several files for one part: train-2\.txt, train\.txt"):
        load_corpus(str(tmp_path))


@pytest.mark.parametrize("split", ["90", "90/10/0", "50/20/20", "a/b", "25/25/25/25", "-10/110"])
def test_a_split_that_is_none_is_one_clear_line(split):
    with pytest.raises(UserError, match=f"--split {split}"):
        corpora.parse_split(split)
