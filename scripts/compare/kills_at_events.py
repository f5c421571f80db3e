"""Kills sweeps at events of the file system, resumes them, and compares them with undisturbed ones.

    scripts/run scripts/compare/kills_at_events.py --kills 200

`kills.py` kills at random instants. Here a process kills itself (SIGKILL) at its n-th event below
the folder of its sweep: before it opens a file for writing, renames, removes or makes one. Every
third time it is killed some milliseconds after such an event instead, in the middle of what orbax
writes or of training. n is spread over the whole life of a sweep: its creation, training, rungs,
results and figures. Half of the resumed processes are killed as well. Then the folder is compared
with that of a sweep that was never killed: metrics, params and states bit for bit, and which files
there are. The exit status is 1 if anything differs.

All processes are forks of this one, which has imported everything and computed nothing: a process
that imports JAX first takes several seconds.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import random
import runpy
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import tyro
from kills import EXPERIMENTS, _arrays, _same  # beside this script

from research.errors import UserError, plain_exit, shortlist
from research.runs.tensors import load_tensors

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
TEXT = "the cat sat on the mat and saw a rat\n" * 120


class Sweep(NamedTuple):
    """A sweep to kill: its script with flags, and how many workers train it."""

    flags: str
    workers: int = 1


_MLP = "mlp.py --data wine --hidden 8 --learning-rate 1e-3 1e-2 --seeds 3 --log-every 10 "
_RL = "--hidden 8 --num-envs 4 --eval-episodes 2 --log-every 80 --chunk-every 80 --seeds 2 "
_DQN = (
    f"dqn.py {_RL} --env-steps 800 --train-every 8 --learning-starts 40 --buffer-size 160 "
    "--batch-size 8 --target-update-every 8 --n-step 1"
)
SWEEPS = {
    "mlp": Sweep(f"{_MLP} --steps 80 --chunk-every 20"),
    "mlp, two groups, states kept": Sweep(
        "mlp.py --data diabetes --hidden 8 4x4 --learning-rate 1e-2 --seeds 2 --steps 40 "
        "--log-every 10 --chunk-every 10 --keep-states"
    ),
    "mlp, search and halving": Sweep(
        "mlp.py --data wine --hidden 8 --search 4 --learning-rate 1e-4 1e-1 --seeds 2 --steps 80 "
        "--log-every 10 --chunk-every 10 --halving 2 --rungs 3"
    ),
    "mlp, two workers": Sweep(f"{_MLP} --steps 80 --chunk-every 20 --shares 4", workers=2),
    "dqn": Sweep(_DQN),
    "dqn, halving, two workers": Sweep(
        f"{_DQN} --learning-rate 1e-4 1e-3 3e-3 1e-2 --halving 2 --rungs 2 --shares 2", workers=2
    ),
    "pqn": Sweep(f"pqn.py {_RL} --env-steps 1600 --log-every 512 --chunk-every 512"),
    "lm": Sweep(
        "lstm_lm.py --corpus CORPUS --hidden 8 --embedding-size 6 --batch-size 4 --window 8 "
        "--steps 40 --seeds 2 --sample 20 --log-every 10 --chunk-every 10"
    ),
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which sweeps to kill, and how often."""

    sweeps: tuple[str, ...] = tuple(SWEEPS)
    kills: Annotated[int, tyro.conf.arg(help="how many in all, at least")] = 200
    minutes: Annotated[float, tyro.conf.arg(help="begin nothing after so long")] = 600.0
    seed: Annotated[int, tyro.conf.arg(help="of the events")] = 0


class Kill(NamedTuple):
    """When a process kills itself: at which event, and how many seconds after it."""

    event: int
    after: float = 0.0


