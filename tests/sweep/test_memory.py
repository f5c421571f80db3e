"""Sizes, and what fits."""

import jax
import pytest

from research.errors import UserError
from research.sweep import memory
from research.sweep.program import Cost


def cost(peak_bytes, shared_bytes=0):
    nothing = Cost(*[0] * len(Cost._fields))
    return nothing._replace(peak_bytes=peak_bytes, shared_bytes=shared_bytes)


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
def test_sizes_are_read_in_thousands_or_in_powers_of_two(text, size):
    assert memory.parse_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "B", "GB", "GiB", "many", "-2GB", "0", "0.5", "2XB", "2GGB", "2 G i", "nanGB"],
)
def test_what_is_no_size_is_named(text):
    with pytest.raises(UserError, match=f"--memory-limit {text}: not a size"):
        memory.parse_bytes(text)


@pytest.mark.parametrize("text", ["inf", "infT", "1e400", "1e400GB"])
def test_what_is_endless_is_no_size(text):
    with pytest.raises(UserError, match=f"--memory-limit {text}: not a size"):
        memory.parse_bytes(text)


def test_runs_that_fit_are_left_together():
    assert memory.pieces_needed(cost(100), 100) == 1
    assert memory.pieces_needed(cost(100), 99) == 2


@pytest.mark.parametrize("shared", [0, 10, 37])
@pytest.mark.parametrize("limit", [38, 40, 64, 99])
def test_runs_are_cut_no_smaller_than_that_each_part_fits_beside_what_all_share(shared, limit):
    pieces = memory.pieces_needed(cost(100, shared), limit)
    assert shared + (100 - shared) / pieces <= limit
    assert shared + (100 - shared) / (pieces - 1) > limit


def test_shared_data_that_does_not_fit_asks_for_more_pieces_than_there_can_be():
    assert memory.pieces_needed(cost(10**9, 10**8), 10**7) >= 10**8


def test_a_device_that_is_full_is_told_from_other_errors():
    message = "RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes"
    assert memory.is_out_of_memory(jax.errors.JaxRuntimeError(message))
    assert not memory.is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: a bug"))
    assert not memory.is_out_of_memory(ValueError(message))


def files(monkeypatch, **contents):
    """A machine with these files and no others."""
    monkeypatch.setattr(memory, "_read", lambda path: contents.get(path.rpartition("/")[2], ""))


def test_the_host_has_some_memory_and_no_more_than_is_in_it():
    total = next(
        (1024 * int(line.split()[1]) for line in memory._read("/proc/meminfo").splitlines()), 2**62
    )
    assert 0 < memory.host_memory() <= total


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
    assert memory.host_memory() == left


def test_a_machine_that_does_not_say_is_taken_for_large(monkeypatch):
    files(monkeypatch)
    assert memory.host_memory() >= 2**60


def test_a_file_that_is_not_there_says_nothing(tmp_path):
    assert memory._read(str(tmp_path / "memory.max")) == ""


class Device:
    def __init__(self, stats):
        self.memory_stats = lambda: stats


def test_a_device_is_used_up_to_its_limit_but_for_a_tenth():
    assert memory.device_limit(Device({"bytes_limit": 1000})) == 900


@pytest.mark.parametrize("stats", [None, {}])
def test_cpu_devices_share_what_the_host_has(monkeypatch, stats):
    monkeypatch.setattr(memory, "host_memory", lambda: 8000)
    assert memory.device_limit(Device(stats)) == 900  # 8 of them


def test_why_runs_are_cut_is_said_in_gigabytes():
    assert "12.3GB of a device, and 8GB" in memory.too_much(cost(12_345_000_000), 8 * 10**9)
