"""Tests of the MLP's recipe as a user calls it."""

import json
import shutil
import sys

import pandas as pd
import pytest

from research.report.one_run import one_run
from research.report.read import read_run_folder
from research.report.trackers import EVENTS
from tests.report.tracked import read_scalars
from tests.sweeps import EXPERIMENTS, SWEEPS

WINE = SWEEPS["mlp"].removeprefix("mlp.py ")  # trained by other tests, so that it is compiled


def test_the_script_stays_short():
    assert len((EXPERIMENTS / "mlp.py").read_text().splitlines()) < 60


def test_a_sweep_prints_a_table_and_draws_a_curve(small_sweep):
    folder, out, err = small_sweep("mlp")
    assert err == ""
    assert "6 runs = 2 settings x 3 seeds" in out
    assert "validation_accuracy" in out
    assert (folder / "validation_accuracy.png").stat().st_size > 10_000
    assert len(pd.read_parquet(folder / "metrics")) == 6 * 60
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["command"].endswith(f"{WINE} --name it")
    assert manifest["data"][0]["rows"].keys() == {"train", "validation", "test"}


def test_flags_reach_the_training_process(tmp_path, call):
    words = "--data wine --hidden 8 --learning-rate 1e-2 --seeds 1 --steps 8 --name it"
    done = call("mlp.py", *words.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("mlp: 1 run = 1 setting x 1 seed, 8 steps")
    manifest = json.loads((tmp_path / "runs" / "it" / "manifest.json").read_text())
    assert manifest["status"] == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["digits", "article"])
def test_main_is_importable_and_presets_can_be_changed(tmp_path, preset, load_script):
    script = load_script("mlp.py")
    given = script.arguments(
        preset, data=("wine",), hidden=((8,),), learning_rate=(1e-3, 1e-2), seeds=("3",), steps=60,
        out=str(tmp_path), name="small",
    )  # fmt: skip
    assert script.main(given) == tmp_path / "small"
    assert (tmp_path / "small" / "params" / "0-000000.safetensors").is_file()


