"""A run folder made by hand, so that every number in it is known."""

import pyarrow as pa
import pytest

from research.sweep.jobs import Plan
from research.sweep.run_folder import RunFolder

MANIFEST = {
    "status": "finished",
    "experiment": "toy",
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
    """A function that makes a folder of 2 settings x 4 seeds, steps 1 to 3, the score measured at
    steps 1 and 3: run + 10 x step, except that run 7 diverges."""

    def make(**changes):
        folder = RunFolder.create(tmp_path, "run", {**MANIFEST, **changes}, Plan(()))
        for step in (1, 2, 3):
            runs = list(range(8))
            score = [float(run + 10 * step) for run in runs]
            score[7] = float("nan")
            measured = score if step != 2 else [None] * 8
            columns = {
                "run": runs,
                "seed": [run % 4 for run in runs],
                "rate": [0.1] * 4 + [0.2] * 4,
                "step": [step] * 8,
                "work": [step * 5] * 8,
                "loss": pa.array(score, pa.float32()),
                "validation_score": pa.array(measured, pa.float32()),
                "test_score": pa.array(measured, pa.float32()),
            }
            folder.append_metrics("0-000000", step, pa.table(columns))
        return folder.path

    return make
