"""Sets JAX up for a sweep: devices, memory, the compilation cache, other processes."""

import contextlib
import ctypes
import fcntl
import functools
import grp
import os
import platform
import pwd
import stat
import sys
from pathlib import Path

import jax

from research.console import print_text
from research.errors import UserError
from research.folders import files_in
from research.plain_text import one_line
from research.runs.session import usable_cores

NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")  # where the driver lists them
PROMISED_GPU = "SEEDBED_PROMISED_GPU"  # set by a launcher for its workers: by what, in words
DETERMINISTIC = ("--xla_gpu_deterministic_ops=true", "--xla_gpu_autotune_level=0")

# mallopt's numbers for glibc, from its malloc.h, and what they are set to.
KEPT = {
    "M_MMAP_MAX": (-4, 0),  # large buffers come from the heap as any others
    "M_TRIM_THRESHOLD": (-1, -1),  # which is never made smaller
    "M_TOP_PAD": (-2, 2**28),  # and grows by as many bytes at least
}


def configure_jax(deterministic: bool = False, distributed: str | None = None) -> None:
    """Sets up one CPU device per core, so that runs are sharded over cores, the compilation cache,
    and memory that is kept (see `keep_freed_memory`).

    To be called before the first computation. `SEEDBED_CACHE=off` turns the cache off, another
    value moves it.

    Args:
      deterministic: whether a GPU is to give the same bits every time: without atomic additions,
        and with kernels that no measurement chose.
      distributed: what `join_world` takes; None: the process is alone.

    Raises:
      UserError: as `join_world`, and if JAX has no such device as `JAX_PLATFORMS` asks for.
    """
    if deterministic:
        os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *DETERMINISTIC])
    hold_environment()
    keep_freed_memory()
    if "XLA_FLAGS" not in os.environ or "device_count" not in os.environ["XLA_FLAGS"]:
        _divide_cpu(usable_cores())
    if folder := _cache_folder():
        _keep_programs(folder)
    if distributed is not None:
        join_world(distributed)
    check_devices()


@functools.cache
def hold_environment() -> None:
    """Keeps `scripts/environment.sh` from changing the environment until this process has ended, by
    its lock, which it takes alone before it installs anything.

    What `scripts/run` starts holds the lock already; a process on another machine, or one that was
    started by the environment's own Python, does not.
    """
    with contextlib.suppress(OSError):  # no environment of the scripts, or no locks
        descriptor = os.open(f"{sys.prefix}.in-use", os.O_RDONLY)  # open as long as the process is
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _divide_cpu(cores: int) -> None:
    """Has JAX see one device per core, unless it has computed something already: then its devices
    are what they are."""
    try:
        jax.config.update("jax_num_cpu_devices", cores)
    except RuntimeError:
        if jax.local_device_count("cpu") < cores:
            print_text(
                f"JAX was used before the sweep was set up, so that training does not use all "
                f"{cores} cores: make arrays later, or call research.cli.machine.configure_jax() "
                "first",
                error=True,
            )


def _keep_programs(folder: Path) -> None:
    """Has JAX keep compiled programs in a folder, unless others could put theirs there."""
    if private := private_folder(folder):
        jax.config.update("jax_compilation_cache_dir", str(private))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    else:
        print_text(
            f"compiled programs are not kept: {one_line(folder)} or a folder above it is open to "
            "others, or cannot be made; SEEDBED_CACHE=FOLDER names another, SEEDBED_CACHE=off none",
            error=True,
        )


def check_devices() -> None:
    """Prints a line on the standard error if there is a GPU that JAX does not use.

    Raises:
      UserError: if JAX has no such device as `JAX_PLATFORMS` asks for, or no GPU where a launcher
        has promised this worker one: on the CPU it would take the jobs of the others, slowly.
    """
    asked = os.environ.get("JAX_PLATFORMS")
    promised = os.environ.get(PROMISED_GPU)
    try:
        platforms = {device.platform for device in jax.local_devices()}
    except (RuntimeError, AssertionError) as error:  # without and with a plugin for the device
        reason = " ".join(str(error).split())[:200] or "its build of JAX is not installed"
        raise UserError(f"JAX_PLATFORMS={asked}: JAX finds no such device: {reason}") from None
    if platforms == {"cpu"} and promised:
        raise UserError(
            f"this worker was promised a GPU ({promised}), and JAX finds only the CPU of "
            f"{platform.node()}: set the environment up with SEEDBED_EXTRA=cuda12 or cuda13 (any "
            "scripts/... does), or launch without GPUs by JAX_PLATFORMS=cpu"
        )
    if platforms == {"cpu"} and not asked and has_nvidia_gpu():
        print_text(
            "there is a GPU, and JAX does not use it: SEEDBED_EXTRA=auto sets up for it, unless "
            "JAX says above why it cannot; JAX_PLATFORMS=cpu asks for the CPU",
            error=True,
        )


