"""Trains a sweep in several processes, on this machine or through SLURM.

    scripts/launch experiments/mlp.py --seeds 64 --on local --workers 4
    scripts/launch experiments/dqn.py --on slurm --workers 8 --gpus 1 --partition gpu --minutes 240

The run folder is made first; then each worker takes the jobs in it that no other has taken. All
flags but those below go to the recipe. `--resume RUN` resumes a run folder that is there.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from research.cli import local_workers, slurm_workers
from research.cli.local_workers import LocalWorker, Place, keep_to
from research.cli.progress import OverallProgress
from research.cli.worker_process import IN_UTF8, worker_command
from research.console import print_line, print_text
from research.errors import UserError, plain_exit
from research.flags import UNBOUNDED_HELP, PlainParser, number_after
from research.limits import MOST_INT, as_int, check_usual
from research.plain_text import count_of, one_line
from research.runs.run_folder import RunFolder
from research.runs.session import usable_cores

DEFAULT_WORKERS = 2  # where no GPUs say how many
USUAL_WORKERS = 1_000  # through SLURM; here, one a GPU or a core
USUAL_RETRIES = 1_000
SLURM_ONLY = ("partition", "minutes", "gpus", "cpus", "slurm", "wait")


def make_parser(prog: str = "scripts/launch") -> argparse.ArgumentParser:
    """Returns the parser of the launcher's own flags."""
    parser = PlainParser(prog, (__doc__ or "").replace("scripts/launch", prog))
    add = parser.add_argument
    add("experiment", help="a recipe, such as experiments/dqn.py; its own --help lists its flags")
    add("--on", default="local", metavar="local|slurm", help="where the workers run")
    add(
        "--workers",
        type=_count("--workers"),
        metavar="N",
        help="how many processes; if not given, one a GPU, or 2",
    )
    add("--retries", type=_count("--retries", 0), default=3, metavar="N",
        help="how often a worker that died is started again")  # fmt: skip
    add("--unbounded", action="store_true", help=UNBOUNDED_HELP + "; the recipe's as well")
    slurm = parser.add_argument_group("with --on slurm")
    add = slurm.add_argument
    add("--partition", metavar="P", help="partition to submit to")
    add("--minutes", type=_count("--minutes", 5), metavar="M",
        help="time limit, after which a worker is queued again; 60 if not given")  # fmt: skip
    add("--gpus", type=_count("--gpus"), metavar="G", help="GPUs of each worker")
    add("--cpus", type=_count("--cpus"), metavar="C", help="cores of each worker")
    add("--slurm", nargs="+", action="extend", metavar="KEY=VALUE",
        help="other parameters of sbatch, such as account=ours")  # fmt: skip
    add(
        "--wait",
        action="store_true",
        default=None,
        help="wait for the workers, then show the result",
    )
    return parser


def parse(
    words: Sequence[str], prog: str = "scripts/launch"
) -> tuple[argparse.Namespace, list[str]]:
    """Returns the launcher's own flags, and those of the experiment.

    Raises:
      UserError: for flags that make no sense.
    """
    given, flags = make_parser(prog).parse_known_args(words)
    if given.on not in ("local", "slurm"):
        raise UserError(f"--on {one_line(given.on)}: give local or slurm")
    if not Path(given.experiment).is_file():
        raise UserError(f"no file {given.experiment}: the experiment comes before its flags")
    for name in SLURM_ONLY:
        value = getattr(given, name)
        if given.on != "slurm" and value is not None:
            shown = (
                "" if value is True else f" {value}" if name != "slurm" else f" {' '.join(value)}"
            )
            raise UserError(f"--{name}{one_line(shown)}: only with --on slurm")
    given.slurm = _pairs(given.slurm or ())
    flags += ["--unbounded"] * given.unbounded
    if given.workers is None:
        gpus = local_workers.visible_gpus() if given.on == "local" else ()
        cores = usable_cores() if given.on == "local" else DEFAULT_WORKERS
        given.workers = len(gpus) or min(DEFAULT_WORKERS, cores)
    if given.on == "local":
        local_workers.check_workers(given.workers, given.unbounded)
    usual = {"workers": USUAL_WORKERS, "retries": USUAL_RETRIES}
    for name, most in usual.items():
        count = getattr(given, name)
        check_usual(f"--{name} {count}", count, most, given.unbounded)
    return given, flags


def launch(words: Sequence[str], prog: str = "scripts/launch") -> None:
    """Makes or resumes the run folder, and starts the workers.

    Args:
      words: the launcher's flags and those of the experiment.
      prog: what the launcher is called in the commands that it prints.

    Raises:
      UserError: if something given is wrong.
      Stopped: if a signal asked to stop.
      SystemExit: if the folder could not be made, or the sweep did not end.
    """
    given, flags = parse(words, prog)
    places = make_places(given)
    folder = resumed_folder(flags)
    if folder is None:
        folder = prepare(given.experiment, flags, places)
        flags = ["--resume", str(folder)]
    command = worker_command(given.experiment, flags)
    resume = resume_command(given, folder, prog)
    if given.on == "local":
        workers = [
            LocalWorker(number, command, place, given.retries)
            for number, place in enumerate(places)
        ]
        with OverallProgress(Console(), folder) as whole:
            local_workers.run_workers(workers, resume, whole.look)
    elif not submit(given, folder, command, prog):
        return
    show(given.experiment, folder, resume)


