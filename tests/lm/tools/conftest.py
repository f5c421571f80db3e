"""Run folders for tests of the tools of language models."""

import shutil

import pytest

from tests.sweeps import TEXT

WORDS = {"level": ("word",), "learning_rate": (0.05,), "seeds": ("3",)}


@pytest.fixture(scope="session")
def run_folders():
    """Run folders by the changes to the small sweep; tests copy and never change them."""
    return {}


@pytest.fixture
def trained(tmp_path, load_script, small_sweep, run_folders, tmp_path_factory):
    """A function that returns a run folder of a small sweep, trained once for all tests."""

    def train(**changes):
        if not changes:
            return shutil.copytree(small_sweep("lm").folder, tmp_path / "small")
        if (known := repr(changes)) not in run_folders:
            home, script = tmp_path_factory.mktemp("trained"), load_script("lstm_lm.py")
            (home / "text.txt").write_text(TEXT)
            small = {
                "corpus": (str(home / "text.txt"),), "hidden": ((8,),), "batch_size": (4,),
                "window": (8,), "seeds": ("2",), "steps": (10,), "out": str(home), "name": "small",
                "sample": 5,
            }  # fmt: skip
            run_folders[known] = script.main(script.arguments("topics", **small | changes))
        return shutil.copytree(run_folders[known], tmp_path / "small")

    return train
