"""Tests of downloads: errors name the flag; `lm/test_corpora.py` tests the rest."""

import hashlib
from pathlib import Path

import pooch
import pytest

from research.downloads import Source, data_folder, download
from research.errors import UserError

SOURCE = Source("http://127.0.0.1:9/some/file.bin", "md5:" + hashlib.md5(b"content").hexdigest())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder."""
    monkeypatch.setenv("SEEDBED_DATA", str(tmp_path))
    (tmp_path / "it").mkdir()
    return tmp_path / "it"


@pytest.mark.parametrize("flag", ["--data", "--corpus"])
def test_an_error_names_the_flag_that_was_given(folder, monkeypatch, flag):
    def refuse(*args, **options):
        raise ConnectionError

    monkeypatch.setattr(pooch, "retrieve", refuse)
    says = rf"^{flag} it: cannot download it \(ConnectionError\); get {SOURCE.url} and put it at "
    with pytest.raises(UserError, match=rf"{says}{folder}/file\.bin \({SOURCE.checksum}\)$"):
        download("it", SOURCE, flag)


def test_a_checksum_error_names_the_flag_and_the_checksum(folder, monkeypatch):
    def other(url, output_file, pooch):
        Path(output_file).write_bytes(b"something else")

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda *args, **options: other)
    digest = SOURCE.checksum.removeprefix("md5:")
    says = f"^--data it: {SOURCE.url} has changed.*: its md5 is not {digest}$"
    with pytest.raises(UserError, match=says):
        download("it", SOURCE, "--data")


def test_a_file_that_the_user_put_there_is_used(folder):
    (folder / "file.bin").write_bytes(b"content")
    assert download("it", SOURCE, "--data") == folder / "file.bin"


@pytest.mark.parametrize("given", ["", None])
def test_the_default_data_folder_is_in_the_users_cache(monkeypatch, given):
    if given is None:
        monkeypatch.delenv("SEEDBED_DATA", raising=False)
    else:
        monkeypatch.setenv("SEEDBED_DATA", given)
    assert data_folder().is_absolute()
    assert data_folder().parts[-2:] == ("seedbed", "data")