def make_places(given: argparse.Namespace) -> list[Place]:
    """Returns what each worker may use of this machine; None for each under SLURM.

    Raises:
      UserError: if the workers cannot be started.
    """
    if given.on == "local":
        return local_workers.make_places(given.workers)
    slurm_workers.check_slurm()
    return [Place()] * given.workers


def resumed_folder(flags: Sequence[str]) -> Path | None:
    """Returns the folder that `--resume` names, if it is given.

    Raises:
      UserError: if it is no run folder.
    """
    parser = PlainParser("resume", add_help=False)
    parser.add_argument("--resume")
    resume = parser.parse_known_args(flags)[0].resume
    return None if resume is None else RunFolder.open(resume).path


def prepare(experiment: str, flags: Sequence[str], places: Sequence[Place]) -> Path:
    """Has the experiment make a run folder with a job for each worker.

    It is made in the place of the first, so that it records the devices that a worker has.

    Raises:
      SystemExit: if it does not; it has said why.
    """
    given = {word.partition("=")[0] for word in flags}
    shares = [] if "--shares" in given else ["--shares", str(len(places))]
    command = [sys.executable, experiment, *shares, *flags, "--prepare"]
    environment = {**os.environ, **places[0].environment, **IN_UTF8}
    with keep_to(places[0].cores):
        done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment)
    print_text(done.stdout, end="")
    if done.returncode:
        status = done.returncode
        raise SystemExit(status if status > 0 else 128 - status)
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    _, prepared, path = last.partition(": prepared ")
    if not prepared:
        raise UserError(f"{experiment} is no experiment: it made no run folder with --prepare")
    return Path(path)


def submit(given: argparse.Namespace, folder: Path, command: Sequence[str], prog: str) -> bool:
    """Submits the workers to SLURM and returns whether they were waited for."""
    request = slurm_workers.Request(
        partition=given.partition,
        minutes=given.minutes or slurm_workers.Request.minutes,
        gpus=given.gpus,
        cpus=given.cpus,
        more=given.slurm,
    )
    job = slurm_workers.submit_workers(folder, command, given.workers, given.retries, request)
    logs = slurm_workers.log_folder(folder)
    print_line(f"submitted as job {job}, workers: {given.workers}; their output: {logs}")
    print_line(f"to look: squeue -j {job}; {prog.removesuffix('launch')}show {folder}")
    if given.wait:
        with OverallProgress(Console(), folder) as whole:
            slurm_workers.wait_for(job, whole.look)
    return bool(given.wait)


def show(experiment: str, folder: Path, resume: str) -> None:
    """Has the experiment show its result and make what belongs to it, or says what is missing.

    Raises:
      SystemExit: if the sweep has not ended.
    """
    run = RunFolder(folder)
    if run.manifest()["status"] == "finished":
        command = [sys.executable, experiment, "--resume", str(folder)]
        raise SystemExit(subprocess.run(command).returncode)
    missing = {job.name for job in run.plan().jobs} - run.ended_jobs()
    print_line(f"{count_of(len(missing), 'job')} not ended; to resume: {resume}", error=True)
    raise SystemExit(1)


def resume_command(given: argparse.Namespace, folder: Path, prog: str) -> str:
    """Returns the command that resumes a run folder."""
    words = [*prog.split(), given.experiment, "--resume", str(folder), "--on", given.on]
    words += ["--workers", str(given.workers), *["--unbounded"] * given.unbounded]
    for name in ("partition", "minutes", "gpus", "cpus"):
        if getattr(given, name) is not None:
            words += [f"--{name}", str(getattr(given, name))]
    if given.slurm:
        words += ["--slurm", *(f"{key}={value}" for key, value in given.slurm.items())]
    return shlex.join(words)


def _count(flag: str, least: int = 1) -> Callable[[str], int]:
    """The reader of a flag that takes a number."""

    def read(word: str) -> int:
        return as_int(flag, number_after(flag)(word), low=least, high=MOST_INT)

    return read


def _pairs(words: Sequence[str]) -> dict[str, str]:
    """What `--slurm` gives.

    Raises:
      UserError: for a word that is no KEY=VALUE.
    """
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals and value) or key.startswith("-") or one_line(word) != word:
            raise UserError(f"--slurm {one_line(word)}: give KEY=VALUE, such as account=ours")
        if key in pairs:
            raise UserError(f"--slurm {key}={pairs[key]} {word}: {key} is given twice")
        pairs[key] = value
    return pairs


def run(argv: list[str] | None = None, prog: str = "scripts/launch") -> None:
    """Parses the command line and trains the sweep that it names."""
    with plain_exit():
        launch(sys.argv[1:] if argv is None else argv, prog)


if __name__ == "__main__":
    run()
