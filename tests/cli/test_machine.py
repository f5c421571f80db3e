"""Tests of setting up the machine: a private compilation cache, devices, and kept freed memory."""

import os
import platform
import subprocess
import sys

import pytest

from research.cli import machine
from research.errors import UserError
from research.runs.session import usable_cores
from tests.contract import slow


def test_a_new_cache_folder_is_private(tmp_path):
    folder = machine.private_folder(tmp_path / "a" / "b")
    assert folder is not None
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_cache_folder_that_others_can_write_to_is_made_private(tmp_path):
    tmp_path.chmod(0o777)
    assert machine.private_folder(tmp_path) == tmp_path
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_symbolic_link_is_not_used_as_cache(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert machine.private_folder(tmp_path / "link") is None


def test_a_cache_folder_of_another_user_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert machine.private_folder(tmp_path) is None


@pytest.mark.parametrize(("setting", "folder"), [slow("off", "None"), ("{}/cache", "{}/cache")])
def test_the_environment_variable_chooses_the_cache_folder(tmp_path, setting, folder):
    code = (
        "import jax; from research.cli import machine; machine.configure_jax();"
        "print(jax.config.jax_compilation_cache_dir, len(jax.local_devices()))"
    )
    env = {**os.environ, "SEEDBED_CACHE": setting.format(tmp_path), "XLA_FLAGS": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [folder.format(tmp_path), str(usable_cores())]


PAGES_OF_A_SECOND_BUFFER = """
import resource
import numpy as np
from research.cli import machine
print(machine.keep_freed_memory())
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**23)
before = faults()
np.ones(2**23)
print(faults() - before)
"""


@pytest.mark.parametrize("error", [RuntimeError("Unable to\ninitialize"), AssertionError()])
def test_a_missing_device_gives_a_one_line_error(monkeypatch, error):
    def none():
        raise error

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr(machine.jax, "local_devices", none)
    with pytest.raises(UserError, match="JAX_PLATFORMS=cuda: JAX finds no such device: "):
        machine.check_devices()


@pytest.mark.parametrize(
    ("asked", "hidden", "said"),
    [("", None, True), ("cpu", None, False), ("", "", False), ("", "-1", False), ("", "0", True)],
)
def test_an_unused_gpu_is_reported(tmp_path, monkeypatch, capsys, asked, hidden, said):
    monkeypatch.setenv("JAX_PLATFORMS", asked)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(machine, "NVIDIA_GPUS", tmp_path)
    machine.check_devices()
    assert not capsys.readouterr().err  # the driver lists none
    (tmp_path / "0000:01:00.0").mkdir()
    machine.check_devices()
    assert ("there is a GPU, and JAX does not use it" in capsys.readouterr().err) == said


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator of another kind")
@pytest.mark.parametrize(
    ("variables", "kept"), [({}, True), slow({"MALLOC_MMAP_MAX_": "9"}, False)]
)
def test_freed_memory_is_kept_unless_the_user_chose_otherwise(variables, kept):
    env = {**os.environ, **variables, "NUMPY_MADVISE_HUGEPAGE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", PAGES_OF_A_SECOND_BUFFER],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said, pages = done.stdout.split()
    assert said == str(kept)
    assert (int(pages) < 100) == kept, pages  # of 16,384
