"""Submits workers to SLURM as tasks of a job array, through submitit.

A task whose time is over, or that is preempted, gets SIGUSR2 from SLURM some time before its end;
submitit then calls `Worker.checkpoint` and has SLURM queue the task again.
"""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import DelayedSubmission

from research.cli.machine import PROMISED_GPU, private_folder
from research.cli.worker_process import describe_end, is_final, was_asked_to_stop
from research.console import print_text
from research.errors import UserError

POLL_SECONDS = 5.0  # between looks at the queue
NOTICE_SECONDS = 120  # between SIGUSR2 and the end of a task's time
SAVE_SECONDS = 90.0  # of them for the worker to save
GRACE_SECONDS = 120.0  # between SIGTERM and what else SLURM has in mind
MOST_TIMEOUTS = 1_000  # running out of time is no failure: the task has made progress
PASSED_ON = ("JAX_", "XLA_", "SEEDBED_")

# SLURM sends SIGUSR2 to all processes of a task, and it would end the worker before it has saved.
IGNORING = ("sh", "-c", 'trap "" USR1 USR2; exec "$@"', "worker")


@dataclasses.dataclass
class Worker:
    """A SLURM task: runs the worker process, and has it save when SLURM takes the node back.

    Attributes:
      command: the worker's command, see `worker_command`.
      environment: variables beside those of the task.
      retries: how often the process is started again, if it dies.
    """

    command: list[str]
    environment: dict[str, str]
    retries: int = 3
    child: subprocess.Popen | None = dataclasses.field(default=None, init=False, repr=False)

    def __call__(self) -> int:
        """Runs the process until it ends for good, and returns its status."""
        status = 0
        for tries_left in range(self.retries, -1, -1):
            self.child = self._start()
            status = self.child.wait()
            if is_final(status):
                break
            if was_asked_to_stop(status):  # as all of the task was; it is going to be ended
                time.sleep(GRACE_SECONDS)
            then = "is started again" if tries_left else "is given up"
            print_text(f"the worker {describe_end(status)} and {then}")
        return status

    def checkpoint(self) -> DelayedSubmission:
        """Has the process save and leave, and returns what SLURM runs when the task starts again.

        Called by a signal handler, in the middle of `wait`, which holds a lock: so the end of the
        process is only looked at here, not collected.
        """
        if self.child is not None:
            self.child.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + SAVE_SECONDS
            while _is_running(self.child.pid) and time.monotonic() < deadline:
                time.sleep(0.1)
            self.child.poll()
        return DelayedSubmission(dataclasses.replace(self))  # without the process

    def _start(self) -> subprocess.Popen:
        environment = {**os.environ, **self.environment}
        return subprocess.Popen([*IGNORING, *self.command], env=environment)


@dataclasses.dataclass(frozen=True)
class Request:
    """What is requested of SLURM for each worker.

    Attributes:
      partition: None: the cluster's default.
      minutes: the time limit, after which a task is queued again and resumes.
      gpus, cpus: None: the cluster's default.
      more: other parameters of sbatch.
    """

    partition: str | None = None
    minutes: int = 60
    gpus: int | None = None
    cpus: int | None = None
    more: dict[str, str] = dataclasses.field(default_factory=dict)


def check_slurm() -> None:
    """Raises a `UserError` where there is no SLURM."""
    for command in ("sbatch", "srun", "squeue"):
        if shutil.which(command) is None:
            raise UserError(f"--on slurm: no {command} on the PATH: is this a node of a cluster?")


def submit_workers(
    folder: Path, command: Sequence[str], count: int, retries: int, request: Request
) -> str:
    """Submits the workers as one job array.

    Args:
      folder: the run folder.
      command: the worker's command, see `worker_command`.
      count: how many workers.
      retries: how often each process is started again within its task.
      request: what each worker needs.

    Returns:
      The number of the job.

    Raises:
      UserError: if SLURM refuses.
    """
    logs = log_folder(folder)
    executor = submitit.AutoExecutor(logs, cluster="slurm", slurm_max_num_timeout=MOST_TIMEOUTS)
    promised = {}
    if request.gpus and os.environ.get("JAX_PLATFORMS") != "cpu":
        promised = {PROMISED_GPU: f"--gpus {request.gpus}"}
    worker = Worker(list(command), _passed_on() | promised, retries)
    try:
        executor.update_parameters(**parameters(folder.name, count, request))
        with executor.batch():
            jobs = [executor.submit(worker) for _ in range(count)]
    except (FailedJobError, FailedSubmissionError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise UserError(f"--on slurm: {lines[-1] if lines else 'sbatch failed'}") from None
    return jobs[0].job_id.partition("_")[0]


def parameters(name: str, count: int, request: Request) -> dict[str, object]:
    """Returns the parameters of the job array, as submitit names them."""
    given = {
        "slurm_partition": request.partition,
        "gpus_per_node": request.gpus,
        "cpus_per_task": request.cpus,
        # Since 22.05, srun does not take this over from sbatch.
        "slurm_srun_args": request.cpus and [f"--cpus-per-task={request.cpus}"],
    }
    return {
        "name": name,
        "timeout_min": request.minutes,
        "slurm_array_parallelism": count,
        "slurm_signal_delay_s": NOTICE_SECONDS,
        "slurm_additional_parameters": {"requeue": True, **request.more},
    } | {key: value for key, value in given.items() if value is not None}


def log_folder(folder: Path) -> Path:
    """Returns where the tasks of a run folder log to, and where submitit keeps its pickles.

    Beside the run folder and not in it, since who reads a pickle runs code; and nobody else can
    write to it.

    Raises:
      UserError: if it cannot be made, or is somebody else's.
    """
    path = folder.parent / ".launch" / folder.name
    private = private_folder(path)
    if private is None:
        raise UserError(f"cannot write to {path}, or it is somebody else's")
    return private


def wait_for(job: str, look: Callable[[], object] = lambda: None) -> None:
    """Waits until SLURM lists no task of a job, neither queued nor running.

    Asks squeue, not sacct as submitit does, which needs SLURM's accounting.

    Args:
      job: its number.
      look: called again and again meanwhile, such as to show how far it is.
    """
    while _is_listed(job):
        look()
        time.sleep(POLL_SECONDS)


def _is_listed(job: str) -> bool:
    command = ["squeue", "--noheader", "--jobs", job]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:  # a job that ended a while ago is not known any more; all else passes
        return "Invalid job id" not in done.stderr
    return bool(done.stdout.strip())


def _is_running(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    return False


def _passed_on() -> dict[str, str]:
    """Returns variables that results depend on, for clusters that pass none to their tasks."""
    return {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
