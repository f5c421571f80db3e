"""How many bytes of a device programs may use."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from research.engine.one_run import least_bytes
from research.errors import UserError
from research.plain_text import human

if TYPE_CHECKING:
    from research.runs.experiment import Part  # pyarrow is not on every machine of a benchmark

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


def check_fits(parts: "Sequence[Part]", limit: int | None, check_device: bool) -> None:
    """Checks that one run of each group alone could fit, as far as can be told without compiling.

    Args:
      parts: the groups.
      limit: bytes that the user allows; None: all of a device.
      check_device: whether the devices here are those that are to train.

    Raises:
      UserError: if not.
    """
    if limit is None and not check_device:
        return
    most = limit or device_limit(jax.local_devices()[0])
    for part in parts:
        needed = least_bytes(part.problem, part.group.runs)
        if needed > most:
            label = f" of {part.name}" if part.name else ""
            given = "" if limit is None else f"--memory-limit {human(limit)}B: "
            raise UserError(
                f"{given}one run{label} alone does not fit the memory: it needs {human(needed)}B "
                f"or more, and {human(most)}B can be used; make the net, the batch or the buffer "
                "smaller"
            )
