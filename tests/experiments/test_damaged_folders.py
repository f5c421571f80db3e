"""Run folders that are damaged or that somebody else has made, under all tools: each ends with
status 2 and one line, in moments; nothing is written or removed, in the folder or beside it."""

import json
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests.looking import rewrite, status_of

READERS = ("report.tools.report", "report.tools.show")
TOOLS = {
    "mlp": ("mlp.tools.evaluate", "mlp.tools.attack", "mlp.tools.explain", "mlp.tools.export"),
    "dqn": ("dqn.tools.watch",),
    "lm": ("lm.tools.sample", "lm.tools.perplexity"),
}


def manifest(**changes):
    return lambda folder: rewrite(folder / "manifest.json", lambda found: found | changes)


def without(name):
    return lambda folder: rewrite(folder / "manifest.json", lambda found: found.pop(name) and None)


def changed(change):
    return lambda folder: rewrite(folder / "manifest.json", change)


def text(name, content):
    def write(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)

    return write


def config(**changes):
    """A manifest with other values in its config, and in the labels of its groups."""

    def change(found):
        found["config"] |= changes
        for group in found["groups"]:
            group |= {name: changes[name] for name in changes if name in group}

    return changed(change)


def table(change):
    """Metrics in one file, as changed."""

    def write(folder):
        parts = sorted((folder / "metrics").glob("*.parquet"))
        whole = pa.concat_tables([pq.read_table(part) for part in parts])
        for part in parts:
            part.unlink()
        pq.write_table(change(whole), parts[0])

    return write


def column(name, make):
    """Metrics with a column replaced by what is made of its values."""

    def change(whole):
        place = whole.column_names.index(name)
        return whole.set_column(place, name, pa.array(make(whole[name].to_pylist())))

    return table(change)


def params(change, metadata=True):
    """Params of which each file is written anew, as changed."""

    def write(folder):
        for path in (folder / "params").iterdir():
            with safe_open(path, framework="numpy") as file:
                facts = file.metadata()
            facts = facts if metadata is True else metadata
            save_file(change(load_file(path)), path, facts)

    return write


def cut(pattern, keep):
    """Files of which only the beginning is left."""

    def write(folder):
        found = list(folder.glob(pattern))
        assert found
        for path in found:
            path.write_bytes(path.read_bytes()[:keep])

    return write


def predictions(change, facts=None):
    """Predictions as changed, with other metadata if it is given."""

    def write(folder):
        (path,) = sorted((folder / "evaluation").glob("predictions-*.safetensors"))[-1:]
        tensors = load_file(path)
        gone("evaluation/predictions-*")(folder)
        named = {"setting": '"s"', "classes": '["class_0", "class_1", "class_2"]'}
        save_file(change(tensors) or tensors, path, named if facts is None else facts)

    return write


def gone(pattern):
    def remove(folder):
        for path in folder.glob(pattern):
            path.unlink()

    return remove


def eight_bits(folder):
    """Params of a dtype that NumPy does not have."""
    facts = {"runs": "[0, 1, 2, 3, 4, 5]", "group": "0", "step": "60"}
    tensor = {"dtype": "F8_E4M3", "shape": [6, 1], "data_offsets": [0, 6]}
    header = json.dumps({"w": tensor, "__metadata__": facts}).encode()
    for path in (folder / "params").iterdir():
        path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(6))


def first(values, value):
    return [value, *values[1:]]


