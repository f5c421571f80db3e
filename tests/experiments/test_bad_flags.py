"""Tests of every flag of every recipe with bad values: training would begin, or one line says what
is wrong, within seconds, and nothing is left behind."""

import contextlib
import itertools
import random
import sys

import jax
import pytest

from research.recorded import read_json
from research.runs import runner
from tests.bad_input import (
    OFTEN,
    Accepted,
    Case,
    Count,
    Flag,
    cases,
    flags_of_dataclass,
    parse_faster,
    try_case,
)
from tests.sweeps import EXPERIMENTS, SWEEPS, TEXT

RECIPES = sorted(path.name for path in EXPERIMENTS.glob("*.py") if "run_main" in path.read_text())
SMALL = {
    "mlp.py": SWEEPS["mlp"],
    "dqn.py": SWEEPS["dqn"],
    "pqn.py": "pqn.py --env-param gravity=9.8 --hidden 8 --num-envs 4 --train-every 16 --epochs 1 "
    "--minibatches 2 --env-steps 64 --log-every 16 --eval-episodes 2 --seeds 2",
    "lstm_lm.py": SWEEPS["lm"],
}  # of each recipe, a sweep that begins at once


TRAIN_JOBS = runner._train_jobs


def words_of(command):
    """The flags of a command line, each with its values."""
    words = []
    for word in command.split()[1:]:
        if word.startswith("--"):
            words.append([])
        words[-1].append(word)
    return words


@pytest.fixture
def run(load_script, monkeypatch, tmp_path):
    """A function that starts a recipe, up to where it would train, compile or start a process."""

    def stop(*args, **options):
        raise Accepted

    monkeypatch.setattr(runner, "_train_jobs", stop)
    monkeypatch.setattr("research.cli.compile_for.run_elsewhere", stop)
    monkeypatch.setattr("research.cli.machine.join_world", lambda which: None)
    monkeypatch.setattr("research.runs.session.git_commit", lambda folder: None)  # a process each
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)

    parse_faster(monkeypatch)
    loaded = {}

    def start(script, words):
        module = loaded.setdefault(script, None) or load_script(script)
        loaded[script] = module
        monkeypatch.setattr(sys, "argv", [script, *words])
        module.run_main(module.main, module.RECIPES, module.__doc__, words)

    return start


def flags_of(script, load_script):
    module = load_script(script)
    return list(flags_of_dataclass(module.Arguments, next(iter(module.RECIPES.values()))))


def try_all(script, run, load_script, capsys, folder, often):
    """Tries the cases of a recipe that most often find a fault, or all others."""
    count, base = Count(), words_of(SMALL[script])
    for flag in flags_of(script, load_script):
        for case in cases(flag, base):
            if (case.kind in OFTEN) == often:
                start = lambda words: run(script, words)
                count.add(case, try_case(case, start, capsys, folder))
    return count


def test_every_recipe_has_a_small_sweep():
    assert set(SMALL) == set(RECIPES)


@pytest.mark.once
@pytest.mark.parametrize("script", RECIPES)
def test_every_flag_takes_or_refuses_what_is_most_often_wrong(
    script, run, load_script, capsys, tmp_path
):
    count = try_all(script, run, load_script, capsys, tmp_path, often=True)
    count.tell(script, capsys)
    assert not count.faults, "\n".join(count.faults)
    assert count.tried > 300


@pytest.mark.slow
@pytest.mark.parametrize("script", RECIPES)
def test_every_flag_takes_or_refuses_every_other_bad_value(
    script, run, load_script, capsys, tmp_path
):
    count = try_all(script, run, load_script, capsys, tmp_path, often=False)
    count.tell(script, capsys)
    assert not count.faults, "\n".join(count.faults)
    assert count.tried > 400


TRAINED = 6  # of the accepted command lines of each recipe, each of another flag
ONE_PROGRAM = {
    "mlp.py": "mlp.py --data wine --hidden 8 --learning-rate 1e-2 --seeds 2 --steps 30",
    "lstm_lm.py": SWEEPS["lm"].partition(" --output-dropout")[0],
}  # of a recipe whose sweep in `SMALL` has several settings: one setting, which is shown sooner


def sweep_to_train(script):
    """The flags of a sweep that begins and ends at once."""
    return words_of(ONE_PROGRAM.get(script, SMALL[script]))


