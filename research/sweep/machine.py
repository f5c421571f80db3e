"""JAX as a sweep wants it, and what the manifest says of the machine."""

import importlib.metadata
import os
import platform
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import platformdirs

PACKAGES = ("seedbed", "jax", "jaxlib", "flax", "optax", "gymnax", "chex", "numpy")


def configure_jax() -> None:
    """One CPU device a core, so that runs are sharded over cores; and the compilation cache.

    To be called before the first computation. `SEEDBED_CACHE=off` turns the cache off, another
    value moves it.
    """
    if "XLA_FLAGS" not in os.environ or "device_count" not in os.environ["XLA_FLAGS"]:
        jax.config.update("jax_num_cpu_devices", usable_cores())
    folder = os.environ.get("SEEDBED_CACHE") or default_cache_folder()
    if folder != "off" and (private := private_folder(Path(folder))):
        jax.config.update("jax_compilation_cache_dir", str(private))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def usable_cores() -> int:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_cache_folder() -> Path:
    """One a Python and JAX version: what they compile is no use to another."""
    version = f"jax-{jax.__version__}-py{sys.version_info.major}.{sys.version_info.minor}"
    return platformdirs.user_cache_path("seedbed") / version


def private_folder(folder: Path) -> Path | None:
    """`folder`, made if need be, if nobody else can write to it; None otherwise.

    What lies in it is executable code: whoever can write there runs code in this process.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return None
        folder.chmod(0o700)
    except OSError:
        return None
    return folder


def versions() -> dict[str, str]:
    """Of Python and of the packages that the numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def device_facts() -> dict[str, Any]:
    """Which devices JAX sees, and the processor and cores of the host."""
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
    """The commit checked out where the code lies, with `-dirty` if files differ from it."""
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
