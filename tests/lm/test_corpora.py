"""Tests of loading corpora by name, folder and file."""

import hashlib
import zipfile

import pooch
import pytest

from research import downloads
from research.downloads import Source
from research.errors import UserError
from research.lm import corpora
from research.lm.corpora import CORPORA, NamedText, load_corpus, split_text
from research.lm.data import load_text
from research.lm.text import Bytes

LINES = "".join(f"line {number:02}\n" for number in range(100))  # of 8 characters each


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("SEEDBED_DATA", str(tmp_path / "data"))
    return tmp_path


def test_a_file_is_split_after_whole_lines_or_as_given(tmp_path):
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


@pytest.mark.parametrize(
    "names",
    [
        ("Train.txt", "VALIDATION.TXT", "Test.txt"),
        ("ptb.train.txt", "ptb.dev.txt", "ptb.test.txt"),
        ("training_1.txt", "my-val.txt", "testing.txt"),
    ],
)
def test_files_of_a_folder_are_matched_to_parts_by_a_word_of_their_name(tmp_path, names):
    """Longer words that contain such a word, hidden files and folders are skipped."""
    for name in names:
        (tmp_path / name).write_text(name)
    for name in ("latest_notes.txt", "strain.txt", "device.txt", "evaluation.txt", "contest.txt",
                 "._train.txt", ".DS_Store", ".test.txt.swp"):  # fmt: skip
        (tmp_path / name).write_bytes(b"\0\xff")
    (tmp_path / "test").mkdir()
    assert tuple(load_corpus(str(tmp_path))) == names
    (tmp_path / names[2]).unlink()
    assert load_corpus(str(tmp_path)).test == ""


@pytest.mark.parametrize("level", ["word", "character", "bpe"])
@pytest.mark.parametrize(
    "written",
    [
        LINES.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + LINES.encode(),
        LINES.replace("line 5", "\ufeffline 5").replace("\n", "\r\n").encode("utf-8-sig"),
    ],
    ids=["CRLF", "mark", "joined"],
)
def test_line_ends_are_unified_and_byte_order_marks_dropped(tmp_path, level, written):
    (tmp_path / "text.txt").write_bytes(written)
    assert "".join(load_corpus(str(tmp_path / "text.txt"), level=level)) == LINES
    (tmp_path / "corpus").mkdir()
    for part in ("train", "valid", "test"):
        (tmp_path / "corpus" / f"{part}.txt").write_bytes(written)
    assert tuple(load_corpus(str(tmp_path / "corpus"), level=level)) == (LINES,) * 3


@pytest.mark.parametrize("folder", [False, True])
def test_bytes_are_those_of_the_file(tmp_path, folder):
    """All 256 bytes are kept, also a byte-order mark, NULs and line ends."""
    content = b"\xef\xbb\xbf" + bytes(range(256)) * 4 + b"a\r\nb\rc\0\n\xc3\xa9\xc3"
    (tmp_path / "train.txt").write_bytes(content)
    (tmp_path / "valid.txt").write_bytes(content[::-1])
    path = tmp_path if folder else tmp_path / "train.txt"
    parts = load_corpus(str(path), "80/20", level="byte")
    tokens = [bytes(Bytes().encode(part).tolist()) for part in parts]
    assert tokens == [content, content[::-1], b""] if folder else b"".join(tokens) == content
    _, _, encoded, facts = load_text(str(path), "80/20", "byte", 0)
    assert facts["train"]["sha256"] == hashlib.sha256(tokens[0]).hexdigest()
    assert facts["train"]["tokens"] == len(encoded["train"]) == len(tokens[0])


def test_the_text_in_the_standard_library_is_english():
    parts = load_corpus("topics")
    assert len(parts.train) > 300_000
    assert len(parts.validation) > 15_000
    assert parts.train.count(" the ") > 3_000


@pytest.mark.parametrize("name", sorted(set(CORPORA) - {"topics"}))
def test_without_a_network_the_error_says_which_file_to_put_where(data, monkeypatch, name):
    def refuse(*args, **options):
        raise ConnectionError

    monkeypatch.setattr(pooch, "retrieve", refuse)
    source = CORPORA[name].sources[0]
    expected = f"cannot download it .*get {source.url} and put it at {data}/data/{name}/"
    with pytest.raises(UserError, match=expected):
        load_corpus(name)


