"""Tests of a search in batches: what is proposed when, and that kills, other workers and damaged
folders change nothing of it.

The sampler is a made-up one, which proposes settings near the best that was told, so that no
optional package is needed.
"""

import contextlib
import io
import json
import threading

import pytest
from rich.console import Console

from research.cli.terminal import TerminalObserver
from research.errors import UserError
from research.report.listing import list_run_folder
from research.report.page.page import make_content
from research.report.read import read_run_folder
from research.report.summary import summarize
from research.runs import proposals, run_folder, samplers
from research.runs.job_runner import TrainOptions
from research.runs.opening import RunOptions
from research.runs.overall import read_overall
from research.runs.proposals import SearchFrom
from research.runs.run_folder import RunFolder
from research.runs.runner import run_experiment
from research.runs.samplers import Told
from research.runs.search import Halving, Search
from research.task import Requirement
from tests import toy
from tests.contract import slow
from tests.runs.test_resume import assert_same, outcome
from tests.runs.test_runner import experiment

pytestmark = pytest.mark.usefixtures("default_hangup", "near_the_best")
SEARCH = {"hparams_axes": {"rate": [0.0, 10.0]}, "search": Search(10, 3, "tpe", 4)}


def near(space, told, count, seed):
    """A sampler: at random, and around the best setting once one is told."""
    for setting in samplers._random(space, told, count, seed):
        if told:
            losses = samplers.losses_of(told)
            best = told[losses.index(min(losses))].values
            setting = {name: (best[name] + value) / 2 for name, value in setting.items()}
        yield setting


@pytest.fixture
def near_the_best(monkeypatch):
    monkeypatch.setitem(samplers.SAMPLERS, "tpe", near)
    monkeypatch.setitem(samplers.PACKAGES, "tpe", ())


def run(folder, name="run", changes=None, **options):
    """Runs the toy experiment with a search in batches, and returns what it printed."""
    file = io.StringIO()
    options = RunOptions(str(folder), name, **{"train": TrainOptions(0.0), **options})
    observer = TerminalObserver(Console(file=file, width=200))
    run_experiment(experiment(**{**SEARCH, **(changes or {})}), options, observer)
    return file.getvalue()


def proposed(folder):
    """The settings of each batch, in order: batch, group, setting."""
    paths = sorted((folder / "proposals").glob("0*.json"))
    return [json.loads(path.read_text())["groups"] for path in paths]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a search that was never interrupted, and what was printed."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(samplers.SAMPLERS, "tpe", near)
        patch.setitem(samplers.PACKAGES, "tpe", ())
        text = run(folder, "whole")
    return folder / "whole", text


def test_each_batch_is_proposed_from_the_scores_of_those_before(whole):
    folder, text = whole
    batches = proposed(folder)
    assert [[len(group) for group in batch] for batch in batches] == [[4, 4], [4, 4], [2, 2]]
    assert "toy: batch 2 of 3: tpe proposes 8 settings, told the scores of 8" in text
    assert "toy: batch 3 of 3: tpe proposes 4 settings, told the scores of 16" in text
    metrics, _ = outcome(folder)
    for group in range(2):
        settings = [setting["rate"] for batch in batches for setting in batch[group]]
        rows = metrics[(metrics["start"] == 100.0 * group) & (metrics["step"] == 6)]
        assert rows.sort_values("run")["rate"].tolist() == pytest.approx(
            [rate for rate in settings for _ in range(2)]
        )
        first, second = settings[:4], settings[4:8]  # lower scores are better
        assert all(min(first) / 2 <= rate <= min(first) / 2 + 5 for rate in second)
        assert sum(second) < sum(first)
    assert batches[0][0] == batches[0][1]


class Killed(BaseException):
    """As if the process were killed."""


@pytest.fixture
def kill(monkeypatch):
    """A function that has a process end at a certain write of some files, before it or after."""

    def arrange(count, after, name=".json"):
        left = [count]

        def write(path, content):
            ends = path.name.endswith(name)
            left[0] -= ends
            if ends and not left[0] and not after:
                raise Killed
            whole_write(path, content)
            if ends and not left[0]:
                raise Killed

        monkeypatch.setattr(run_folder, "write_bytes", write)
        monkeypatch.setattr(proposals, "write_bytes", write)

    whole_write = run_folder.write_bytes
    return arrange