EVERYONE = [
    ("a list", text("manifest.json", "[]"), "holds no object"),
    ("cut short", cut("manifest.json", 100), "is damaged"),
    ("empty", text("manifest.json", ""), "is damaged"),
    ("not JSON", text("manifest.json", '{"format": NaN}'), "holds NaN"),
    ("nested", text("manifest.json", '{"a":' * 99_999), "nested too deeply"),
    ("no config", without("config"), "config: field required"),
    ("no hparams", without("hparams"), "hparams: field required"),
    ("no groups", without("groups"), "groups: field required"),
    ("no key metric", without("key_metric"), "key_metric: field required"),
    ("no seeds", manifest(seeds=[]), "seeds: list should have at least 1 item"),
    ("null results", manifest(results=None), "results: input should be a valid list"),
    ("a cost of words", manifest(results=[{"diverged": [], "cost": {"compile_seconds": "1"}}]),
     r"results\.0\.cost\.compile_seconds: input should be a valid number"),
    ("a speed without a number", manifest(results=[{"diverged": [], "throughput": {}}]),
     r"results\.0\.throughput\.steps_per_second: field required"),
    ("a clock of words", manifest(results=[{"diverged": [], "clock": [[1, "2"]]}]),
     r"results\.0\.clock\.0\.1: input should be a valid number"),
    ("groups that overlap", changed(lambda found: found["groups"][0].update(first_run=1)),
     r"groups\.0\.first_run: should be 0, not 1"),
    ("too many runs", changed(lambda found: found["groups"][0].update(runs=10**12)),
     r"groups\.0\.runs: input should be less than"),
    ("an unlabelled group", changed(lambda found: found["config_axes"].update(split=["a"])),
     r"groups\.0\.split: field required"),
    ("a metric that is a path", manifest(key_metric="../../x"), r"column \.\./\.\./x is missing"),
    ("metrics cut short", cut("metrics/*.parquet", 200), "metrics is damaged"),
    ("other columns", table(lambda _: pa.table({"x": [1]})), "column run is missing"),
    ("no rows", table(lambda whole: whole.slice(0, 0)), "has no metrics yet"),
    ("rows twice", table(lambda whole: pa.concat_tables([whole, whole])), "same run and step"),
    ("columns twice", table(lambda whole: whole.append_column("run", whole["run"])), "duplicate"),
    ("runs of nobody", column("run", lambda values: first(values, 99)), "a row is of run 99"),
    ("runs of words", column("run", lambda values: list(map(str, values))), "run holds string"),
    ("a step that is missing", column("step", lambda values: first(values, None)), "lacks a value"),
    ("steps before the first", column("step", lambda values: first(values, -1)), "out of range"),
    ("a seed for each row", column("seed", lambda values: list(range(len(values)))), "one seed"),
    ("work in lists", column("work", lambda values: [[value] for value in values]), "work holds l"),
]  # fmt: skip

OF_MLP = [
    ("another workload", manifest(workload="dqn"), "is a run folder of dqn, not of mlp"),
    ("a workload that is none", manifest(workload="../x"), r"is a run folder of \.\./x, not of"),
    ("a field too many", config(colour="red"), "has a field colour, which this version has not"),
    ("widths of words", config(hidden="red"), "no valid hidden"),
    ("widths that are none", config(hidden=[-1]), "each width must be at least 1"),
    ("widths in a list", config(hidden=[[8]]), r"--hidden \[8\]: must be a whole number"),
    ("a truth value", config(layer_norm="yes"), "--layer-norm yes: must be True or False"),
    ("flags of numbers", config(off=[3]), "no valid off"),
    ("another net", config(hidden=[9]), "it belongs to another configuration"),
    ("a net of 2 billion", config(hidden=[2**31 - 1]), "it belongs to another configuration"),
    ("other data", config(data="iris"), "--data iris is not what the runs of"),
    ("data that is no file", config(data="/dev/zero"), "--data /dev/zero: neither a file nor"),
    ("data of nobody", manifest(data=[]), "--data wine is not what the runs of"),
    ("params cut short", cut("params/*", 300), "is damaged or no safetensors file"),
    ("params of nothing", cut("params/*", 0), "is damaged or no safetensors file"),
    ("no params", gone("params/*"), "has no params of run"),
    ("params without facts", params(lambda tree: tree, None), "group: field required"),
    ("facts of words", params(lambda tree: tree, {"runs": '"x"', "group": "0", "step": "1"}),
     "runs: input should be a valid list"),
    ("facts that are no JSON", params(lambda tree: tree, {"runs": "{"}), "is damaged"),
    ("params of other runs", params(lambda tree: {k: v[:1] for k, v in tree.items()}), "of 6 runs"),
    ("params of half", params(lambda tree: {k: np.float16(v) for k, v in tree.items()}), "float16"),
    ("params in 8 bits", eight_bits, "damaged or no safetensors file: .*float8"),
    ("params of another net", params(lambda tree: {"x/y": np.zeros((6, 1))}), "not (be )?in"),
]  # fmt: skip