def accepted_cases(script, run, load_script, capsys, folder):
    """Yields accepted command lines, one of each flag that has any, in an order drawn once and for
    all."""
    draw, base = random.Random(script), sweep_to_train(script)
    flags = flags_of(script, load_script)
    for flag in draw.sample(flags, len(flags)):
        some = list(cases(flag, base))
        for case in draw.sample(some, len(some)):
            if try_case(case, lambda words: run(script, words), capsys, folder).accepted:
                yield case
                break


@pytest.mark.slow
@pytest.mark.parametrize("script", RECIPES)
def test_what_is_accepted_trains(script, run, load_script, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    some = itertools.islice(accepted_cases(script, run, load_script, capsys, tmp_path), TRAINED)
    chosen, faults = list(some), []
    assert len(chosen) == TRAINED
    rest = [one for one in sweep_to_train(script) if one[0] != "--learning-rate"]
    diverge = [*itertools.chain(*rest), "--learning-rate", "1e30"]
    chosen.append(Case("all diverge", Flag("--learning-rate", "1"), diverge))
    monkeypatch.setattr(runner, "_train_jobs", TRAIN_JOBS)
    for number, case in enumerate(chosen):
        folder = tmp_path / f"trained-{number}"
        if fault := trained_fault(case, lambda words: run(script, words), capsys, folder):
            faults.append(f"{case.kind}, {' '.join(case.words)[-200:]!r}: {fault}")
    assert not faults, "\n".join(faults)


def trained_fault(case, run, capture, folder):
    """What is wrong with how an accepted command line trains; empty if nothing is."""
    folder.mkdir()
    (folder / "text.txt").write_text(TEXT)
    words = case.words + ([] if "--out" in " ".join(case.words) else ["--out", "runs"])
    with contextlib.chdir(folder):
        try:
            run(words)
        except SystemExit as left:
            return f"status {left.code}: {capture.readouterr().err[-300:]}"
        except BaseException as error:
            return f"{type(error).__name__}: {str(error)[:300]}"
    capture.readouterr()
    statuses = [read_json(path)["status"] for path in folder.rglob("manifest.json")]
    wanted = "running" if case.flag.name == "--prepare" else "finished"
    return "" if statuses == [wanted] else f"status {statuses} in the run folder"


@pytest.mark.parametrize(
    ("script", "words", "says"),
    [
        ("mlp.py", "--memory-limit 1B", "--memory-limit 1B: one run alone does not fit the memory"),
        ("mlp.py", "--hidden 100000x1000000", "one run alone does not fit the memory: it needs"),
        ("dqn.py", "--eval-episodes 2000000000", "one run alone does not fit the memory"),
        ("mlp.py", "--name a\tb", r"--name 'a\tb': give a name without control characters"),
        ("lstm_lm.py", "--sample 999999", "--sample 999999: more than 20,000 would take very long"),
    ],
)
def test_a_limit_is_met_before_a_folder_is_made(script, words, says, run, capsys, tmp_path):
    """Without the check of keys, which would allocate as many booleans as there are episodes."""
    before = set(tmp_path.rglob("*"))
    given = words.split(" ")
    base = [word for one in words_of(SMALL[script]) if one[0] != given[0] for word in one]
    with pytest.raises(SystemExit) as left, jax.debug_key_reuse(False):
        run(script, [*base, *given])
    assert left.value.code == 2
    assert says in capsys.readouterr().err
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("script", "words", "says"),
    [
        (
            "mlp.py",
            "--optimizer sgd --beta2 0.5",
            "mlp: --beta2 0.5 changes nothing: nothing uses it under this config",
        ),
        ("mlp.py", "--deterministic", "mlp: --deterministic changes nothing on a CPU"),
        (
            "lstm_lm.py",
            "--split 80/10/10 --corpus topics",
            "--split 80/10/10 changes nothing: it has an effect only with --corpus of a single",
        ),
    ],
)
def test_a_flag_that_changes_nothing_is_told(script, words, says, run, capsys):
    given = words.split()
    base = [word for one in words_of(SMALL[script]) if one[0] not in given for word in one]
    with pytest.raises(Accepted):
        run(script, [*base, *given])
    assert says in " ".join(capsys.readouterr().out.split())
