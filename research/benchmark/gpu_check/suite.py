"""Runs the goldens and the contract tests on the device, in a process of their own.

`tests/conftest.py` has tests run on the CPU, so it is left out, and the settings that it makes are
made by variables. Products have their highest precision, as tolerances of the tests expect.
"""

import importlib.util
import re
import sys
from collections.abc import Iterator

from research.benchmark.gpu_check.processes import ROOT, Found, Process

FILES = (
    "tests/mlp/test_task_update.py", "tests/lm/test_model.py", "tests/dqn/test_learner.py",
    "tests/mlp/test_task.py", "tests/dqn/test_task.py", "tests/lm/test_task.py",
)  # fmt: skip
CHOSEN = "pytorch or place_of or resuming or seeds_give or chunk_length or traced_once"
OPTIONS = ("-v", "--tb=line", "--noconftest", "-o", "filterwarnings=", "-p", "no:cacheprovider",
           "-p", "tests.lm.conftest", "-m", "not slow", "-k", CHOSEN,
           "--continue-on-collection-errors")  # fmt: skip
SETTINGS = {
    "XLA_FLAGS": "",
    "JAX_DEFAULT_MATMUL_PRECISION": "highest",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_DEBUG_KEY_REUSE": "1",
    "PYTEST_ADDOPTS": "",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}
_RESULT = re.compile(r"^(\S+::.+?) (PASSED|FAILED|ERROR)\b")


def run_suite(seconds: float, has_gymnax: bool) -> Iterator[Found]:
    """Yields the outcome of each test as it ends, until the time is over."""
    files = [file for file in FILES if has_gymnax or "/dqn/" not in file]
    if importlib.util.find_spec("pytest") is None or not (ROOT / files[0]).is_file():
        yield {"skipped": "goldens and contract tests: pytest and a checkout are needed"}
        return
    call = [sys.executable, "-m", "pytest", *OPTIONS, *files]
    process, said, count = Process(call, SETTINGS, seconds, ROOT), [], 0
    for line in process.lines():
        said.append(line.rstrip())
        if found := _RESULT.match(line):
            count += 1
            yield {"test": found[1], "right": found[2] == "PASSED"}
    if process.over:
        yield {"skipped": f"the rest of the tests: their {seconds:.0f} s were over"}
    elif process.status == 1 and count:  # tests failed; the last lines say why
        yield {"reasons": [line for line in said if line.startswith(("FAILED ", "ERROR "))]}
    elif process.status:
        reason = said[-1] if said else process.reason
        yield {"what": "pytest", "error": f"status {process.status}: {reason}",
               "traceback": "\n".join([*said[-30:], process.errors])}  # fmt: skip
