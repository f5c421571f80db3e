"""What the README shows runs, and what it names is there."""

import re
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", CODE, ids=["sweep", "workload"])
def test_its_python_runs(code, tmp_path, monkeypatch, capsys):
    """For fewer steps than it shows."""
    code = code.replace("300", "20")
    monkeypatch.chdir(tmp_path)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # JAX's own
        exec(code, {"__name__": "__main__"})
    settings = re.findall(r"^([\d.]+) ", capsys.readouterr().out, re.MULTILINE)
    assert settings in (["0.001", "0.010"], ["0.01", "0.10", "0.50"])


def test_the_first_sweep_and_a_new_task_are_as_short_as_it_says():
    sweep, workload = CODE
    assert len(sweep.strip().splitlines()) <= 10
    lines = [line for line in workload.splitlines() if line.strip()]
    assert len(lines) < 40


def test_the_files_it_names_exist():
    """A file that stands indented is one of the folder above it."""
    folder, files = ROOT, 0
    for indent, name in re.findall(r"^( {2})?(\S+/\S*|\w+\.py) {2,}\S", README, re.MULTILINE):
        path = folder / name if indent else ROOT / name
        folder = folder if indent else path
        assert path.exists() or name.startswith("runs/"), name
        files += 1
    assert files > 20


def test_every_command_it_shows_starts_a_script_that_exists():
    commands = re.findall(r"^scripts/(\w+)(?: (\S+\.py))?", README, re.MULTILINE)
    assert len(commands) >= 5
    for script, file in commands:
        assert (ROOT / "scripts" / script).is_file()
        assert not file or (ROOT / file).is_file()
