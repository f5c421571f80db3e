"""How many bytes of a device programs may use."""

from pathlib import Path
from typing import Any

import jax

from research.errors import UserError

USABLE = 0.9  # of the limit; the rest is lost between allocations
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_bytes(text: str) -> int:
    """Returns the bytes of a size: `"2GB"` is 2,000,000,000 and `"2GiB"` is 2 * 2**30.

    Raises:
      UserError: if it is no size.
    """
    word = text.strip().upper().removesuffix("B")
    binary = word.endswith("I")
    word = word.removesuffix("I")
    unit = word[-1:] if word[-1:].isalpha() else ""
    try:
        scale = 1024 ** list(_UNITS).index(unit) if binary else _UNITS[unit]
        size = int(float(word.removesuffix(unit)) * scale)
    except (KeyError, ValueError, OverflowError):
        size = 0
    if size < 1:
        raise UserError(f"--memory-limit {text}: not a size, such as 20GB or 512MiB")
    return size


def device_limit(device: Any) -> int:
    """Returns how many bytes programs may use on a device; CPU devices share what the host has
    left."""
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return int(USABLE * stats["bytes_limit"])
    return int(USABLE * host_memory() / jax.local_device_count())


def host_memory() -> int:
    """Returns the bytes that this process can get: what is available, or what its control group
    leaves it."""
    available = [_free_of_control_group(), _available()]
    return min(known for known in (*available, 2**62) if known is not None)


def _available() -> int | None:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return None


def _free_of_control_group() -> int | None:
    """What a container may still take; file pages that can be dropped count as free."""
    folder = "/sys/fs/cgroup/memory"
    most, used = _read(f"{folder}.max").strip(), _read(f"{folder}.current").strip()
    if not (most.isdecimal() and used.isdecimal()):
        return None
    stat = dict(line.split() for line in _read(f"{folder}.stat").splitlines())
    return max(0, int(most) - int(used) + int(stat.get("inactive_file", 0)))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