@pytest.fixture
def tables(tmp_path):
    """A folder with a few CSV files that cannot be used, and a run folder."""
    rows = "".join(f"{i},{i % 3}\n" for i in range(30))
    (tmp_path / "good.csv").write_text("a,b\n" + rows)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "words.csv").write_text("a,b\n" + rows + "7,seven\n")
    gone, one = ("a,b\n" + "".join(f"{i},{b}\n" for i in range(30)) for b in ("", "yes"))
    (tmp_path / "gone.csv").write_text(gone)
    (tmp_path / "one.csv").write_text(one)
    (tmp_path / "text.csv").write_text("a,b\n" + "".join(f"row {i},{i % 3}\n" for i in range(30)))
    colours = "".join(f"{'red' if i % 2 else 'blue'},{i % 3}\n" for i in range(30))
    (tmp_path / "colours.csv").write_text("a,b\n" + colours)
    (tmp_path / "green.csv").write_text("a,b\nred,0\ngreen,1\n")
    (tmp_path / "fourth.csv").write_text("a,b\nred,0\nblue,3\n")
    (tmp_path / "file").write_text("")
    (tmp_path / "runs" / "old").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--data nonesuch", "nonesuch: neither a file nor one of digits"),
        ("--data good.csv --target c", "--target c: no such column in good.csv"),
        ("--data good.csv", "--target is missing"),
        ("--data empty.csv --target b", "empty.csv is empty"),
        ("--data words.csv --target b", "words.csv, line 32, column b: 'seven' is not a number"),
        ("--data gone.csv --target b", "gone.csv has no rows after cleaning: the target b is"),
        ("--data one.csv --target b", "one.csv: the target b is yes in every row"),
        ("--data text.csv --target b", "column a: 30 different words in 30 rows are text"),
        ("--data colours.csv --target b --drop c", "--drop c: no column of colours.csv"),
        ("--data colours.csv --target b --test-data green.csv", "category 'green' is in no train"),
        ("--data colours.csv --target b --test-data fourth.csv", "no training row is of class 3"),
        ("--data colours.csv --target b --test-data no.csv", "--test-data no.csv: no such file"),
        ("--data digits --drop a", "--drop a: only for a CSV or Parquet file, not digits"),
        ("--data iris --channels 4", "--channels 4: the rows of iris are not images"),
        ("--channels 4x4x4x4", "--channels 4x4x4x4: images of 8x8 can be halved 3 times"),
        ("--data diabetes --class-weights balanced", "--class-weights balanced: diabetes is"),
        ("--label-noise 2", "--label-noise 2.0: must be between 0 and 1"),
        ("--adversarial-radius 0.1", "--adversarial-radius 0.1: give --adversarial-steps"),
        ("--adversarial-steps 2", "--adversarial-steps 2: give an --adversarial-radius"),
        ("--learning-rate 0.1 fast", "--learning-rate fast: not a number"),
        ("--learning-rate -0.1", "--learning-rate -0.1: must be at least 0"),
        ("--momentum 1.5", "--momentum 1.5: must be at least 0 and below 1"),
        ("--seeds 0", "--seeds 0"),
        ("--seeds -3", "--seeds -3"),
        ("--name old", "old is there already"),
        ("--out file", "cannot write file/mlp: file is no folder; give another --out"),
        ("--out /proc/nowhere", "cannot write /proc/nowhere/mlp: No such file"),
        ("--steps 0", "--steps 0"),
        ("--preset nonesuch", "--preset nonesuch"),
        ("--hidden 8xx", "--hidden 8xx"),
        ("--optimizer sgd --beta2 0.9 0.99", "--beta2: nothing uses it"),
        ("--parallel 0", "--parallel 0: must be at least 1"),
        ("--parallel some", "--parallel some: give auto or a number"),
        ("--memory-limit much", "--memory-limit much: not a size, such as 20GB"),
        ("--checkpoint-every 0", "--checkpoint-every 0: must be above 0"),
        ("--shares 0", "--shares 0: must be at least 1"),
        ("--worker", "--worker: one of several processes in a folder; name it with --resume"),
        ("--distributed 4", "--distributed 4: give --name"),
        ("--search 0 --learning-rate 1e-4 1e-2", "--search 0: give how many settings to draw"),
        ("--search 4 --learning-rate 1e-3", "--search 4: give a range for a hyper-parameter"),
        ("--search 4 --learning-rate 0 1e-2", "--learning-rate 0.0: drawn by its logarithm"),
        ("--halving 1", "--halving 1: must be at least 2"),
        ("--halving 3", "--halving 3 --rungs 4: needs at least 27 settings and there are 4"),
        ("--asynchronous", "--asynchronous: rungs are those of --halving FACTOR; give it as well"),
        (
            "--asynchronous --halving 2 --population pbt --search 9 --learning-rate 1e-3 1",
            "--population pbt --halving: settings are replaced, or stopped; choose one",
        ),
        (
            "--asynchronous --halving 2 --rungs 2 --parallel 1",
            "--parallel 1: with --asynchronous the",
        ),
        ("--halving 2 --rungs 3 --steps 2", "--rungs 3: 2 steps, logged every 1, cannot be cut"),
        ("--resume nowhere", "nowhere is no run folder"),
        ("--resume old", "old is no run folder"),
    ],
)
def test_bad_input_gives_a_one_line_error_and_status_2(tables, monkeypatch, refused, words, says):
    monkeypatch.chdir(tables)
    assert says in refused("mlp.py", words, tables)


