"""Run folders that somebody else has made: nothing outside them is read, written or removed."""

import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pytest

from research.errors import UserError
from research.folders import check_contents
from research.report.read import read_run_folder
from research.runs.jobs import Job, Plan
from research.runs.run_folder import RunFolder
from tests.run_folders import MANIFEST

JOB = Job(group=0, runs=(0, 1), start=0, stop=8, width=2)
NEXT = JOB._replace(start=8, stop=16, sources=(JOB.name,))


@pytest.fixture
def folder(tmp_path):
    made = RunFolder.create(tmp_path / "runs", "run", MANIFEST, Plan((JOB, NEXT)))
    made.append_metrics(JOB.name, 0, pa.table({"run": [0, 1], "work": [5, 5], "loss": [1.0, 2.0]}))
    made.save_params(JOB, {"w": np.float32([5, 6])})
    return made.path


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.mkdir()
    (path / "thesis").write_text("years of work")
    return path


def rewrite(path, change):
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content)))


def with_job(**changes):
    return lambda plan: plan | {"jobs": [plan["jobs"][0], plan["jobs"][1] | changes]}


def refuses(path, says):
    """Whoever opens the folder, to train or to read, says what is wrong in one line."""
    with pytest.raises(UserError, match=says) as raised:
        RunFolder.open(path)
    assert "\n" not in str(raised.value)


PLANS = [
    ({"sources": ["/home/victim"]}, r"jobs\.1\.sources\.0: string should match"),
    ({"sources": ["../../victim"]}, r"jobs\.1\.sources\.0: string should match"),
    ({"sources": ["0-000000\n"]}, r"jobs\.1\.sources\.0: string should match"),
    ({"sources": ["0-000007"]}, "continues from 0-000007, which ends elsewhere"),
    ({"start": 4}, "continues from 0-000000, which ends elsewhere"),
    ({"runs": [0, 7]}, "has runs that none of its sources has"),
    ({"runs": [1, 0]}, "not in increasing order"),
    ({"runs": []}, r"jobs\.1\.runs: list should have at least 1 item"),
    ({"runs": [-1]}, r"jobs\.1\.runs\.0: input should be greater than or equal to 0"),
    ({"runs": [1.5]}, r"jobs\.1\.runs\.0: input should be a valid integer, not 1\.5"),
    ({"runs": "01"}, r"jobs\.1\.runs: input should be a valid list"),
    ({"stop": 8}, "ends at step 8, before it begins"),
    ({"stop": 2**53}, r"jobs\.1\.stop: input should be less than"),
    ({"group": None}, r"jobs\.1\.group: input should be a valid integer"),
    ({"start": 0, "sources": []}, "two jobs begin with the same run and step"),
]


@pytest.mark.parametrize(("changes", "says"), PLANS)
def test_a_plan_that_no_sweep_has_is_refused(folder, changes, says):
    rewrite(folder / "plan.json", with_job(**changes))
    refuses(folder, rf"plan\.json is damaged: .*{says}")


MANIFESTS = [
    ({"groups": 3}, "groups: input should be a valid list, not 3"),
    ({"groups": [{"first_run": 0, "runs": 0}]}, r"groups\.0\.runs: input should be greater"),
    ({"results": [{"job": "../../x", "diverged": []}]}, r"results\.0\.job: string should match"),
    ({"seeds": ["a"]}, r"seeds\.0: input should be a valid integer"),
    ({"key_metric": ["x"]}, "key_metric: input should be a valid string"),
    ({"status": "x"}, "status: input should be 'running', 'stopped' or 'finished'"),
    ({"hparams_axes": {"rate": 3}}, r"hparams_axes\.rate: input should be a valid list"),
]


