"""Tests of the permissions of what a sweep writes: what the umask leaves, which is never changed,
since for that moment all threads would write files that are open to everyone."""

import os

import pytest

from tests.sweeps import SWEEPS


@pytest.mark.parametrize("name", ["mlp", "lm"])
def test_everything_is_made_with_the_umask_of_the_user(tmp_path, monkeypatch, answer, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("the cat sat on the mat and saw a rat\n" * 120)
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", None)
            script, _, words = SWEEPS[name].partition(" ")
            status, _, error = answer(script, f"{words} --name it --keep-states")
    finally:
        os.umask(before)
    assert (status, error) == (0, "")
    modes = {
        str(path.relative_to(tmp_path)): oct(path.stat().st_mode & 0o777)
        for path in (tmp_path / "runs").rglob("*")
    }
    odd = {
        name: mode
        for name, mode in modes.items()
        if mode != ("0o750" if (tmp_path / name).is_dir() else "0o640")
    }
    assert len(modes) > 20
    assert odd == {}