def has_nvidia_gpu() -> bool:
    """Returns whether the driver lists a GPU that `CUDA_VISIBLE_DEVICES` does not hide."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1", "NoDevFiles")
    return not hidden and bool(files_in(NVIDIA_GPUS))


def keep_freed_memory() -> bool:
    """Has the C library keep freed memory for later allocations, and returns whether it does.

    On a CPU, every call of a compiled program allocates its temporaries and frees them. glibc gives
    large ones back to the system, which has to fill them with zeros, page by page, when the next
    call touches them: up to a third of the time of a language model. Elsewhere, or if the user has
    set one of the allocator's own variables, nothing changes.
    """
    chosen = {name.replace("M_", "MALLOC_", 1) + "_" for name in KEPT}
    if platform.libc_ver()[0] != "glibc" or chosen & set(os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(number, value) == 1 for number, value in KEPT.values())


def join_world(which: str) -> None:
    """Makes this process one of several of `jax.distributed`, as a TPU pod needs it.

    Each process still computes on its own devices alone: runs are independent, so no program has
    to span hosts, and none waits for another.

    Args:
      which: `auto` where JAX knows the cluster, such as on a TPU pod; else `HOST:PORT,I/N`: the
        address of process 0, the number of this one, and how many there are.

    Raises:
      UserError: for anything else, or if the others are not there.
    """
    address, _, share = which.partition(",")
    place, _, count = share.partition("/")
    try:
        if which == "auto":
            jax.distributed.initialize()
        elif ":" in address and place.isdecimal() and count.isdecimal() and int(place) < int(count):
            jax.distributed.initialize(
                address, int(count), int(place), initialization_timeout=60,
                coordinator_bind_address=address,  # JAX's own choice is every address there is
            )  # fmt: skip
        else:
            raise UserError(
                f"--distributed {which}: give auto, or HOST:PORT,I/N such as 10.0.0.1:1234,0/4"
            )
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--distributed {which}: no connection: {reason}") from None


def process_of_world() -> tuple[int, int]:
    """Returns the number of this process, and how many there are."""
    return jax.process_index(), jax.process_count()


def _cache_folder() -> Path | None:
    """Returns the folder of compiled programs, None if they are not kept: by default one for each
    version of Python and JAX, which cannot use each other's."""
    given = os.environ.get("SEEDBED_CACHE")
    if given == "off":
        return None
    if given:
        return Path(given)
    try:
        import platformdirs
    except ImportError:  # where `scripts/bench` runs beside JAX and little else
        return None
    version = f"jax-{jax.__version__}-py{sys.version_info.major}.{sys.version_info.minor}"
    return platformdirs.user_cache_path("seedbed") / version


def private_folder(folder: Path) -> Path | None:
    """Returns `folder`, made if need be, if nobody else can put anything into it; None otherwise.

    What lies in it is executable code: whoever can write there, or in a folder above, runs code in
    this process. A folder that others can write to is refused as it is: what they have put there
    would stay if its mode were changed.
    """
    try:
        _make_private(folder)
        here = folder.lstat()
        mine = stat.S_ISDIR(here.st_mode) and here.st_uid == os.getuid()
        above = [parent.stat() for parent in folder.resolve().parents]
        strangers = any(entry.lstat().st_uid != os.getuid() for entry in files_in(folder))
    except OSError:
        return None
    if not mine or strangers or _others_can_write(here):
        return None
    # In a folder such as /tmp, others cannot rename what is not theirs (its sticky bit).
    open_above = any(_others_can_write(one) and not one.st_mode & stat.S_ISVTX for one in above)
    owned = all(one.st_uid in (0, os.getuid()) for one in above)
    return folder if owned and not open_above else None


def _make_private(folder: Path) -> None:
    """Makes a folder, and those above it that are missing, for this user alone."""
    missing = [folder, *(parent for parent in folder.parents if not os.path.lexists(parent))]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def _others_can_write(found: os.stat_result) -> bool:
    """Whether anybody but the owner can write to a folder. A group that has the user's name and no
    other members, as many systems make one for each user, is nobody else."""
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_own_group(found.st_gid)


def _is_own_group(group: int) -> bool:
    if group != os.getgid():
        return False
    try:
        known, user = grp.getgrgid(group), pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return known.gr_name == user.pw_name and set(known.gr_mem) <= {user.pw_name}
