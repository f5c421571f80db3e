"""Tests of memory sizes, and of the memory of devices and the host."""

import pytest

from research.errors import UserError
from research.runs import memory_limit


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2 * 10**9),
        ("2GiB", 2 * 2**30),
        ("2gib", 2 * 2**30),
        ("1.5KiB", 1536),
        ("512MiB", 512 * 2**20),
        ("3TB", 3 * 10**12),
        ("20 GB", 20 * 10**9),
        (" 7M ", 7 * 10**6),
        ("1000", 1000),
        ("1000B", 1000),
        ("1e9", 10**9),
    ],
)
def test_byte_sizes_are_parsed_in_decimal_and_binary_units(text, size):
    assert memory_limit.parse_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "B", "GB", "GiB", "many", "-2GB", "0", "0.5", "2XB", "2GGB", "2 G i", "nanGB"],
)
def test_an_invalid_size_is_named(text):
    with pytest.raises(UserError, match=f"--memory-limit {text}: not a size"):
        memory_limit.parse_bytes(text)


@pytest.mark.parametrize("text", ["inf", "infT", "1e400", "1e400GB"])
def test_an_infinite_size_is_refused(text):
    with pytest.raises(UserError, match=f"--memory-limit {text}: not a size"):
        memory_limit.parse_bytes(text)


def files(monkeypatch, **contents):
    """Fakes a machine that has these system files and no others."""
    monkeypatch.setattr(
        memory_limit, "_read", lambda path: contents.get(path.rpartition("/")[2], "")
    )


def test_the_host_has_some_memory_and_no_more_than_is_in_it():
    total = next(
        (1024 * int(line.split()[1]) for line in memory_limit._read("/proc/meminfo").splitlines()),
        2**62,
    )
    assert 0 < memory_limit.host_memory() <= total


@pytest.mark.parametrize(
    ("most", "used", "left"),
    [
        ("900000\n", "300000\n", 600_000),
        ("max\n", "300000\n", 1024_000),
        ("9000000", "0", 1024_000),
        ("5", "6", 0),
        ("", "", 1024_000),
    ],
)
def test_a_control_group_leaves_less_than_the_machine_has(monkeypatch, most, used, left):
    meminfo = "MemTotal: 4000 kB\nMemFree: 10 kB\nMemAvailable:    1000 kB\n"
    contents = {"meminfo": meminfo, "memory.max": most, "memory.current": used}
    files(monkeypatch, **contents)
    assert memory_limit.host_memory() == left


def test_unknown_host_memory_counts_as_large(monkeypatch):
    files(monkeypatch)
    assert memory_limit.host_memory() >= 2**60


def test_missing_system_files_set_no_limit(tmp_path):
    assert memory_limit._read(str(tmp_path / "memory.max")) == ""


class Device:
    def __init__(self, stats):
        self.memory_stats = lambda: stats


def test_a_device_is_used_up_to_nine_tenths_of_its_limit():
    assert memory_limit.device_limit(Device({"bytes_limit": 1000})) == 900


@pytest.mark.parametrize("stats", [None, {}])
def test_cpu_devices_share_what_the_host_has(monkeypatch, stats):
    monkeypatch.setattr(memory_limit, "host_memory", lambda: 8000)
    assert memory_limit.device_limit(Device(stats)) == 900  # 8 of them