OF_LM = [
    ("vocabulary list", text("vocabulary-0.json", "[]"), "all of it: input should be"),
    ("vocabulary of nothing", text("vocabulary-0.json", "{}"), "level: should be one of"),
    ("vocabulary of another level", text("vocabulary-0.json", '{"level": "byte"}'),
     "level: should be character, not byte"),
    ("symbols of numbers", text("vocabulary-0.json", '{"level": "character", "symbols": [1]}'),
     "symbols: should be words or characters"),
    ("symbols twice", text("vocabulary-0.json", '{"level": "character", "symbols": "aab"}'),
     "symbols: one is there twice"),
    ("other symbols", text("vocabulary-0.json", '{"level": "character", "symbols": "ab"}'),
     "it belongs to another configuration|--corpus text.txt: no such file"),
    ("words of letters", text("vocabulary-0.json", '{"level": "word", "symbols": ["a"]}'),
     "symbols: <eos> is missing"),
    ("byte pairs of nothing", text("vocabulary-0.json", '{"level": "bpe", "tokenizer": 3}'),
     "tokenizer: should be of"),
    ("no vocabulary", gone("vocabulary-*"), "no file .*vocabulary-0"),
    ("words in a corpus of letters", config(level="word"), "level: should be word"),
    ("no layers", config(hidden=[]), "give at least one layer"),
]  # fmt: skip

OF_DQN = [
    ("an environment of nobody", config(env="Nowhere-v9"), "Nowhere-v9"),
    ("a protocol of nobody", config(protocol="x"), "--protocol x: there are"),
    ("an algorithm of nobody", manifest(data=[{"algorithm": "x"}]), "only agents can be watched"),
    ("a hyper-parameter too many", changed(lambda found: found["hparams"].update(colour=1)),
     "lack the column colour"),
    ("one that is none", changed(lambda found: found["hparams"].update(seed=1)),
     "has a field seed, which this version has not"),
    ("a sampler of nobody", config(replay="x"), "--replay x: there are"),
]  # fmt: skip

OF_REPORTS = [
    ("mlp", "predictions cut short", cut("evaluation/predictions-*", 300), "predictions-.* is da"),
    ("mlp", "predictions without facts", predictions(lambda _: None, {}), "setting: field"),
    ("mlp", "predictions of classes that are none", predictions(
        lambda found: found | {"test_target": found["test_target"] + 7}), "test_target should be"),
    ("mlp", "predictions of fewer rows", predictions(
        lambda found: found | {"test": found["test"][:, 1:]}), "test is of the shape"),
    ("mlp", "predictions that are not finite", predictions(
        lambda found: found | {"test": found["test"] * np.nan}), "test should be finite"),
    ("mlp", "predictions of nothing", predictions(lambda _: {"x": np.zeros(1)}), "runs is missing"),
    ("lm", "samples of numbers", text("evaluation/samples.json", "[1]"), "samples.json is damaged"),
    ("lm", "samples without text", text("evaluation/samples.json", '[{"run": 1}]'), "of_seed: f"),
    ("lm", "a warm sample", text("evaluation/samples.json", json.dumps([{
        "run": 1, "of_seed": 1, "prompt": "", "temperature": "warm", "text": ""}])), "temperature"),
]  # fmt: skip

