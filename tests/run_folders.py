"""Fixtures that make run folders by hand, so that every number in them is known."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from research.runs.jobs import Plan
from research.runs.run_folder import RunFolder

MANIFEST = {
    "status": "finished",
    "experiment": "toy",
    "config": {},
    "hparams": {"rate": 0.1},
    "seeds": [0, 1, 2, 3],
    "config_axes": {},
    "hparams_axes": {"rate": [0.1, 0.2]},
    "key_metric": "validation_score",
    "higher_is_better": True,
    "work_unit": "examples",
    "in_work": False,
    "groups": [{"first_run": 0, "runs": 8, "goal": None}],
    "results": [{"diverged": [{"run": 7, "step": 3}]}],
}


@pytest.fixture
def make_run(tmp_path):
    """A function that makes a folder of 2 settings x 4 seeds with steps 1 to 3. The score at steps
    1 and 3 is run + 10 x step, except that run 7 diverges."""

    def make(**changes):
        manifest = {**MANIFEST, **changes}
        folder = RunFolder.create(tmp_path, "run", manifest, Plan(()))
        labels = {
            name: [group[name] for group in manifest["groups"] for _ in range(group["runs"])]
            for name in manifest["config_axes"]
        }
        for step in (1, 2, 3):
            runs = list(range(8))
            score = [float(run + 10 * step) for run in runs]
            score[7] = float("nan")
            measured = score if step != 2 else [None] * 8
            columns = {
                "run": runs,
                "seed": [run % 4 for run in runs],
                "rate": [0.1] * 4 + [0.2] * 4,
                **labels,
                "step": [step] * 8,
                "diverged": pa.array([None] * 7 + [0], pa.int64()),
                "work": [step * 5] * 8,
                "loss": pa.array(score, pa.float32()),
                "validation_score": pa.array(measured, pa.float32()),
                "test_score": pa.array(measured, pa.float32()),
            }
            folder.append_metrics("0-000000", step, pa.table(columns))
        return folder.path

    return make


@pytest.fixture
def make_sweep(tmp_path):
    """A function that makes a folder of given scores [settings, seeds, steps], with settings in the
    order of the product of the axes. Test scores are 0.5 lower, the work is 5 times the steps."""

    def make(scores, name="sweep", axes=None, **changes):
        scores, axes = np.asarray(scores, np.float32), axes or {"rate": [0.1, 0.2]}
        settings, seeds, _ = scores.shape
        values = list(itertools.product(*axes.values()))
        assert len(values) == settings
        groups = [{"first_run": 0, "runs": settings * seeds, "goal": None}]
        facts = {"hparams_axes": axes, "groups": groups, "results": [], **changes}
        folder = RunFolder.create(tmp_path, name, {**MANIFEST, **facts}, Plan(()))
        setting, seed, step = (place.ravel() for place in np.indices(scores.shape))
        columns = {"run": setting * seeds + seed, "seed": seed}
        for place, field in enumerate(axes):
            columns[field] = [values[one][place] for one in setting]
        score = scores.ravel()
        columns |= {"step": step + 1, "diverged": pa.nulls(len(step), pa.int64())}
        columns |= {"work": 5 * (step + 1), "loss": -score}
        columns |= {"validation_score": score, "test_score": score - 0.5}
        folder.append_metrics("0-000000", 0, pa.table(columns))
        return folder.path

    return make
