"""Tests of the console command `seedbed`."""

import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from research.cli import seedbed

ROOT = Path(__file__).parents[2]
TOOLS = {tool.name: tool for tools in seedbed.TOOLS.values() for tool in tools}
IMPORTED = """
import sys
from research.cli.seedbed import main
main(["--help"])
print(*sys.modules)
"""


def test_help_lists_every_tool_under_its_heading_and_imports_none():
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True)
    *lines, modules = done.stdout.splitlines()
    assert not {"jax", "numpy", "tyro"} & set(modules.split())
    text = "\n".join(lines)
    assert "a script in the repository's experiments/" in text
    places = [text.index(f"{heading}:") for heading in seedbed.TOOLS]
    places += [text.index(f"  {tool.usage} ") for tool in TOOLS.values()]
    assert len(set(places)) == len(seedbed.TOOLS) + len(TOOLS)
    assert all(tool.help in text for tool in TOOLS.values())


def test_the_scripts_guide_lists_the_same_tools():
    text = (ROOT / "scripts" / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `scripts/(.*)` \| (.*) \| (.*) \|$", text, re.MULTILINE)
    listed = [
        (tool.usage, heading.lower(), tool.help)
        for heading, tools in seedbed.TOOLS.items()
        for tool in tools
    ]
    assert [(use, what.lower(), does) for use, what, does in rows if what != "the repository"] == (
        listed
    )


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_every_tool_is_a_script_and_a_module_that_runs(name):
    script, module = (ROOT / "scripts" / name).read_text("utf-8"), TOOLS[name].module
    assert f"-m {module} " in script
    run = importlib.import_module(module).run
    defaults = {name: one.default for name, one in inspect.signature(run).parameters.items()}
    assert defaults == {"argv": None, "prog": f"scripts/{name}"}


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_help_shows_the_name_a_tool_was_called_by(name, capsys):
    """Both the usage line and the examples show it."""
    with pytest.raises(SystemExit) as left:
        seedbed.main([name, "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: seedbed {name} ")
    assert text.count(f"seedbed {name}") >= 2
    assert f"scripts/{name}" not in text


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_help_names_what_a_flag_takes_and_no_default_that_is_none(name, capsys):
    """Neither a Python type, nor `(default: None)` beside what happens if it is not given."""
    with pytest.raises(SystemExit):
        seedbed.main([name, "--help"])
    text = " ".join(re.sub("[│\n]", " ", capsys.readouterr().out).split())
    assert not re.findall(r"\bSTR\b|\{None\}|\(default: (?:None|'')?\)", text)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("repot", "seedbed repot: no such subcommand; did you mean report?"),
        ("x", "seedbed x: no such subcommand; there are launch, new-experiment, bench"),
        ("--run", "seedbed --run: no such subcommand; "),
    ],
)
def test_an_unknown_subcommand_gives_a_one_line_error(name, says, capsys):
    with pytest.raises(SystemExit) as left:
        seedbed.main([name])
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {says}")
    assert err.count("\n") == 1


def test_the_package_installs_the_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, function = project["scripts"]["seedbed"].partition(":")
    assert getattr(importlib.import_module(module), function) is seedbed.main
    done = subprocess.run([sys.executable, "-m", "research"], capture_output=True, text=True)
    assert done.stdout.startswith("usage: seedbed ")