@pytest.mark.parametrize(("changes", "says"), MANIFESTS)
def test_a_manifest_of_other_types_is_refused_by_all_who_read_it(folder, changes, says):
    rewrite(folder / "manifest.json", lambda manifest: manifest | changes)
    refuses(folder, rf"manifest\.json is damaged: {says}")
    with pytest.raises(UserError, match=says):
        read_run_folder(folder)


@pytest.mark.parametrize("name", ["experiment", "config", "seeds", "groups", "key_metric"])
def test_a_manifest_without_a_key_is_refused(folder, name):
    rewrite(folder / "manifest.json", lambda found: {k: v for k, v in found.items() if k != name})
    refuses(folder, rf"manifest\.json is damaged: {name}: field required")


@pytest.mark.parametrize(
    ("text", "says"),
    [("NaN", "NaN"), ("[" * 200_000, "nested"), ("{", "Expecting"), ("", "Expecting")],
)
def test_a_file_that_is_no_json_is_named(folder, text, says):
    (folder / "plan.json").write_text(text)
    refuses(folder, rf"plan\.json is damaged: .*{says}")


def test_a_result_of_another_job_is_refused(folder):
    (folder / "results" / f"{JOB.name}.json").write_text('{"job": "0-000007", "diverged": []}')
    with pytest.raises(UserError, match=r"0-000000\.json is damaged: it is of job 0-000007"):
        RunFolder.open(folder).results()


LINKS = [
    "manifest.json", "plan.json", "metrics", "params", "results", "checkpoints", ".locks",
    ".locks/folder", "report.html", "validation_score.png", "evaluation", "run-0.gif",
    "metrics/0-000000-000009.parquet", "params/0-000009.safetensors", "results/0-000009.json",
    "checkpoints/0-000000", "evaluation/samples.json", "wandb",
]  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
def test_a_folder_with_a_link_is_refused_and_nothing_behind_it_changes(folder, victim, name):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    target = victim / ("thesis" if path.suffix else "")
    if path.exists():
        path.rename(victim / path.name)
        target = victim / path.name
    before = sorted(map(str, victim.rglob("*"))), (victim / "thesis").read_text()
    path.symlink_to(target)
    refuses(folder, f"{path} is a link")
    with pytest.raises(UserError, match="is a link"):
        read_run_folder(folder)
    assert (sorted(map(str, victim.rglob("*"))), (victim / "thesis").read_text()) == before


@pytest.mark.parametrize("name", ["metrics/0-000000-000001.parquet", "evaluation"])
def test_a_pipe_is_refused_and_nobody_waits_for_it(folder, name):
    os.mkfifo(folder / name)
    refuses(folder, "is a pipe")


def test_links_that_wandb_makes_in_its_own_folder_are_no_harm(folder, victim):
    (folder / "wandb" / "offline-run-1").mkdir(parents=True)
    (folder / "wandb" / "latest-run").symlink_to(folder / "wandb" / "offline-run-1")
    RunFolder.open(folder)
    (folder / "metrics" / "wandb").mkdir()
    (folder / "metrics" / "wandb" / "x").symlink_to(victim)
    refuses(folder, "is a link")


def test_a_run_folder_may_itself_be_a_link(folder, tmp_path):
    (tmp_path / "latest").symlink_to(folder)
    assert RunFolder.open(tmp_path / "latest").plan() == Plan((JOB, NEXT))
    check_contents(folder)


def test_a_folder_without_locks_is_named_and_nothing_is_made(folder):
    shutil.rmtree(folder / ".locks")
    with pytest.raises(UserError, match=r"\.locks/folder cannot be locked \(No such file"):
        RunFolder.open(folder).lock("folder").__enter__()
    assert not (folder / ".locks").exists()


def test_a_lock_that_is_a_folder_is_named(folder):
    (folder / ".locks" / "folder").unlink()
    (folder / ".locks" / "folder").mkdir()
    with pytest.raises(UserError, match=r"\.locks/folder cannot be locked \(Is a directory\)"):
        RunFolder.open(folder).lock("folder").__enter__()