@pytest.fixture
def named(data, monkeypatch):
    """A named corpus whose file is already in the data folder."""
    path = data / "data" / "small" / "small.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for part in ("train", "valid", "test"):
            archive.writestr(f"wikitext-2/wiki.{part}.tokens", part + LINES)
    checksum = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    source = Source("http://127.0.0.1:9/small.zip", checksum, 10**6)
    small = NamedText((source,), CORPORA["wikitext-2"].read)
    monkeypatch.setitem(corpora.CORPORA, "small", small)
    return path


def test_an_existing_file_is_not_downloaded_again(named):
    parts = load_corpus("small")
    assert tuple(part[:5] for part in parts) == ("train", "valid", "testl")


def test_a_file_with_a_wrong_checksum_is_not_read(named):
    named.write_bytes(named.read_bytes().replace(b"line 07", b"lime 07"))
    with pytest.raises(UserError, match=r"cannot download it .*put it at .*small\.zip"):
        load_corpus("small")


def test_a_download_with_a_wrong_checksum_is_not_kept(named, monkeypatch):
    named.unlink()

    def other(url, output_file, pooch):
        with open(output_file, "wb") as file:
            file.write(b"something else")

    monkeypatch.setattr(downloads, "_fetch", lambda source: other)
    with pytest.raises(UserError, match=r"small\.zip has changed, or was damaged on its way"):
        load_corpus("small")
    assert not named.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "its train part is empty"),
        (b"\xef\xbb\xbf", "its train part is empty"),
        (b"one line without a second", "its validation part is empty"),
        (b"line\n" * 36 + b"x" * 18 + b"\n", "its test part is empty; --split 90/10 makes none"),
        (b"line\n" * 3 + b"caf\xe9\n", r"byte 18, in line 4, is not UTF-8 \(b'\\xe9'\)"),
        (LINES.encode("utf-16"), "is UTF-16, not UTF-8; convert the file"),
        (LINES.encode("utf-32"), "is UTF-32, not UTF-8; convert the file"),
        (LINES.encode("utf-16-le"), "byte 1, in line 1, is NUL.* not text in UTF-8; convert"),
        (b"line\n" * 3 + b"\0\n", "byte 15, in line 4, is NUL"),
    ],
)
def test_a_text_that_cannot_be_read_gives_a_one_line_error(tmp_path, content, says):
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(UserError, match=rf"text\.txt: {says}"):
        load_corpus(str(tmp_path / "text.txt"))


@pytest.mark.parametrize("corpus", ["nothing", "n" * 300])
def test_an_unknown_corpus_gives_a_one_line_error(corpus):
    with pytest.raises(UserError, match=f"--corpus {corpus}: no such file or folder, nor one of"):
        load_corpus(corpus)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["train.txt", "latest.txt"], "no file with 'valid' in its name, as a word of its own"),
        (["strain.txt", "valid.txt"], "no file with 'train' in its name, as a word of its own"),
        (["train.txt", "train-2.txt"], r"several files for one part: train-2\.txt, train\.txt"),
        (
            ["train.txt", "dev.txt", "Valid.txt"],
            r"several files for one part: Valid\.txt, dev\.txt",
        ),
        (["train.txt", "dev-test.txt"], r"one file has the names of two parts: .*dev-test\.txt"),
        (["train.txt", "valid.txt", "test-empty.txt"], r"test-empty\.txt is empty"),
        (["train.txt", "valid-empty.txt"], r"valid-empty\.txt is empty"),
    ],
)
def test_a_folder_with_ambiguous_parts_gives_a_one_line_error(tmp_path, names, says):
    for name in names:
        (tmp_path / name).write_text("\n" if "empty" in name else LINES)
    with pytest.raises(UserError, match=f"--corpus {tmp_path}: {says}"):
        load_corpus(str(tmp_path))


@pytest.mark.parametrize("split", ["90", "90/10/0", "50/20/20", "a/b", "25/25/25/25", "-10/110"])
def test_an_invalid_split_gives_a_one_line_error(split):
    with pytest.raises(UserError, match=f"--split {split}"):
        corpora.parse_split(split)