CASES = [
    *(("mlp", name, damage, says, (*READERS, *TOOLS["mlp"])) for name, damage, says in EVERYONE),
    *(("mlp", name, damage, says, TOOLS["mlp"]) for name, damage, says in OF_MLP),
    *(("lm", name, damage, says, TOOLS["lm"]) for name, damage, says in OF_LM),
    *(("dqn", name, damage, says, TOOLS["dqn"]) for name, damage, says in OF_DQN),
    *((sweep, name, damage, says, READERS[:1]) for sweep, name, damage, says in OF_REPORTS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sweep", "name", "damage", "says", "tools"), CASES, ids=[case[1] for case in CASES]
)
def test_a_damaged_folder_is_refused_in_one_line(
    copy, snapshot, load_script, capsys, sweep, name, damage, says, tools
):
    folder = copy(sweep)
    damage(folder)
    before = snapshot()
    capsys.readouterr()
    for tool in tools:
        assert status_of(tool, folder) == 2, tool
        err = capsys.readouterr().err
        assert err.startswith("error: "), tool
        assert err.count("\n") == 1, tool
        assert re.search(says, err), (tool, err)
    assert snapshot() == before


def test_a_corpus_that_is_gone_is_named_and_the_model_still_writes(copy, load_script, capsys):
    folder = copy("lm")
    config(corpus="/nowhere/text.txt")(folder)
    assert status_of("lm.tools.perplexity", folder) == 2
    assert "--corpus /nowhere/text.txt: no such file" in capsys.readouterr().err
    assert status_of("lm.tools.sample", folder, tokens=3) == 0


def test_a_pipe_in_the_place_of_data_is_not_waited_for(copy, load_script, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    folder = copy("mlp")
    config(data=str(tmp_path / "pipe"), target="x")(folder)
    assert status_of("mlp.tools.evaluate", folder) == 2
    assert "neither a file nor" in capsys.readouterr().err


STOPPED = {"status": "stopped"}
ORDERS = [
    ("no arguments", {"arguments": None}, "arguments: should be a list of words"),
    ("arguments of numbers", {"arguments": [1]}, "arguments: should be a list of words"),
    ("no command", {"command": ""}, "command: should be that of a recipe"),
    ("half a command", {"command": "mlp.py 'x"}, "command: should be that of a recipe"),
    ("another command", {"command": "/bin/\x1b]0;x\x07rm"}, "it was made by .*, not by mlp.py"),
    ("a file to write", {"arguments": ["--tyro-write-completion", "bash", "{victim}"]},
     "arguments: a flag of the parser"),
    ("help", {"arguments": ["--help"]}, "this version cannot read its arguments: --help"),
    ("unknown flags", {"arguments": ["--\x1b]0;x\x07"]}, "cannot read its arguments"),
    ("another preset", {"arguments": ["--preset", "\x1b["]}, "--preset"),
    ("other hyper-parameters", {"hparams": {}}, "is of another experiment: hparams is {} there"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "says"), ORDERS, ids=[case[0] for case in ORDERS])
def test_a_folder_gives_no_orders_when_it_is_resumed(
    copy, snapshot, answer, tmp_path, monkeypatch, name, changes, says
):
    monkeypatch.chdir(tmp_path)
    folder = copy("mlp")
    thesis = str(tmp_path / "victim" / "thesis")
    words = [word.replace("{victim}", thesis) if isinstance(word, str) else word
             for word in changes.get("arguments") or []]  # fmt: skip
    changes = changes | ({"arguments": words} if words else {})
    manifest(**STOPPED, **changes)(folder)
    before = snapshot()
    status, out, err = answer("mlp.py", "--resume it")
    assert (status, out) == (2, ""), err
    assert err.count("\n") == 1
    assert re.search(says, err)
    assert not set(err) & set("\x1b\x07")
    assert snapshot() == before


PLANS = [
    ("a group of nobody", lambda plan: plan["jobs"][0].update(group=7), "is of group 7"),
    ("runs of nobody", lambda plan: plan["jobs"][0]["runs"].append(900), "has others than runs"),
    ("too long", lambda plan: plan["jobs"][0].update(stop=10**9), "ends after step 60"),
    ("too wide", lambda plan: plan["jobs"][0].update(width=10**9), "runs wide"),
    ("no jobs", lambda plan: plan["jobs"].clear(), "6 of 6 runs are begun by no job"),
]


@pytest.mark.parametrize(("name", "change", "says"), PLANS, ids=[case[0] for case in PLANS])
def test_a_plan_of_other_runs_is_refused_when_it_is_resumed(
    copy, snapshot, answer, tmp_path, monkeypatch, name, change, says
):
    monkeypatch.chdir(tmp_path)
    folder = copy("mlp")
    manifest(**STOPPED)(folder)
    rewrite(folder / "plan.json", change)
    before = snapshot()
    status, out, err = answer("mlp.py", "--resume it")
    assert (status, out) == (2, ""), err
    assert err.count("\n") == 1
    assert re.search(rf"plan\.json is damaged: .*{says}", err)
    assert snapshot() == before