class Trial:
    """One sweep in a folder of its own, and how often its processes were killed.

    Attributes:
      kills: kind of event -> how many kills; "after" for those that came some time after one.
      problems: what went wrong, in words.
    """

    def __init__(self, sweep: Sweep, folder: Path, corpus: Path):
        self.sweep, self.folder = sweep, folder
        script, *words = sweep.flags.replace("CORPUS", str(corpus)).split()
        self.script, self.words = script, [*words, "--name", "it", "--checkpoint-every", "1e-6"]
        self.run_folder = folder / "runs" / "it"
        self.kills: Counter[str] = Counter()
        self.problems: list[str] = []
        folder.mkdir()

    def events(self) -> int:
        """How many events a process has had that trained the sweep."""
        counted = self.folder / "counted"
        return int(counted.read_text()) if counted.is_file() else 0

    def prepare(self) -> None:
        """Makes the run folder, if several workers are to train it."""
        if self.sweep.workers > 1:
            self._end([self._begin([*self.words, "--prepare"])])

    def run(self, kills: list[Kill | None]) -> None:
        """Trains: in one process, or in as many workers as there are kills."""
        made = (self.run_folder / "manifest.json").is_file()
        words = ["--resume", "runs/it"] if made else self.words
        words = [*words, "--worker"] if len(kills) > 1 else words
        self._end([self._begin(words, kill) for kill in kills])

    def finish(self) -> None:
        """Resumes until nothing is left to do: the sweep is finished, and nothing is missing."""
        for _ in range(3):
            self.run([None])
            if "is finished and is not overwritten" in self._log():
                return
        self.problems.append("it does not end")

    def _begin(self, words: list[str], kill: Kill | None = None) -> int:
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            os.chdir(self.folder)
            for stream in (1, 2):
                os.dup2(os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), stream)
            _watch_events(self.folder, kill)
            _run_recipe(self.script, words)
            status = 0
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 0
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):
                    stream.flush()
            os._exit(status)

    def _end(self, processes: list[int]) -> None:
        for pid in processes:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if status == -signal.SIGKILL:
                (at,) = self.folder.glob(f"killed-{pid}-*")
                self.kills[at.name.rpartition("-")[2]] += 1
            elif status == 2 and "is finished and is not overwritten" in self._log():
                continue
            elif status:
                self.problems.append(f"status {status}: {self._log()[-600:]}")
            elif "Traceback" in self._log():
                self.problems.append(f"a traceback: {self._log()[-2000:]}")

    def _log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.is_file() else ""


def _run_recipe(script: str, words: list[str]) -> None:
    recipe = RECIPES[script]
    sys.argv = [str(EXPERIMENTS / script), *words]
    recipe["run_main"](recipe["main"], recipe["RECIPES"], recipe["__doc__"], words)


RECIPES: dict[str, dict[str, Any]] = {}