@pytest.mark.parametrize("every", [9, slow(1)])
def test_a_kill_at_any_write_resumes_to_the_same_proposals_and_numbers(
    tmp_path, whole, kill, every
):
    folder, _ = whole
    kills = 0
    for count in range(4, 200, every):
        name, ended = f"at-{count}", False
        kill(count, after=bool(count % 4))
        try:
            run(tmp_path, name)
            ended = True
        except Killed:
            kills += 1
        kill(0, after=False)
        if ended:
            break
        run(tmp_path, name)
        assert proposed(tmp_path / name) == proposed(folder)
        assert_same(tmp_path / name, folder)
    assert kills >= 16 // every


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_between_proposals_and_plan_loses_neither(tmp_path, whole, kill, after):
    """The file of the second batch is written, or not; no job is planned for it."""
    folder, _ = whole
    kill(1, after, name="000001.json")
    with pytest.raises(Killed):
        run(tmp_path)
    assert len(proposed(tmp_path / "run")) == 1 + after
    assert len(RunFolder(tmp_path / "run").plan().jobs) == 2
    kill(0, after=False)
    run(tmp_path)
    assert_same(tmp_path / "run", folder)


def test_two_workers_take_the_jobs_of_every_batch(tmp_path, whole):
    folder, _ = whole
    run(tmp_path, shares=4, prepare=True)
    failed, seeds = [], experiment().seeds

    def work():
        try:
            run(tmp_path, shares=4, worker=True)
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failed
    manifest = RunFolder(tmp_path / "run").manifest()
    assert manifest["status"] == "finished"
    assert [len(job.runs) for job in RunFolder(tmp_path / "run").plan().jobs] == [4] * 8 + [4] * 2
    assert len(seeds) == 2
    assert proposed(tmp_path / "run") == proposed(folder)
    assert_same(tmp_path / "run", folder)


def test_a_worker_trains_what_another_has_proposed_meanwhile(tmp_path, whole, monkeypatch):
    """It opened the folder before the second batch was there."""
    folder, _ = whole
    run(tmp_path, prepare=True)
    first = proposals.Batches.begin_next
    meanwhile = []

    def begin_next(batches, observer):
        if not meanwhile:
            meanwhile.append(1)
            other = proposals.Batches(batches.experiment, batches._parts, batches.folder)
            first(other, observer)
            return True
        return first(batches, observer)

    monkeypatch.setattr(proposals.Batches, "begin_next", begin_next)
    run(tmp_path, worker=True)
    assert_same(tmp_path / "run", folder)


def test_how_far_it_is_counts_the_settings_that_are_not_proposed_yet(tmp_path, kill):
    kill(1, after=False, name="000001.json")
    with pytest.raises(Killed):
        run(tmp_path)
    overall = read_overall(tmp_path / "run")
    assert (overall.ended, overall.runs) == (16, 40)
    assert (overall.done, overall.steps) == (16 * 6, 40 * 6)
    assert list_run_folder(tmp_path / "run").state == "40%, not finished"
    page = make_content(summarize([read_run_folder(tmp_path / "run")]))
    assert "The best setting so far" in page["html"]


def needing(problem):
    """The problem, of a task that takes no rate above 5."""
    requirement = lambda hparams: [Requirement(("rate",), hparams.rate <= 5.0, "at most 5")]
    return problem._replace(task=problem.task._replace(requirements=requirement))


@pytest.mark.parametrize("sampler", ["tpe", "sobol"])
def test_settings_that_the_task_does_not_take_are_not_proposed(tmp_path, sampler):
    changes = {"make_problem": lambda config: needing(toy.problem(config.start)),
               "search": Search(10, 3, sampler, 4)}  # fmt: skip
    run(tmp_path, changes=changes)
    metrics, _ = outcome(tmp_path / "run")
    assert metrics["rate"].nunique() >= 10
    assert metrics["rate"].max() <= 5


def test_a_diverged_setting_is_told_as_the_worst(tmp_path):
    """Here all but the first of the choices diverge, and their sums are the smallest."""
    told = []

    def watching(space, history, count, seed):
        told.append(list(history))
        return near(space[:1], history, count, seed)

    def both(*args):
        return ({**one, "fail_at": 3 if one["rate"] < 5 else -1} for one in watching(*args))

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(samplers.SAMPLERS, "tpe", both)
        changes = {"hparams_axes": {"rate": [0.0, 10.0], "fail_at": [-1, 3, 4]}}
        run(tmp_path, changes=changes)
    last = told[-1]
    assert len(last) == 8
    for one in last:
        assert one.loss == (None if one.values["rate"] < 5 else pytest.approx(
            100 + 6 * one.values["rate"]))  # fmt: skip


