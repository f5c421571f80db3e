"""Tests of exporting nets as programs that predict without the package."""

import dataclasses
import io
import json
import runpy
import shutil
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest

from research.mlp import Config, HParams, make_problem
from research.mlp.export import SCRIPT, make_program, make_schema, run_program
from research.mlp.task import fit_to, predictions
from tests.contract import slow

RNG = np.random.default_rng(0)


def nets(config, count):
    """A config with its data and facts, and the params of a few untrained nets."""
    problem = make_problem(config)
    shapes = jax.eval_shape(problem.task.init, problem.shared, HParams(), jax.random.key(0)).params
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: np.float32(rng.normal(size=(count, *leaf.shape)) / np.sqrt(leaf.shape[0])),
        shapes,
    )
    return fit_to(config, problem.shared), problem.shared, problem.facts, params


def mean_of(config, shared, params, x):
    of_each = jax.jit(jax.vmap(lambda one: predictions(config, shared, one, x)))
    return np.asarray(of_each(params)).mean(axis=0)


@pytest.mark.parametrize(
    "config",
    [
        Config(data="digits", hidden=(8,), channels=(3,), layer_norm=True),
        Config(data="breast_cancer", hidden=(8, 8), residual=True),
        Config(data="diabetes", hidden=(8,)),
    ],
    ids=lambda config: config.data,
)
def test_the_program_gives_the_mean_of_its_nets_for_any_number_of_rows(config):
    config, shared, _, params = nets(config, 3)
    program = make_program(config, shared, params)
    x = np.asarray(shared.test.x[:7])
    expected = mean_of(config, shared, params, x)
    for rows in (1, 7):
        found = run_program(program, x[:rows])
        np.testing.assert_allclose(found, expected[:rows], rtol=1e-5, atol=1e-6)


def test_images_are_standardized_by_the_program():
    config, shared, _, params = nets(Config(data="digits", hidden=()), 2)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (7, 64), np.uint8)
    shared = dataclasses.replace(
        shared,
        train=shared.train._replace(x=pixels),
        x_mean=np.float32(rng.uniform(0, 200, 64)),
        x_scale=np.float32(rng.uniform(10, 100, 64)),
    )
    found = run_program(make_program(config, shared, params), pixels)
    expected = mean_of(config, shared, params, (pixels - shared.x_mean) / shared.x_scale)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module", params=["min-category-1", "min-category-2"])
def table(tmp_path_factory, request):
    """A folder with a table of words, numbers and gaps and three nets exported for it; also their
    config, data, facts and params."""
    rows, least = 60, int(request.param[-1])
    tmp_path = tmp_path_factory.mktemp("table")
    frame = pd.DataFrame(
        {
            "city": RNG.choice(["Ulm", "Bonn", ""], rows),
            "age": np.where(RNG.random(rows) < 0.2, "", RNG.integers(18, 90, rows).astype(str)),
            "seconds": 1_700_000_000 + RNG.integers(0, 1000, rows),
            "kind": np.arange(rows) % 3,
        }
    )
    # Categories of their own, of which some are in the training part.
    frame.loc[:2, "city"] = ["Kiel", "Oslo", "Lyon"] if least > 1 else ["Ulm"] * 3
    frame.to_csv(tmp_path / "table.csv", index=False)
    data = {"data": str(tmp_path / "table.csv"), "target": "kind"}
    config = Config(**data, hidden=(8,), batch_size=8, min_category=least)
    some = nets(config, 3)
    export_to(tmp_path / "export", *some)
    return tmp_path, *some


def export_to(folder, config, shared, facts, params):
    folder.mkdir()
    (folder / "predict.jaxexport").write_bytes(make_program(config, shared, params))
    (folder / "schema.json").write_text(json.dumps(make_schema(config, facts)))
    shutil.copyfile(SCRIPT, folder / "predict.py")


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs `predict.py` of a folder on a table; returns its status, output and errors."""

    def called(folder, table, *flags):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [str(folder / "predict.py"), str(table), *flags])
            patch.setitem(sys.modules, "research", None)
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
                code = 0
            except SystemExit as end:
                code = end.code
        return code, *capsys.readouterr()

    return called


def test_a_table_is_encoded_as_in_training(table, call):
    folder, config, shared, facts, params = table
    code, out, err = call(folder / "export", folder / "table.csv")
    assert (code, err) == (0, "")
    found = pd.read_csv(io.StringIO(out))
    assert found.columns[0] == "kind"
    assert len(found) == 60
    parts = ("train", "validation", "test")
    rows = np.concatenate([facts["rows"][part] for part in parts])
    x = np.concatenate([getattr(shared, part).x for part in parts])
    expected = mean_of(config, shared, params, x)
    np.testing.assert_allclose(found.iloc[rows, 1:].to_numpy(), expected, atol=2e-6)
    names = np.array(facts["classes"])[expected.argmax(axis=1)]
    assert found["kind"][rows].astype(str).tolist() == names.tolist()


@pytest.mark.parametrize(
    "table", ["min-category-1", slow("min-category-2")], indirect=True, ids=lambda name: name
)
def test_the_script_runs_without_the_package(table, call):
    """It runs in another folder, in a process that cannot import the package."""
    folder, *_ = table
    script, given = str(folder / "export" / "predict.py"), str(folder / "table.csv")
    hidden = "import sys; sys.modules['research'] = None; sys.argv = sys.argv[1:]; "
    hidden += "import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", hidden, script, given]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, expected = done.stdout, call(folder / "export", given)[1]
    assert [row.split(",")[0] for row in found.splitlines()] == [
        row.split(",")[0] for row in expected.splitlines()
    ]
    pd.testing.assert_frame_equal(
        pd.read_csv(io.StringIO(found)), pd.read_csv(io.StringIO(expected)), atol=2e-6
    )


def test_cells_that_training_did_not_cover_are_reported(table, call, tmp_path):
    folder, config, *_ = table
    frame = pd.read_csv(folder / "table.csv")
    frame.loc[5, "city"] = "Rome"
    frame.to_csv(tmp_path / "other.csv", index=False)
    code, _, err = call(folder / "export", tmp_path / "other.csv")
    if config.min_category == 1:
        assert code == 2
        says = "line 7, column city: 'Rome' is no category that the net knows"
        assert err.splitlines()[0] == f"error: {tmp_path / 'other.csv'}, {says}"
        code, out, _ = call(folder / "export", tmp_path / "other.csv", "--unknown", "missing")
        assert (code, len(out.splitlines())) == (0, len(frame) + 1)
    else:
        assert (code, err) == (0, "")
    frame.drop(columns="age").to_csv(tmp_path / "other.csv", index=False)
    code, _, err = call(folder / "export", tmp_path / "other.csv")
    assert (code, err) == (2, "error: the table has no column age\n")


def test_the_schema_is_json_and_names_all_features(table):
    _, config, _, facts, _ = table
    schema = json.loads(json.dumps(make_schema(config, facts)))
    assert [column["name"] for column in schema["columns"]] == ["city", "age", "seconds"]
    assert schema["features"] == facts["features"]
    assert bool(schema["columns"][0]["other"]) == (config.min_category > 1)
    unknown = dataclasses.replace(config, min_category=5)
    assert make_schema(unknown, facts)["columns"][0]["unknown"]