def _watch_events(folder: Path, kill: Kill | None) -> None:
    """Counts the events below `folder/runs` in this process, and kills it at the chosen one."""
    root, numbers = folder / "runs", itertools.count(1)
    counted = os.open("counted", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in EVENTS or not _is_below(root, event, args):
            return
        number = next(numbers)
        os.pwrite(counted, str(number).encode(), 0)
        if kill and number == kill.event:
            if kill.after:
                threading.Thread(target=die, args=("after",), daemon=True).start()
            else:
                die(event)

    def die(event: str) -> None:
        if kill and event == "after":
            time.sleep(kill.after)
        os.close(os.open(folder / f"killed-{os.getpid()}-{event}", os.O_CREAT, 0o666))
        os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _is_below(root: Path, event: str, args: tuple[Any, ...]) -> bool:
    """Whether an event changes something below a folder."""
    if event == "open" and not (isinstance(args[2], int) and args[2] & WRITING):
        return False
    if not isinstance(args[0], str | bytes | os.PathLike):
        return False
    path = os.fsdecode(args[0])
    handle = args[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
    if isinstance(handle, int) and handle >= 0:
        with contextlib.suppress(OSError):  # where there is a /proc
            path = Path(f"/proc/self/fd/{handle}").readlink() / path
    return Path(path).absolute().is_relative_to(root)


def outcome(folder: Path) -> dict[str, Any]:
    """Everything that is compared of a run folder: name -> array, bytes or JSON."""
    found: dict[str, Any] = dict(_arrays(folder))
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or name.startswith((".locks/", "metrics/", "checkpoints/", "results/")):
            continue
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
            found |= {f"{name}/{column}": table[column].to_numpy() for column in table}
        elif path.suffix == ".safetensors":  # the order of its metadata is by chance
            found |= {f"{name}/{key}": tensor for key, tensor in load_tensors(path).items()}
        elif path.name in ("manifest.json", "plan.json"):
            content = json.loads(path.read_text())
            kept = ("status", "rungs", "splits", "jobs")
            found |= {f"{name}/{key}": content[key] for key in kept if key in content}
        else:
            found[name] = path.read_bytes()
    return found


def left_over(trial: Trial) -> list[str]:
    """What no finished sweep has: hidden files, and checkpoints that nobody asked to keep."""
    hidden = [str(path) for path in trial.folder.rglob(".*") if path.name != ".locks"]
    jobs = list((trial.run_folder / "checkpoints").iterdir())
    return hidden + ([] if "--keep-states" in trial.words else [str(path) for path in jobs])


def differences(whole: dict[str, Any], killed: dict[str, Any]) -> list[str]:
    """The names of what differs in a bit, or is in one only."""
    same = lambda one, other: (
        _same(one, other) if isinstance(one, np.ndarray) and one.dtype != object
        else one is not None and other is not None and _as_list(one) == _as_list(other)
    )  # fmt: skip
    return [name for name in {**whole, **killed} if not same(whole.get(name), killed.get(name))]


def _as_list(value: Any) -> Any:
    return list(map(str, value)) if isinstance(value, np.ndarray) else value


def kill_often(
    name: str, kills: int, home: Path, draw: random.Random, until: float
) -> dict[str, Any]:
    """Kills a sweep at least `kills` times, in trials of one to three kills.

    Returns:
      The kills by the kind of event, how many trials there were, how many events a sweep has that
      is not killed, how many arrays and files were compared, and what differed.
    """
    sweep, corpus = SWEEPS[name], home / "text.txt"
    place = home / f"{list(SWEEPS).index(name)}"
    place.mkdir()
    whole = Trial(sweep, place / "whole", corpus)
    whole.prepare()
    whole.run([None])
    events = whole.events()
    whole.finish()
    if whole.problems:
        raise RuntimeError(f"{name}, not killed: {whole.problems}")
    expected, found = outcome(whole.run_folder), Counter[str]()
    wrong: list[str] = []
    trials = 0
    for at in _spread(events, kills, draw):
        if sum(found.values()) >= kills or time.monotonic() > until:
            break
        trials += 1
        trial = Trial(sweep, place / str(trials), corpus)
        _kill_and_finish(trial, at, events, draw, third=trials % 3 == 0)
        found += trial.kills
        problems = trial.problems + left_over(trial)
        problems += differences(expected, outcome(trial.run_folder)) if not problems else []
        if problems:
            wrong.append(f"trial {trials} in {trial.folder}, event {at}: {shortlist(problems)}")
    return {"kills": dict(found), "trials": trials, "events": events, "compared": len(expected),
            "wrong": wrong}  # fmt: skip


def _spread(events: int, kills: int, draw: random.Random) -> Iterator[int]:
    """Numbers of events, evenly spread in random order, again and again."""
    while True:
        numbers = [1 + int((place + draw.random()) * events / kills) for place in range(kills)]
        yield from draw.sample(numbers, kills)


def _kill_and_finish(trial: Trial, at: int, events: int, draw: random.Random, third: bool) -> None:
    """Kills the first process or workers, then some of those that resume, and finishes."""
    after = draw.uniform(0, 0.1) if third else 0.0
    trial.prepare()
    others: list[Kill | None] = [None] * (trial.sweep.workers - 1)
    trial.run([Kill(at, after), *others])
    while draw.random() < 0.5 and sum(trial.kills.values()) < 3:
        before = sum(trial.kills.values())
        trial.run([Kill(draw.randint(1, max(1, events // 2)))])
        if sum(trial.kills.values()) == before:
            break
    trial.finish()


def main(arguments: Arguments) -> None:
    """Prints a line for each sweep."""
    if unknown := set(arguments.sweeps) - set(SWEEPS):
        raise UserError(f"--sweeps {shortlist(unknown)}: there are {shortlist(SWEEPS)}")
    import_everything()
    until = time.monotonic() + 60 * arguments.minutes
    each = -(-arguments.kills // len(arguments.sweeps))
    wrong = False
    home = Path(tempfile.mkdtemp(prefix="kills-"))
    os.environ.setdefault("SEEDBED_CACHE", str(home / "cache"))
    (home / "text.txt").write_text(TEXT)
    for number, name in enumerate(arguments.sweeps):
        draw = random.Random(f"{arguments.seed} {number}")  # noqa: S311
        found = kill_often(name, each, home, draw, until)
        wrong |= bool(found["wrong"])
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in found.items()), flush=True)
    raise SystemExit(int(wrong))


def import_everything() -> None:
    """Imports the recipes and what they import late, so that forks need not."""
    import matplotlib.backends.backend_agg  # noqa: F401
    import orbax.checkpoint  # noqa: F401

    for script in ("mlp.py", "dqn.py", "pqn.py", "lstm_lm.py"):
        RECIPES[script] = runpy.run_path(str(EXPERIMENTS / script))


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "100")
    with plain_exit():
        main(tyro.cli(Arguments, description=__doc__))
