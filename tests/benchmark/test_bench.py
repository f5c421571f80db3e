"""Tests of `scripts/bench`: its flags, its output and its errors."""

import json
import subprocess
import sys

import pytest

from research.benchmark import bench, ceilings, growth, timing, turns
from research.errors import UserError
from tests.benchmark.conftest import make_case


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    """Makes ceilings and repeats so short that they take no time."""
    monkeypatch.setattr(ceilings, "SIZES", (64,))
    monkeypatch.setattr(ceilings, "COPIED_BYTES", 2**16)
    monkeypatch.setattr(ceilings, "SECONDS", 1e-3)
    monkeypatch.setattr(timing, "SECONDS", 1e-3)


def test_it_measures_prints_writes_and_draws(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(bench.CASES, "mlp-small", lambda precision: make_case())
    given = bench.Arguments(
        quick=True, cases=("mlp-small",), out=str(tmp_path / "out"), targets=False
    )
    path = bench.main(given)
    found = json.loads(path.read_text())
    (growth,) = found["growths"]
    assert (growth["case"], growth["precision"]) == ("product", "float32")
    assert [one["runs"] for one in growth["timings"]] == [1, 32]
    assert len(growth["timings"][0]["repeats"]) == 5
    assert growth["timings"][0]["making"]["cached"] is None
    assert found["machine"]["versions"]["jax"]
    assert path.with_suffix(".png").stat().st_size > 5_000
    out = capsys.readouterr().out
    assert "product, float32; rows/s without evaluation" in out
    assert "how long programs take that come from the cache was left out" in " ".join(out.split())
    bench.compare([str(path), str(path)])
    assert capsys.readouterr().out.count("alike") >= 2


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"cases": ("mpl",)}, "--cases mpl: there are mlp-small, mlp-digits"),
        ({"precisions": ("float64",)}, "--precisions float64: there are float32, bfloat16"),
        ({"runs": 0}, "--runs 0: must be at least 1"),
        ({"seconds": -1.0}, "--seconds -1: must be above 0"),
        ({"purejaxrl": "."}, "--purejaxrl .: give --peers, an interpreter"),
        ({"purejaxrl": ".", "peers": "python3"}, r"--purejaxrl \.: holds no purejaxrl/dqn.py"),
    ],
)
def test_bad_input_is_named_before_anything_is_measured(given, says):
    with pytest.raises(UserError, match=says):
        bench.main(bench.Arguments(**given))


def test_flags_choose_what_is_measured():
    given = bench.read_arguments(["--quick", "--cases", "mlp-small", "mlp-digits", "--no-targets"])
    assert given == bench.Arguments(quick=True, cases=["mlp-small", "mlp-digits"], targets=False)
    assert bench.read_arguments([]) == bench.Arguments()


def test_quick_baselines_take_seconds_and_seconds_can_be_given():
    effort = lambda *words: bench.effort_of(bench.read_arguments(words))
    assert effort() == turns.Effort()
    assert effort("--quick") == turns.QUICK_EFFORT
    assert turns.QUICK_EFFORT.turns * turns.QUICK_EFFORT.seconds <= 1  # of some 10 s of set-up
    assert effort("--quick", "--seconds", "3") == turns.QUICK_EFFORT._replace(seconds=3)


def test_beside_baselines_quick_measures_one_number_of_runs():
    limits = lambda *words: bench.limits_of(bench.read_arguments(words))
    assert limits() == bench.Limits()
    assert list(growth._numbers(limits("--quick"))) == [1, 32]
    assert list(growth._numbers(limits("--quick", "--peers", "python3"))) == [32]


@pytest.mark.slow
def test_a_profile_names_the_kernels_that_take_longest(capsys):
    bench.profile(["mlp-digits", "--runs", "2"])
    out = capsys.readouterr().out
    assert "mlp-digits, float32, 2 runs" in out
    assert "matrix products" in out
    assert "Dense_0/dot_general" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mpl"], "profile mpl: there are mlp-small"),
        (["mlp-small", "--precision", "int8"], "--precision int8: there are float32, bfloat16"),
        (["mlp-small", "--runs", "0"], "--runs 0: must be at least 1"),
        (["mlp-small", "--runs", "few"], "--runs few: not a whole number"),
        (["mlp-small", "--rums", "2"], "--rums: no such flag; did you mean --runs"),
    ],
)
def test_profile_without_a_known_case_is_refused(words, says):
    with pytest.raises(UserError, match=says):
        bench.profile(words)


# What the project needs and JAX, Flax, Optax and Chex do not bring.
ABSENT = (
    "gymnax", "jinja2", "matplotlib", "pandas", "platformdirs", "plotly", "pooch", "pyarrow",
    "safetensors", "six", "sklearn", "submitit", "tokenizers", "tyro",
)  # fmt: skip
ALONE = f"""
import importlib.util, runpy, sys
for name in {ABSENT}:
    sys.modules[name] = None
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *args: None if name in {ABSENT} else find_spec(name, *args)
from research.benchmark import ceilings, timing
ceilings.SIZES, ceilings.COPIED_BYTES, ceilings.SECONDS, timing.SECONDS = (64,), 2**16, 1e-3, 1e-3
runpy.run_module("research.benchmark.bench", run_name="__main__")
"""


@pytest.mark.slow
def test_it_runs_with_jax_flax_optax_and_chex_alone(tmp_path):
    words = ["--out", str(tmp_path), "--cases", "mlp-small", "--precisions", "float32",
             "--runs", "2", "--no-targets"]  # fmt: skip
    run = lambda *words: subprocess.run(
        [sys.executable, "-c", ALONE, *words], capture_output=True, text=True
    )
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "figure: none, matplotlib is not installed" in done.stdout.replace("\n", " ")
    (growth,) = json.loads((tmp_path / "bench.json").read_text())["growths"]
    assert growth["case"] == "mlp-small"
    refused = run("--cases", "dqn-cartpole")
    assert refused.returncode == 2
    assert "--cases dqn-cartpole: gymnax is not installed" in refused.stderr


def test_compare_needs_two_files_with_a_common_case(tmp_path):
    with pytest.raises(UserError, match="give two files"):
        bench.compare(["one.json"])
    with pytest.raises(UserError, match=r"one\.json is no file of scripts/bench"):
        bench.compare([str(tmp_path / "one.json")] * 2)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "new"):
        with pytest.raises(UserError, match=f"cannot write {out}/bench.json: .*another --out"):
            bench.check(bench.Arguments(out=str(out)))
    with pytest.raises(UserError, match="--cases mlp-small mlp-small: a value is given twice"):
        bench.check(bench.Arguments(cases=["mlp-small", "mlp-small"]))
