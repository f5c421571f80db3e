"""Starts workers on this machine: one a GPU, or each on its share of the cores."""

import contextlib
import itertools
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from research.cli.machine import PROMISED_GPU
from research.cli.signals import LAUNCHER, StopRequest, stop_request
from research.cli.worker_process import IN_UTF8, describe_end, is_final
from research.console import print_text
from research.errors import Stopped, UserError
from research.plain_text import count_of
from research.runs.session import usable_cores

POLL_SECONDS = 0.2  # between looks at whether the workers are done, or a signal came


class Place(NamedTuple):
    """What a worker may use of the machine.

    Attributes:
      environment: variables beside those of this process, such as which GPU.
      cores: the cores to keep to; None: any.
    """

    environment: Mapping[str, str] = {}
    cores: Sequence[int] | None = None


class LocalWorker(threading.Thread):
    """A worker process, and the thread that starts it, prints its lines and starts it again."""

    def __init__(self, number: int, command: Sequence[str], place: Place, retries: int):
        """Makes the thread; `start` starts it and its process.

        Args:
          number: the worker's number, with which its lines begin.
          command: the worker's command, see `worker_command`.
          place: what it may use of the machine.
          retries: how often it is started again.
        """
        super().__init__(name=f"worker {number}")
        self.number, self.command = number, command
        self.place, self.retries = place, retries
        self._child: subprocess.Popen[str] | None = None
        self._stopping = False

    def run(self) -> None:
        """Starts the process, and again if it dies, until it ends for good."""
        for tries_left in range(self.retries, -1, -1):
            with keep_to(self.place.cores):
                status = self._run_once()
            if self._stopping or is_final(status):
                return
            then = "is started again" if tries_left else "is given up"
            _write(f"worker {self.number} {describe_end(status)} and {then}\n")

    def ask_to_stop(self, signum: int = signal.SIGTERM) -> None:
        """Sends a signal to the process, which is then not started again."""
        self._stopping = True
        if self._child is not None:
            self._child.send_signal(signum)

    def _run_once(self) -> int:
        with subprocess.Popen(
            self.command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **self.place.environment, LAUNCHER: str(os.getpid()), **IN_UTF8},
            process_group=0,  # Ctrl-C is for the launcher, which passes it on
        ) as child:
            self._child = child
            if self._stopping:  # asked while the process was being started
                child.terminate()
            assert child.stdout is not None
            for line in child.stdout:
                _write(f"[{self.number}] {line.rstrip()}\n")
        return child.returncode


def check_workers(count: int, unbounded: bool) -> None:
    """Checks that each worker has a GPU, or where there is none, a core of its own.

    Raises:
      UserError: if not, unless the user has lifted the bound.
    """
    gpus, cores = len(visible_gpus()), usable_cores()
    if count > (gpus or cores) and not unbounded:
        have = count_of(gpus, "GPU") if gpus else f"no GPU and {count_of(cores, 'core')}"
        raise UserError(
            f"--workers {count}: this machine has {have}, and each worker takes one; --unbounded "
            "lets them share"
        )


def make_places(count: int) -> list[Place]:
    """Returns what each of `count` workers may use. Where there are more workers than GPUs, they
    take them in turn, and share the memory of each."""
    gpus = visible_gpus()
    if gpus:
        on_one = math.ceil(count / len(gpus))
        share = {} if on_one == 1 else {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / on_one:.2f}"}
        promised = {PROMISED_GPU: "nvidia-smi lists one", **share}
        return [
            Place({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)], **promised})
            for number in range(count)
        ]
    return [Place(cores=cores) for cores in shares_of_cores(count)]


def run_workers(
    workers: Sequence[LocalWorker], resume: str, look: Callable[[], object] = lambda: None
) -> None:
    """Runs the workers to their end.

    Args:
      workers: not yet started.
      resume: the command that resumes the sweep, for the line that is printed when it stops.
      look: called again and again meanwhile, such as to show how far they are.

    Raises:
      Stopped: if a signal asked to stop; the workers have saved and left then.
      KeyboardInterrupt: if the keyboard asked twice; the workers are killed then.
    """
    with stop_request() as stop:
        for worker in workers:
            worker.start()
        try:
            _wait(workers, stop, look)
        except KeyboardInterrupt:
            for worker in workers:
                worker.ask_to_stop(signal.SIGKILL)
            raise
    if stop.signum is not None:
        name = signal.Signals(stop.signum).name
        raise Stopped(f"stopped by {name}; to resume: {resume}", stop.signum)


def visible_gpus() -> list[str]:
    """Returns the GPUs that JAX would use, as CUDA_VISIBLE_DEVICES names them."""
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        return []
    try:
        done = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    except OSError:
        return []
    count = sum(line.startswith("GPU ") for line in done.stdout.splitlines())
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if count == 0 or given is None:
        return [str(number) for number in range(count)]
    return [name for name in given.split(",") if name]


def shares_of_cores(count: int) -> list[list[int] | None]:
    """Returns the cores of this process, split evenly; one each in turn if there are more workers.

    None each where a process cannot be kept to cores, as on macOS.
    """
    if not hasattr(os, "sched_getaffinity"):
        return [None] * count
    cores = sorted(os.sched_getaffinity(0))
    if count > len(cores):
        return [[cores[number % len(cores)]] for number in range(count)]
    bounds = [len(cores) * number // count for number in range(count + 1)]
    return [cores[first:stop] for first, stop in itertools.pairwise(bounds)]


@contextlib.contextmanager
def keep_to(cores: Sequence[int] | None) -> Iterator[None]:
    """Keeps this thread, and processes that it starts, to some cores while open; None: to any."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait(workers: Sequence[LocalWorker], stop: StopRequest, look: Callable[[], object]) -> None:
    """Waits until all workers have ended, and passes a signal on to them once."""
    passed_on = False
    while any(worker.is_alive() for worker in workers):
        if stop and not passed_on:
            passed_on = True
            _write("the workers are asked to save and leave\n")
            for worker in workers:
                worker.ask_to_stop()
        look()
        time.sleep(POLL_SECONDS)


def _write(line: str) -> None:
    """Prints a line in one call, so that lines of several workers do not mix; that the terminal is
    gone is no reason to stop."""
    with contextlib.suppress(OSError):
        print_text(line, end="")
