"""Run folders for tests of the tools of MLPs."""

import json
import shutil

import pytest

from research.errors import UserError


@pytest.fixture
def folder(small_sweep, tmp_path):
    """A copy of a run folder with two settings and three seeds."""
    return shutil.copytree(small_sweep("mlp").folder, tmp_path / "it")


@pytest.fixture
def regression(small_sweep, tmp_path):
    """A copy of a run folder of a regression with two seeds."""
    return shutil.copytree(small_sweep("regression").folder, tmp_path / "regression")


def check_refused(tool, empty, folder):
    """Checks that a tool refuses a path that is no run folder, and one of another workload."""
    with pytest.raises(UserError, match="is no run folder"):
        tool.main(tool.Arguments(str(empty)))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"workload": "dqn"}))
    with pytest.raises(UserError, match="is a run folder of dqn, not of mlp"):
        tool.main(tool.Arguments(str(folder)))
