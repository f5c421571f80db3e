"""Describes what a process trains on: machine, packages, code."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from research.engine.compiling import jax_settings

PACKAGES = ("seedbed", "jax", "jaxlib", "flax", "optax", "gymnax", "chex", "numpy")


def describe_session() -> dict[str, Any]:
    """Returns what this process trains on, in JSON types."""
    return {
        "started": now(),
        "command": shlex.join(sys.argv),
        "host": platform.node(),
        "versions": versions(),
        "jax_settings": jax_settings(),
        "device": device_facts(),
        "git_commit": git_commit(Path(__file__).parent),
    }


def now() -> str:
    """Returns the time in UTC to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def usable_cores() -> int:
    """Returns how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device_facts() -> dict[str, Any]:
    """Returns which devices JAX sees, and the processor and cores of the host."""
    devices = jax.local_devices()
    return {
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "count": len(devices),
        "processor": _processor(),
        "cores": usable_cores(),
        "system": platform.platform(),
    }


def git_commit(folder: Path) -> str | None:
    """Returns the commit checked out where the code lies, with `-dirty` if files differ from it;
    None outside a checkout."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
