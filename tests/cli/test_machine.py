"""Tests of setting up the machine: a private compilation cache, devices, and kept freed memory."""

import grp
import os
import platform
import pwd
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


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_cache_folder_that_others_can_write_to_is_refused_as_it_is(tmp_path, mode):
    tmp_path.chmod(mode)
    assert machine.private_folder(tmp_path) is None
    assert tmp_path.stat().st_mode & 0o7777 == mode


def test_a_cache_folder_in_one_that_others_can_write_to_is_refused(tmp_path):
    """They could rename it and put their own in its place, unless the sticky bit forbids that."""
    (tmp_path / "open" / "cache").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    assert machine.private_folder(tmp_path / "open" / "cache") is None
    (tmp_path / "open").chmod(0o1777)
    assert machine.private_folder(tmp_path / "open" / "cache") == tmp_path / "open" / "cache"


def test_folders_that_are_there_keep_their_mode(tmp_path):
    tmp_path.chmod(0o755)
    assert machine.private_folder(tmp_path) == tmp_path
    assert tmp_path.stat().st_mode & 0o777 == 0o755


GROUPS = [([], "me", False), (["me"], "me", False), (["you"], "me", True), ([], "lab", True)]


@pytest.mark.parametrize(("members", "name", "refused"), GROUPS)
def test_a_group_of_the_user_alone_may_write(tmp_path, monkeypatch, members, name, refused):
    tmp_path.chmod(0o770)
    group = grp.struct_group((name, "x", os.getgid(), members))
    monkeypatch.setattr(grp, "getgrgid", lambda _: group)
    user = pwd.struct_passwd(("me", "x", os.getuid(), os.getgid(), "", "", ""))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
    assert (machine.private_folder(tmp_path) is None) == refused


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_cache_with_an_entry_of_another_user_is_refused(tmp_path):
    (tmp_path / "jit_train-cache").write_bytes(b"code")
    assert machine.private_folder(tmp_path) == tmp_path
    os.chown(tmp_path / "jit_train-cache", 12345, -1)
    assert machine.private_folder(tmp_path) is None


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


def test_a_worker_that_was_promised_a_gpu_does_not_train_on_a_cpu(monkeypatch):
    monkeypatch.setenv(machine.PROMISED_GPU, "--gpus 1")
    with pytest.raises(UserError, match=r"promised a GPU \(--gpus 1\), .* SEEDBED_EXTRA=cuda12"):
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


@pytest.mark.skipif(usable_cores() < 2, reason="one core is one device in any case")
def test_jax_that_was_used_before_is_taken_as_it_is():
    """As in a script whose environment has arrays at its top."""
    code = (
        "import jax.numpy as jnp; jnp.zeros(1)\n"
        "from research.cli.machine import configure_jax\n"
        "configure_jax(); print(int(jnp.arange(3).sum()))"
    )
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env | {"SEEDBED_CACHE": "off", "JAX_PLATFORMS": "cpu"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    assert "JAX was used before the sweep was set up" in done.stderr