def test_an_earlier_search_is_copied_and_told(tmp_path):
    earlier = [Told({"rate": 1.0}, 6.0, -1), Told({"rate": 9.0}, None, -1)]
    read = []

    def history(experiment, parts):
        read.append(1)
        return [earlier for _ in parts], ["the sampler is told 4 scores of it"]

    changes = {"search_from": SearchFrom("runs/other", history)}
    with contextlib.suppress(Killed), pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "save_result", lambda *_: (_ for _ in ()).throw(Killed))
        text = run(tmp_path, changes=changes)
        assert "toy: the sampler is told 4 scores of it" in text
    (first, *_) = proposed(tmp_path / "run")
    assert all(0.5 <= setting["rate"] <= 5.5 for group in first for setting in group)
    run(tmp_path, changes=changes)
    assert len(read) == 1  # a resume needs the other folder no more
    copied = json.loads((tmp_path / "run" / "proposals" / "earlier.json").read_text())
    assert copied["from"] == "runs/other"
    assert copied["groups"][1][1] == {"values": {"rate": 9.0}, "loss": None}
    with pytest.raises(UserError, match="search_from is"):
        run(tmp_path, changes={})


CHOICES = {"rate": [1.0, 2.0, 3.0], "fail_at": [-1, 1, 2, 3]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"halving": Halving(2, 2)}, "--halving 2: needs all settings at once"),
        ({"search": Search(10, 3, "cmaes", 4), "hparams_axes": CHOICES},
         "give a range"),
        ({"search": Search(10, 3, "sobol"), "search_from": SearchFrom("runs/a", lambda *_: None)},
         "--search-from runs/a: it goes with --search and a sampler that looks at scores"),
        ({"search": Search(10, 3, "tpe", 4), "hparams_axes": {"rate": [1.0, 2.0, 3.0]}},
         "--search 10: what was given makes 3 settings"),
    ],
)  # fmt: skip
def test_what_makes_no_search_is_refused_before_a_folder_is_made(
    tmp_path, changes, says, monkeypatch
):
    monkeypatch.setitem(samplers.PACKAGES, "cmaes", ())
    with pytest.raises(UserError, match=says):
        run(tmp_path, changes=changes)
    assert not any(tmp_path.iterdir())


def test_a_resume_with_another_sampler_or_batch_is_refused(whole):
    folder, _ = whole
    for changed in (Search(10, 3, "tpe", 5), Search(10, 3, "sobol"), Search(10, 3)):
        with pytest.raises(UserError, match=r"search is|batch is"):
            run(folder.parent, "whole", changes={"search": changed})


def test_a_random_search_is_recorded_as_it_always_was():
    assert Search(4, 1).to_json() == {"settings": 4, "seed": 1}
    assert Search(4, 1, "sobol").to_json() == {"settings": 4, "seed": 1, "sampler": "sobol"}
    assert Search(64, 1, "gp").to_json()["batch"] == 8


DAMAGES = [
    (lambda content: content.pop("groups"), "groups: field required"),
    (lambda content: content["groups"][0].pop(), "of another batch or of other groups"),
    (lambda content: content["groups"].pop(), "of another batch or of other groups"),
    (lambda content: content.update(batch=1), "of another batch or of other groups"),
    (lambda content: content["groups"][0][0].update(rate=11.0), "rate 11.0: is not in what is"),
    (lambda content: content["groups"][0][0].update(rate="fast"), "rate 'fast': is not in what"),
    (lambda content: content["groups"][0][0].update(rate=[1]), r"groups\.0\.0\.rate"),
    (lambda content: content["groups"][0][0].update(speed=1.0), "of other hyper-parameters"),
    (lambda content: content["groups"][0].__setitem__(1, content["groups"][0][0]), "there twice"),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGES)
def test_damaged_proposals_are_named_and_nothing_is_trained(tmp_path, damage, says):
    run(tmp_path, prepare=True)
    path = tmp_path / "run" / "proposals" / "000000.json"
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"000000\.json is damaged: .*{says}"):
        run(tmp_path)
    assert not any((tmp_path / "run" / "metrics").iterdir())


def test_jobs_of_settings_that_nobody_proposed_are_refused(tmp_path):
    run(tmp_path, prepare=True)
    path = tmp_path / "run" / "plan.json"
    plan = json.loads(path.read_text())
    plan["jobs"][0]["runs"] += [8, 9]
    plan["jobs"][0]["width"] = 10
    path.write_text(json.dumps(plan))
    with pytest.raises(UserError, match=r"plan\.json is damaged: its jobs begin others than"):
        run(tmp_path)
