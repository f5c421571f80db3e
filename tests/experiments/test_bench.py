"""scripts/bench."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from research.benchmark import ceilings, timing
from research.errors import UserError
from research.runs.session import usable_cores
from tests.benchmark.conftest import make_case


@pytest.fixture
def bench(load_script, monkeypatch):
    """The script, with ceilings and repeats that take no time."""
    monkeypatch.setattr(ceilings, "SIZES", (64,))
    monkeypatch.setattr(ceilings, "COPIED_BYTES", 2**16)
    monkeypatch.setattr(ceilings, "SECONDS", 1e-3)
    monkeypatch.setattr(timing, "SECONDS", 1e-3)
    return load_script("bench.py")


@pytest.fixture
def peers(load_script):
    return load_script("bench_peers.py")


@pytest.fixture
def digits(load_script):
    return load_script("bench_cases.py").mlp_digits("float32")


def test_it_measures_prints_writes_and_draws(bench, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(bench.CASES, "mlp-small", lambda precision: make_case())
    given = bench.Arguments(
        quick=True, cases=("mlp-small",), out=str(tmp_path / "out"), targets=False
    )
    path = bench.main(given)
    found = json.loads(path.read_text())
    (growth,) = found["growths"]
    assert (growth["case"], growth["precision"]) == ("product", "float32")
    assert [one["runs"] for one in growth["timings"]] == [1, 32]
    assert len(growth["timings"][0]["repeats"]) == 10
    assert found["machine"]["versions"]["jax"]
    assert path.with_suffix(".png").stat().st_size > 5_000
    out = capsys.readouterr().out
    assert "product, float32; rows/s without evaluation" in out
    bench.compare([str(path), str(path)])
    assert capsys.readouterr().out.count("alike") >= 2


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"cases": ("mpl",)}, "--cases mpl: there are mlp-small, mlp-digits"),
        ({"precisions": ("float64",)}, "--precisions float64: there are float32, bfloat16"),
        ({"runs": 0}, "--runs 0: must be at least 1"),
        ({"seconds": -1.0}, "--seconds -1: must be above 0"),
        ({"purejaxrl": "."}, "--purejaxrl: give --peers, an interpreter"),
        ({"purejaxrl": ".", "peers": "python3"}, r"--purejaxrl \.: holds no purejaxrl/dqn.py"),
    ],
)
def test_bad_input_is_named_before_anything_is_measured(bench, given, says):
    with pytest.raises(UserError, match=says):
        bench.main(bench.Arguments(**given))


def test_flags_are_what_is_measured(bench):
    given = bench.read_arguments(["--quick", "--cases", "mlp-small", "mlp-digits", "--no-targets"])
    assert given == bench.Arguments(quick=True, cases=["mlp-small", "mlp-digits"], targets=False)
    assert bench.read_arguments([]) == bench.Arguments()


@pytest.mark.slow
def test_a_profile_says_what_takes_long(bench, capsys):
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
    ],
)
def test_a_profile_of_nothing_is_refused(bench, words, says):
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
sys.argv = ["bench.py", *sys.argv[1:]]
sys.path.insert(0, {str(Path("experiments").resolve())!r})
runpy.run_module("bench", run_name="__main__")
"""


@pytest.mark.slow
def test_jax_flax_optax_and_chex_are_enough(tmp_path):
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


@pytest.mark.parametrize("name", ["mlp-small", "mlp-digits", "dqn-breakout", "lstm-char-128"])
def test_on_a_gpu_no_loop_of_training_waits_for_a_number(load_script, name):
    """XLA has the host look at such a number at every turn; a count that is known costs nothing."""
    case = load_script("bench_cases.py").CASES[name]("float32")
    task, shared = case.problem.task, case.problem.shared
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(task.init, shared, case.hparams, key)
    step = jax.jit(lambda state, key, t: task.step(shared, case.hparams, state, key, t))
    threefry = jax.export.DisabledSafetyCheck.custom_call("cu_threefry2x32_ffi")
    t = jax.ShapeDtypeStruct((), jax.numpy.int32)
    exported = jax.export.export(step, platforms=["cuda"], disabled_checks=[threefry])
    text = exported(state, key, t).mlir_module()
    for condition in re.findall(r"stablehlo\.while.*?cond \{(.*?)\} do", text, re.DOTALL):
        assert re.findall(r"stablehlo\.(\w+)", condition) == ["compare", "return"]


