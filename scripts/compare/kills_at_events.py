"""Kills sweeps at events of the file system, resumes them, and compares them with undisturbed ones.

    scripts/run scripts/compare/kills_at_events.py --kills 200

`kills.py` kills at random instants. Here a process kills itself (SIGKILL) at its n-th event below
the folder of its sweep: before it opens a file for writing, renames, removes or makes one. Every
third time it is killed some milliseconds after such an event instead, in the middle of what orbax
writes or of training. n is spread over the whole life of a sweep: its creation, training, rungs,
results and figures. So are the processes killed that resume it, up to six times. Then the folder is
compared with that of a sweep that was never killed: metrics, params and states bit for bit, and
which files there are. The exit status is 1 if anything differs.

All processes are forks of this one, which has imported everything, computed nothing and started no
thread: a process that imports JAX first takes several seconds.
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
from collections.abc import Callable
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
    """A sweep to kill.

    Attributes:
      flags: its script with flags.
      workers: how many train it.
      source: the flags of a sweep that is trained before, in `runs/source`, and not killed.
      longer: flags with which it is resumed for longer; what is killed is this, and the sweep as
        `flags` make it is not.
    """

    flags: str
    workers: int = 1
    source: str = ""
    longer: str = ""


_MLP = "mlp.py --data wine --hidden 8 --learning-rate 1e-3 1e-2 --seeds 3 --log-every 10 "
_SOURCE = "--data wine --hidden 8 --learning-rate 1e-2 --seeds 3 --steps 40 --log-every 10"
_RL = "--hidden 8 --num-envs 4 --eval-episodes 2 --seeds 2"
_DQN = (
    f"dqn.py {_RL} --env-steps 800 --train-every 8 --learning-starts 40 --buffer-size 160 "
    "--batch-size 8 --target-update-every 8 --n-step 1 --log-every 80 --chunk-every 80"
)
_LM = (
    "lstm_lm.py --corpus CORPUS --hidden 8 --embedding-size 6 --batch-size 4 --window 8 "
    "--seeds 2 --sample 20 --log-every 10 --chunk-every 10"
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
    "mlp, asynchronous halving": Sweep(
        "mlp.py --data wine --hidden 8 --search 8 --learning-rate 1e-4 1e-1 --seeds 2 --steps 80 "
        "--log-every 10 --chunk-every 10 --halving 2 --rungs 3 --asynchronous --shares 2"
    ),
    "pqn": Sweep(
        f"pqn.py {_RL} --env-steps 1600 --train-every 32 --log-every 160 --chunk-every 160"
    ),
    "lm": Sweep(f"{_LM} --steps 40"),
    "mlp, best kept": Sweep(f"{_MLP} --steps 80 --chunk-every 20 --eval-every 10 --keep best"),
    "dqn, best kept": Sweep(f"{_DQN} --eval-every 160 --keep best"),
    "mlp, from the best run of another": Sweep(
        f"{_MLP} --steps 80 --chunk-every 20 --init-from runs/source:best", source=_SOURCE
    ),
    "lm, from the states of another": Sweep(
        f"{_LM} --steps 40 --init-from runs/source --init-states",
        source=_LM.removeprefix("lstm_lm.py ") + " --steps 20 --keep-states",
    ),
    "dqn, lengthened": Sweep(
        f"{_DQN} --learning-rate-end 1 --epsilon-steps 200 --keep-states",
        longer="--env-steps 1600",
    ),
    "lm, lengthened": Sweep(
        f"{_LM} --steps 20 --schedule plateau --keep-states", longer="--steps 60"
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
        self.source = sweep.source.replace("CORPUS", str(corpus)).split()
        self.run_folder = folder / "runs" / "it"
        self.kills: Counter[str] = Counter()
        self.problems: list[str] = []
        folder.mkdir()

    def events(self) -> int:
        """How many events a process has had that trained the sweep."""
        counted = self.folder / "counted"
        return int(counted.read_text()) if counted.is_file() else 0

    def prepare(self) -> None:
        """Trains the sweep that it begins with, or the shorter one, if there is any; or makes the
        run folder, if several workers are to train it."""
        if self.source:
            self._end([self._begin([*self.source, "--name", "source"])])
        if self.sweep.longer:
            self._end([self._begin(self.words)])
        if self.sweep.workers > 1:
            self._end([self._begin([*self.words, "--prepare"])])

    def run(self, kills: list[Kill | None]) -> bool:
        """Trains: in one process, or in as many workers as there are kills. Returns whether they
        ended by themselves."""
        made = (self.run_folder / "manifest.json").is_file()
        words = ["--resume", "runs/it", *self._longer()] if made else self.words
        words = [*words, "--worker"] if len(kills) > 1 else words
        return self._end([self._begin(words, kill) for kill in kills])

    def _longer(self) -> list[str]:
        """The flags that lengthen the sweep, until its folder has them."""
        words = self.sweep.longer.split()
        recorded = json.loads((self.run_folder / "manifest.json").read_text())["arguments"]
        return [] if recorded[-len(words) :] == words else words

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

    def _end(self, processes: list[int]) -> bool:
        """Waits for processes and returns whether none was killed."""
        before = sum(self.kills.values())
        for pid in processes:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if status == -signal.SIGKILL:
                (at,) = self.folder.glob(f"killed-{pid}-*")
                self.kills[at.name.rpartition("-")[2]] += 1
            elif status and not (status == 2 and "is finished and is not over" in self._log()):
                self.problems.append(f"status {status}: {self._log()[-600:]}")
        if "Traceback" in self._log():
            self.problems.append(f"a traceback: {self._log()[-2000:]}")
        return sum(self.kills.values()) == before

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


def in_fork(work: Callable[[], list[str]], folder: Path) -> list[str]:
    """What a function returns, called in a fork: orbax, which reads states, starts threads, and
    this process must have none when it forks."""
    found = folder / "found.json"
    pid = os.fork()
    if not pid:
        try:
            found.write_text(json.dumps(work()))
        except BaseException:
            found.write_text(json.dumps([traceback.format_exc()]))
        os._exit(0)
    os.waitpid(pid, 0)
    return json.loads(found.read_text())


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


class Sweeps:
    """The trials of one sweep, and the undisturbed one that they are compared with.

    Attributes:
      kills: kind of event -> how many kills there were.
      trials: how many there were, each with one kill or several.
      wrong: what differed, in words.
    """

    def __init__(self, name: str, home: Path, seed: int):
        self.sweep, self.corpus = SWEEPS[name], home / "text.txt"
        self.place = home / f"{list(SWEEPS).index(name)}"
        self.draw = random.Random(f"{seed} {name}")  # noqa: S311
        self.kills: Counter[str] = Counter()
        self.trials, self.wrong = 0, list[str]()
        self.place.mkdir()
        whole = Trial(self.sweep, self.place / "whole", self.corpus)
        whole.prepare()
        whole.run([None])
        self.events, self.whole = whole.events(), whole.run_folder
        self.compared = len(in_fork(lambda: sorted(outcome(self.whole)), self.place))
        if problems := whole.problems + left_over(whole):
            raise RuntimeError(f"{name}, not killed: {problems}")

    def kill(self, at: float) -> None:
        """Kills a sweep, some of the processes that resume it, and compares.

        Args:
          at: when to kill it first, as a share of its events.
        """
        self.trials += 1
        trial = Trial(self.sweep, self.place / str(self.trials), self.corpus)
        trial.prepare()
        event = 1 + int(at * self.events)
        while not trial.run(self._kills(event)) and sum(trial.kills.values()) < 6:
            event = self.draw.randint(1, self.events)
        trial.run([None])  # which makes what is missing; or refuses, if nothing is
        self.kills += trial.kills
        problems = trial.problems + left_over(trial)
        compare = lambda: differences(outcome(self.whole), outcome(trial.run_folder))
        problems += [] if problems else in_fork(compare, trial.folder)
        if problems:
            said = shortlist(problems)
            self.wrong.append(f"trial {self.trials} in {trial.folder}, from {at:.3f}: {said}")

    def _kills(self, event: int) -> list[Kill | None]:
        """Of each process; the other workers, if there are any, are killed in half of all cases."""
        after = self.draw.uniform(0, 0.2) if self.draw.random() < 1 / 3 else 0.0
        others = [
            Kill(self.draw.randint(1, self.events)) if self.draw.random() < 0.5 else None
            for _ in range(self.sweep.workers - 1)
        ]
        return [Kill(event, after), *others]


def main(arguments: Arguments) -> None:
    """Prints a line for each sweep."""
    if unknown := set(arguments.sweeps) - set(SWEEPS):
        raise UserError(f"--sweeps {shortlist(unknown)}: there are {shortlist(SWEEPS)}")
    import_everything()
    until = time.monotonic() + 60 * arguments.minutes
    home = Path(tempfile.mkdtemp(prefix="kills-"))
    os.environ.setdefault("SEEDBED_CACHE", str(home / "cache"))
    (home / "text.txt").write_text(TEXT)
    found = {name: Sweeps(name, home, arguments.seed) for name in arguments.sweeps}
    halves = itertools.count()
    while (kills := sum(sum(one.kills.values()) for one in found.values())) < arguments.kills:
        at = (next(halves) * 0.6180339887) % 1  # evenly spread, however many there will be
        print(f"{kills} kills", file=sys.stderr, flush=True)
        for one in found.values():
            if time.monotonic() < until:
                one.kill(at)
        if time.monotonic() > until:
            break
    for name, one in found.items():
        print(
            f"{name}: kills {sum(one.kills.values())} {dict(one.kills)}, trials {one.trials}, "
            f"events {one.events}, compared {one.compared}, wrong {one.wrong}", flush=True
        )  # fmt: skip
    raise SystemExit(int(any(one.wrong for one in found.values())))


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