@pytest.mark.slow
def test_bad_input_ends_the_process_with_status_2(tmp_path, call):
    done = call("mlp.py", "--seeds", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: --seeds 0: a count of seeds is at least 1\n"


def test_a_random_search_with_halving_ends_with_its_best_setting(tmp_path, load_script):
    """The finished folder is then refused to other searches, and its table is printed."""
    script = load_script("mlp.py")
    words = "--data iris --hidden 8 --seeds 2 --steps 16 --search 4 --learning-rate 1e-4 1 "
    words += f"--halving 2 --rungs 2 --log-every 4 --out {tmp_path} --name it"
    script.run_main(script.main, script.RECIPES, "", words.split())
    metrics = pd.read_parquet(tmp_path / "it" / "metrics")
    lengths = metrics.groupby("run")["step"].max()
    assert lengths.value_counts().to_dict() == {8: 4, 16: 4}
    assert metrics["learning_rate"].between(1e-4, 1).all()
    manifest = json.loads((tmp_path / "it" / "manifest.json").read_text())
    assert manifest["search"] == {"settings": 4, "seed": 0}
    assert one_run(read_run_folder(tmp_path / "it")).number in set(lengths.index[lengths == 16])


@pytest.mark.slow
def test_metrics_go_to_tensorboard_while_it_trains(tmp_path, load_script):
    script = load_script("mlp.py")
    words = f"{WINE} --tensorboard "
    words += f"--out {tmp_path} --name it"
    script.run_main(script.main, script.RECIPES, "", words.split())
    metrics = pd.read_parquet(tmp_path / "it" / "metrics")
    for folder, rate in (("000-learning-rate-0.001", 1e-3), ("001-learning-rate-0.01", 1e-2)):
        scalars = read_scalars(tmp_path / "it" / "tensorboard" / folder / EVENTS)
        assert [step for step, _ in scalars] == list(range(1, 61))
        rows = metrics[metrics["learning_rate"] == rate]
        most = rows.groupby("step")["validation_loss"].max().dropna().to_dict()
        written = {step: v["validation_loss/most"] for step, v in scalars if len(v) > 4}
        assert written == pytest.approx(most, rel=1e-6)


def test_a_tracker_whose_package_is_missing_is_one_line(tmp_path, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    line = refused("mlp.py", f"--data iris --tensorboard --out {tmp_path}", tmp_path)
    assert "--tensorboard: the package tensorboardX is missing: set up with SEEDBED_ALSO=" in line


def test_a_prepared_folder_is_resumed_by_its_flags(tmp_path, answer, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = f"{WINE} --name it --prepare"
    status, out, error = answer("mlp.py", words)  # its command is recorded
    assert status == 0, error
    assert out.splitlines()[-1] == "mlp: prepared runs/it"
    assert "made by mlp.py, not by" in refused("dqn.py", "--resume runs/it", tmp_path)
    assert "steps is 60 there and 30 here" in answer("mlp.py", "--resume runs/it --steps 30")[2]
    error = answer("mlp.py", "--resume runs/it --preset article")[2]
    assert "it has the preset that it was made with" in error
    assert answer("mlp.py", "--resume runs/it")[0] == 0
    assert len(pd.read_parquet(tmp_path / "runs" / "it" / "metrics")) == 2 * 3 * 60
    status, _, error = answer("mlp.py", "--resume runs/it")
    assert status == 2
    assert "is finished and is not overwritten" in error


def test_what_a_kill_has_kept_from_being_made_is_made_by_resume(tmp_path, small_sweep, answer):
    folder = shutil.copytree(small_sweep("mlp").folder, tmp_path / "it")
    (folder / ".0123456789abcdef.partial.png").write_bytes(b"half")
    status, out, error = answer("mlp.py", f"--resume {folder}")
    assert (status, out) == (2, "")
    assert "is finished and is not overwritten" in error
    assert not list(folder.glob(".*.partial*"))
    (folder / "roc.png").unlink()
    status, out, error = answer("mlp.py", f"--resume {folder}")
    assert (status, error) == (0, "")
    says = f"mlp: {folder} is finished but for the evaluation of its best setting, made now"
    assert says in out.splitlines()
    assert "learning curve: " not in out
    assert (folder / "roc.png").is_file()
    assert answer("mlp.py", f"--resume {folder}")[0] == 2


def test_a_full_disk_at_the_last_figure_is_one_line_that_says_what_to_do(
    tmp_path, small_sweep, answer, monkeypatch
):
    folder = shutil.copytree(small_sweep("mlp").folder, tmp_path / "it")
    (folder / "validation_accuracy.png").unlink()

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("research.atomic.os.fsync", full)
        status, _, error = answer("mlp.py", f"--resume {folder}")
    assert status == 2
    assert error == (
        f"error: cannot write {folder}/validation_accuracy.png: No space left on device; the sweep "
        f"is finished, and --resume {folder} makes what is missing\n"
    )
    assert answer("mlp.py", f"--resume {folder}")[0] == 0
    assert (folder / "validation_accuracy.png").is_file()