def test_comparing_takes_two_files_with_something_in_common(bench, tmp_path):
    with pytest.raises(UserError, match="give two files"):
        bench.compare(["one.json"])
    with pytest.raises(UserError, match=r"one\.json is no file of scripts/bench"):
        bench.compare([str(tmp_path / "one.json")] * 2)


@pytest.mark.parametrize(
    "name", ["mlp-small", "mlp-digits", "dqn-cartpole", "dqn-breakout", "lstm-char-128"]
)
def test_cases_have_the_size_that_their_names_say(load_script, peers, name):
    cases = load_script("bench_cases.py")
    make = cases.CASES[name]
    expected = {
        "mlp-small": 10 * 5 + 5 + 5 + 1,
        "mlp-digits": 64 * 128 + 128 + 128 * 10 + 10,
        "dqn-cartpole": 4 * 120 + 120 + 120 * 84 + 84 + 84 * 2 + 2,
        # A convolution of 16 channels, 128 units, 3 actions.
        "dqn-breakout": 9 * 4 * 16 + 16 + 8 * 8 * 16 * 128 + 128 + 128 * 3 + 3,
        "lstm-char-128": 65 * 128 + 2 * (8 * 128 * 128 + 4 * 128) + 128 * 65 + 65,
    }
    assert peers.count_params(make("float32")) == expected[name]


LOOP = """
import json, sys
print("hello")
print(json.dumps({"units_per_second": float(sys.argv[1]), "updates": 9, "batch": 64,
                  "params": int(sys.argv[2])}))
"""


@pytest.fixture
def loop(peers, tmp_path, monkeypatch):
    """A function that runs a made-up peer of the digits: params -> what is made of it."""
    (tmp_path / "loop.py").write_text(LOOP)
    monkeypatch.setattr(peers, "LOOPS", tmp_path)

    def run(case, params, script="loop.py", **changes):
        peer = peers.Peer("other", "json", (script, "10"), 64)._replace(**changes)
        return peers.run_peer(sys.executable, peer._replace(after=()), case, 2, params)

    return run


def test_all_processes_of_a_peer_are_counted(loop, digits):
    assert loop(digits, 9610) == 20


@pytest.mark.parametrize("changes", [{"batch": 32}, {"extra_params": 512}])
def test_a_peer_that_trains_something_else_is_refused(loop, digits, changes):
    with pytest.raises(UserError, match=r"other trains 9,610 params by batches of 64, and mlp"):
        loop(digits, 9610, **changes)


def test_a_peer_that_fails_is_named_with_what_it_said(loop, digits):
    with pytest.raises(UserError, match=r"other failed: .*can't open file|No such file"):
        loop(digits, 9610, script="missing.py")


@pytest.mark.slow
def test_scikit_learn_does_the_work_that_it_is_counted_for(peers, digits, tmp_path):
    """As a process, for a moment."""
    data = peers.write_examples(digits, str(tmp_path))
    (found,) = [one for one in peers.peers_of(digits, 1, data) if one.package == "sklearn"]
    assert peers.run_peer(sys.executable, found, digits, 1, 0.01) > 1_000
    assert peers.describe_work(found, digits) == "9,610 params, batch 64"


@pytest.mark.slow
def test_our_own_processes_are_timed_as_well(peers, digits):
    """Two at once, for a moment."""
    assert peers.run_ours(digits, 1, 2, 0.01) > 1_000


CORES = """
import json, os
print(json.dumps({"units_per_second": len(os.sched_getaffinity(0)), "updates": 1, "batch": 64,
                  "params": 9610}))
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no processes kept to cores here")
@pytest.mark.skipif(usable_cores() < 2, reason="a core cannot be split")
def test_processes_keep_to_cores_of_their_own(loop, digits, tmp_path):
    (tmp_path / "cores.py").write_text(CORES)
    assert loop(digits, 9610, script="cores.py") == usable_cores()


def test_purejaxrl_trains_its_share_of_the_runs_in_each_process(load_script, peers):
    case = load_script("bench_cases.py").dqn_cartpole("float32")
    names = [one.name for one in peers.peers_of(case, 1, Path("none"))]
    assert "purejaxrl" not in names
    *_, found = peers.peers_of(case, 1, Path("none"), "checkout", runs=4)
    assert (found.name, found.runs, found.apart) == ("purejaxrl", 4, True)
    assert found.loop == ("purejaxrl_loop.py", "checkout", "4")


def test_what_is_not_installed_is_told_apart(peers):
    assert peers.has_package(sys.executable, "json")
    assert not peers.has_package(sys.executable, "no_such_package")
