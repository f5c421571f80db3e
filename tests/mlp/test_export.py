"""Programs that predict without the package."""

import dataclasses
import json
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from research.mlp import Config, HParams, make_problem
from research.mlp.export import SCRIPT, make_program, make_schema, run_program
from research.mlp.task import fit_to, predictions

RNG = np.random.default_rng(0)


def nets(config, count):
    """A config with its loss, data, facts, and params of a few nets that were not trained."""
    problem = make_problem(config)
    init = jax.jit(problem.task.init)
    some = [init(problem.shared, HParams(), jax.random.key(seed)).params for seed in range(count)]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *some)
    return fit_to(config, problem.shared), problem.shared, problem.facts, params


def mean_of(config, shared, params, x):
    return jax.vmap(lambda one: predictions(config, shared, one, x))(params).mean(axis=0)


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
    for rows in (1, 7, len(shared.test.x)):
        x = np.asarray(shared.test.x[:rows])
        expected = mean_of(config, shared, params, x)
        np.testing.assert_allclose(run_program(program, x), expected, rtol=1e-5, atol=1e-6)


@pytest.fixture(params=[1, 2], ids=["min-category-1", "min-category-2"])
def table(tmp_path, request):
    """A table of words, numbers and gaps, and a net for it."""
    rows = 60
    frame = pd.DataFrame(
        {
            "city": RNG.choice(["Ulm", "Bonn", ""], rows),
            "age": np.where(RNG.random(rows) < 0.2, "", RNG.integers(18, 90, rows).astype(str)),
            "seconds": 1_700_000_000 + RNG.integers(0, 1000, rows),
            "kind": np.arange(rows) % 3,
        }
    )
    frame.loc[:0, "city"] = "Kiel" if request.param > 1 else "Ulm"  # a category of its own
    frame.to_csv(tmp_path / "table.csv", index=False)
    data = {"data": str(tmp_path / "table.csv"), "target": "kind"}
    config = Config(**data, hidden=(8,), batch_size=8, min_category=request.param)
    return tmp_path, *nets(config, 3)


def export_to(folder, config, shared, facts, params):
    folder.mkdir()
    (folder / "predict.jaxexport").write_bytes(make_program(config, shared, params))
    (folder / "schema.json").write_text(json.dumps(make_schema(config, facts)))
    shutil.copyfile(SCRIPT, folder / "predict.py")


def call(folder, table):
    """`predict.py` as a person calls it, in a process that cannot import the package."""
    command = [sys.executable, str(folder / "predict.py"), str(table)]
    hidden = "import sys; sys.modules['research'] = None; sys.argv = sys.argv[1:]; "
    hidden += "import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
    return subprocess.run(
        [command[0], "-c", hidden, *command[1:]], cwd="/", capture_output=True, text=True
    )


def test_a_table_is_encoded_as_in_training(table):
    folder, config, shared, facts, params = table
    export_to(folder / "export", config, shared, facts, params)
    done = call(folder / "export", folder / "table.csv")
    assert done.returncode == 0, done.stderr
    (folder / "out.csv").write_text(done.stdout)
    found = pd.read_csv(folder / "out.csv")
    assert found.columns[0] == "kind"
    assert len(found) == 60
    for part in ("train", "validation", "test"):
        expected = mean_of(config, shared, params, getattr(shared, part).x)
        given = found.iloc[facts["rows"][part], 1:].to_numpy()
        np.testing.assert_allclose(given, expected, atol=2e-6)
        names = np.array(facts["classes"])[expected.argmax(axis=1)]
        assert found["kind"][facts["rows"][part]].astype(str).tolist() == names.tolist()


def test_what_the_net_does_not_know_is_told(table):
    folder, config, shared, facts, params = table
    export_to(folder / "export", config, shared, facts, params)
    frame = pd.read_csv(folder / "table.csv")
    frame.loc[5, "city"] = "Rome"
    frame.to_csv(folder / "other.csv", index=False)
    done = call(folder / "export", folder / "other.csv")
    if config.min_category == 1:
        assert done.returncode == 2
        says = "line 7, column city: 'Rome' is no category that the net knows"
        assert done.stderr == f"error: {folder / 'other.csv'}, {says}\n"
    else:
        assert done.returncode == 0, done.stderr
    frame.drop(columns="age").to_csv(folder / "other.csv", index=False)
    done = call(folder / "export", folder / "other.csv")
    assert done.stderr == "error: the table has no column age\n"


def test_the_schema_is_json_and_names_all_features(table):
    _, config, _, facts, _ = table
    schema = json.loads(json.dumps(make_schema(config, facts)))
    assert [column["name"] for column in schema["columns"]] == ["city", "age", "seconds"]
    assert schema["features"] == facts["features"]
    unknown = dataclasses.replace(config, min_category=5)
    assert make_schema(unknown, facts)["columns"][0]["unknown"]
