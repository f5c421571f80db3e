"""Tests of one sweep in two processes of `jax.distributed`, with four CPU devices each."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from research.runs.params import load_params
from tests.sweeps import ENVIRONMENT, EXPERIMENTS, run_command

SWEEPS = {
    "mlp.py": "--seeds 8 --steps 40 --hidden 8 --learning-rate 1e-2",
    "dqn.py": "--seeds 8 --env-steps 400 --hidden 8 --buffer-size 400 --learning-starts 200",
    "lstm_lm.py": "--seeds 8 --steps 6 --hidden 8 --batch-size 4 --window 8 --sample 0",
}


def start(script, words, folder, devices):
    """Starts a process with so many CPU devices."""
    flags = ENVIRONMENT["XLA_FLAGS"] + f" --xla_force_host_platform_device_count={devices}"
    command = [sys.executable, str(EXPERIMENTS / script), *words.split()]
    return subprocess.Popen(
        command, cwd=folder, env={**ENVIRONMENT, "XLA_FLAGS": flags}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(*processes):
    try:
        for process in processes:
            text, _ = process.communicate(timeout=300)
            assert process.returncode == 0, text[-2000:]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.fixture
def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("script", SWEEPS)
def test_two_processes_of_four_devices_equal_one_device(
    tmp_path, address, script, one_device, monkeypatch
):
    """Process 0 listens at the address that is given and at no other."""
    monkeypatch.setattr("jax.local_devices", lambda **_: one_device)  # of this process
    words = f"{SWEEPS[script]} --name two --distributed {address}"
    two = [start(script, f"{words},0/2", tmp_path, 4)]
    try:
        check_listens_at(address, two[0])  # while it waits for the other
        two.append(start(script, f"{words},1/2", tmp_path, 4))
        one = run_command(f"{script} {SWEEPS[script]}", tmp_path).folder
    finally:
        finish(*two)
    folders = one, tmp_path / "runs" / "two"
    tables = [pd.read_parquet(folder / "metrics") for folder in folders]
    tables = [table.sort_values(["run", "step"], ignore_index=True) for table in tables]
    pd.testing.assert_frame_equal(*tables, check_exact=False, rtol=1e-3, atol=1e-4)
    for run in range(8):
        same(*(load_params(folder, run) for folder in folders))


def listening(port):
    """The addresses, as the kernel writes them, at which something listens on a port."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            (address, _, number), state = line.split()[1].partition(":"), line.split()[3]
            if int(number, 16) == port and state == "0A":
                found.append(address)
    return found


def check_listens_at(address, process):
    """That a process listens at an address of this machine and at no other."""
    port, end = int(address.rpartition(":")[2]), time.monotonic() + 300
    while not listening(port) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    (place,) = listening(port)
    assert place in ("0100007F", "0000000000000000FFFF00000100007F")  # 127.0.0.1, also as IPv6


def same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    else:
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_distributed_needs_a_run_name_and_a_valid_address(refused, tmp_path):
    line = refused("mlp.py", "--distributed auto --steps 2 --seeds 1", tmp_path)
    assert "--distributed auto: give --name" in line
