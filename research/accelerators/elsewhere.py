"""Runs a command in an environment that has the compiler of a device, and reads what it sends.

JAX is installed with the compiler of one platform only, so compiling for another takes a process
in an environment of its own. `scripts/run` sets that up, once: `.venv-cuda13` or `.venv-tpu`.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from research.accelerators.devices import EXTRAS, Device
from research.console import print_text
from research.errors import UserError

MARK = "sent: "  # begins the lines that are meant for the process that started this one
ROOT = Path(__file__).parents[2]
VARIABLE = "SEEDBED_COMPILES_FOR"  # the device that a process started here compiles for


def run_elsewhere(words: Sequence[str], device: Device) -> Iterator[dict[str, Any]]:
    """Yields what a command sends from the environment that has a device's compiler.

    Args:
      words: for `scripts/run`.
      device: what it is to compile for.

    Raises:
      UserError: if it fails, or there is no checkout of the repository; its last line says why.
    """
    extra, script = EXTRAS[device.platform], ROOT / "scripts" / "run"
    if not script.is_file():
        raise UserError(
            f"compiling for {device.name} needs a checkout of the repository: no {script}"
        )
    variables = {
        "SEEDBED_VENV": str(ROOT / f".venv-{extra}"),
        "SEEDBED_EXTRA": extra,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        VARIABLE: device.name,
        "JAX_PLATFORMS": "cpu",  # no device of the platform is there
        "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # compilers side by side: none takes a device
    }
    call = [str(script), *words]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,  # never full
        subprocess.Popen(
            call, env=os.environ | variables, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                yield json.loads(line.removeprefix(MARK))
        if process.wait():
            errors.seek(0)
            reason = (errors.read().strip().splitlines() or ["it ended without a word"])[-1]
            raise UserError(reason.removeprefix("error: "))


def asked_device() -> str | None:
    """Returns the device that `run_elsewhere` started this process for; None if it did not."""
    return os.environ.get(VARIABLE)


def send(facts: dict[str, Any]) -> None:
    """Sends facts, of JSON types, to the process that started this one."""
    print_text(MARK + json.dumps(facts))
