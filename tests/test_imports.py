"""Tests of the architecture: imports go down, from what a user types to what a run is, and never
back up; class names are unique; everything public has a docstring."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
RESEARCH = ROOT / "research"
WORKLOADS = ("mlp", "dqn", "lm")
# What each folder of `research/` may import of the others; the files beside them are for all.
MAY_IMPORT = {
    **{workload: set() for workload in WORKLOADS},
    "engine": set(),
    "accelerators": {"engine"},
    "runs": {"engine"},
    "report": {"engine", "runs"},
    "cli": {"engine", "runs", "report", "accelerators"},
    "benchmark": {"engine", "runs", "cli", "accelerators", *WORKLOADS},
}
# What looks at the run folders of one workload lives with it, and may import what reads them.
LOOKS_AT_RESULTS = ("tools", "views")
MAY_LOOK = {"report", "runs", "cli"}
RECIPES = {"dqn.py", "pqn.py", "mlp.py", "lstm_lm.py"}
FILES_AND_SCREENS = {"io", "os", "pathlib", "shutil", "subprocess", "sys", "tempfile", "rich"}
PRINTING = {"research.console", "research.streams"}


def modules(folder):
    """Its modules; templates are to be copied, and are none."""
    elsewhere = {"__pycache__", "templates"}
    return sorted(path for path in folder.rglob("*.py") if not elsewhere & {*path.parts})


def imported(path):
    """The full names of everything that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def folders_of(names):
    """The folders of `research/` that the names are in."""
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "research" and part[1] in MAY_IMPORT}


def test_every_folder_has_its_place():
    folders = {path.parent.name for path in RESEARCH.glob("*/__init__.py")}
    assert folders | {path.parent.name for path in RESEARCH.glob("*/*.py")} == set(MAY_IMPORT)


def looks_at_results(path):
    """Whether a module is one of a workload's tools or views."""
    workload, inside, *_ = path.relative_to(RESEARCH).with_suffix("").parts
    return workload in WORKLOADS and inside in LOOKS_AT_RESULTS


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_no_import_goes_up(folder):
    """Hence no workload imports another, and the report imports no workload and no command line."""
    for path in modules(RESEARCH / folder):
        may = MAY_IMPORT[folder] | (MAY_LOOK if looks_at_results(path) else set())
        found = folders_of(imported(path)) - may - {folder}
        assert not found, f"{path.relative_to(RESEARCH)} imports {sorted(found)}"


@pytest.mark.parametrize("workload", WORKLOADS)
def test_workloads_do_not_import_their_tools_and_views(workload):
    """Tools and views import their workload, never the other way round."""
    above = [f"research.{workload}.{name}" for name in LOOKS_AT_RESULTS]
    for path in modules(RESEARCH / workload):
        if not looks_at_results(path):
            found = [name for name in imported(path) if name.startswith(tuple(above))]
            assert not found, f"{path.relative_to(RESEARCH)} imports {found}"


def test_experiments_holds_recipes_only():
    """Also those that a user has added, see `scripts/new-experiment`."""
    here = {path.name for path in (ROOT / "experiments").iterdir()} - {"__pycache__"}
    assert here >= {*RECIPES, "README.md", "results"}
    for name in here - {*RECIPES, "README.md", "results"}:
        assert "run_main(" in (ROOT / "experiments" / name).read_text(), name


def test_shared_modules_import_no_folder():
    """The exception is `python -m research`, which is the command line."""
    for path in {*RESEARCH.glob("*.py")} - {RESEARCH / "__main__.py"}:
        found = folders_of(imported(path))
        assert not found, f"{path.name} imports {sorted(found)}"


def test_the_engine_opens_no_file_and_prints_nothing():
    for path in modules(RESEARCH / "engine"):
        names = imported(path)
        tops = {name.split(".")[0] for name in names}
        assert not tops & FILES_AND_SCREENS, path.name
        assert not {name.rpartition(".")[0] for name in names} & PRINTING, path.name
        calls = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
        ]
        called = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
        assert not called & {"open", "print"}, path.name


def test_runs_prints_nothing():
    for path in modules(RESEARCH / "runs"):
        names = imported(path)
        assert "rich" not in {name.split(".")[0] for name in names}, path.name
        assert not {name.rpartition(".")[0] for name in names} & PRINTING, path.name


WRITING_CALLS = {"savefig", "write_text", "write_bytes", "to_csv", "write_table", "umask"}
WRITE_WHOLE = {
    "atomic.py": {"write_bytes"},
    "figures.py": {"savefig"},  # to what `whole_file` gives
    "mlp/export.py": {"to_csv"},  # in a folder for the moment
    "report/paper.py": {"savefig"},  # into memory
    "runs/run_folder.py": {"write_table"},  # into memory
}


def test_files_are_written_whole():
    """Through `research.atomic`, and nowhere is the umask changed."""
    for path in modules(RESEARCH):
        name = str(path.relative_to(RESEARCH))
        calls = [
            node.func for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ]  # fmt: skip
        found = {call.attr for call in calls} & WRITING_CALLS
        assert found <= WRITE_WHOLE.get(name, set()), f"{name} calls {sorted(found)}"


def test_the_package_imports_no_recipe_script_or_test():
    for path in modules(RESEARCH):
        tops = {name.split(".")[0] for name in imported(path)}
        assert not tops & {"experiments", "tests", "scripts"}, path


OF_EACH_WORKLOAD = {"Config", "HParams", "State", "Preset"}
OF_EACH_TOOL = {"Arguments"}


def definitions():
    """Everything public, as (module, class or function, whether it has a docstring)."""
    for path in modules(RESEARCH):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                yield path, node


def test_class_names_are_unique():
    places = {}
    for path, node in definitions():
        if isinstance(node, ast.ClassDef) and node.name not in OF_EACH_WORKLOAD | OF_EACH_TOOL:
            places.setdefault(node.name, []).append(path.name)
    assert not {name: files for name, files in places.items() if len(files) > 1}


def test_everything_public_has_a_docstring():
    """A method may rely on the docstring of a method of the same name in another class."""
    methods = [
        (f"{path.name}: {node.name}.{method.name}", method)
        for path, node in definitions()
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
    ]
    said = {method.name for _, method in methods if ast.get_docstring(method)}
    silent = [
        f"{path.name}: {node.name}" for path, node in definitions() if not ast.get_docstring(node)
    ]
    silent += [where for where, method in methods if method.name not in said]
    assert not silent


# What only one workload can say. The names of metrics, which tell what values they can have, are
# the field's: one file of the report has them.
OF_ONE_WORKLOAD = {
    *WORKLOADS, "pqn", "lstm", "roc", "confusion", "recall", "perplexity", "accuracy", "classifier",
    "classifiers", "predictions", "agent", "agents", "episode", "episodes", "animation",
    "animations", "corpus", "token", "tokens", "vocabulary",
}  # fmt: skip
METRICS = {"accuracy", "recall", "perplexity"}


def words_of(path):
    """The words of a file; of Python without its docstrings and comments."""
    text = path.read_text()
    if path.suffix == ".py":
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = ""
        text = ast.unparse(tree)
    return set(re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", text).lower()))


def test_the_report_knows_no_workload():
    files = [path for path in (RESEARCH / "report").rglob("*.*") if path.suffix != ".pyc"]
    assert len(files) > 30
    for path in files:
        allowed = METRICS if path.name == "metrics.py" else set()
        found = words_of(path) & OF_ONE_WORKLOAD - allowed
        assert not found, f"{path.relative_to(RESEARCH)} speaks of {sorted(found)}"
