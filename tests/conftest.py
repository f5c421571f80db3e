"""Eight CPU devices, strict types and shapes, and one compilation cache for the session."""

import gc
import importlib.metadata
import os
import platform
import shutil
import signal
import tempfile
from typing import Any

# Tests compile hundreds of small programs and run each for moments: without optimizing, then.
# Most of what is left is spent on fused kernels, by emitters whose switch has another name since
# JAX 0.11. Without those, whether a product and a sum are rounded once or twice hangs on the loops
# around them, so bits hold only where no instruction does both at once, as in AVX. Another
# XLA_FLAGS is left as it is; empty compiles as a sweep does.
if "XLA_FLAGS" not in os.environ:
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    flags += " --xla_cpu_parallel_codegen_split_count=1"
    if platform.machine() == "x86_64":
        before_0_11 = importlib.metadata.version("jaxlib").startswith("0.10.")
        flags += " --xla_cpu_max_isa=AVX" + (
            " --xla_cpu_use_fusion_emitters=false"
            if before_0_11
            else " --xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters=true"
        )
    os.environ["XLA_FLAGS"] = flags

gc.set_threshold(200_000, 20, 20)  # tracing makes many objects and few cycles

import jax
import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

from research.engine import lanes
from research.engine.compiling import forget_programs
from research.engine.one_run import forget_traces

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


# Fixtures that several folders share: small sweeps that recipes train, and run folders by hand.
pytest_plugins = ["tests.sweeps", "tests.run_folders"]

ALONE = ("flags", "bad_flags", "defaults")  # tests of recipes that share no sweep
APART = ("kills", "distributed")  # each test takes long, in processes of its own


class _ByFile(LoadScopeScheduling):
    """Runs all tests of a file in one worker, and all tests of recipes and tools in one, which
    share sweeps and programs. Tests that take long and share nothing begin first, each in any
    worker: at the end, one worker would wait for the other."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.endswith(tuple(f"test_{name}.py" for name in APART)):
            return nodeid
        alone = file.endswith(tuple(f"test_{name}.py" for name in ALONE))
        shares = file.startswith("tests/experiments/") or "/tools/" in file
        return "sweeps" if shares and not alone else file

    def _assign_work_unit(self, node: Any) -> None:
        if first := next((scope for scope in self.workqueue if "::" in scope), None):
            self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config, log):
    return _ByFile(config, log)


def pytest_addoption(parser):
    group = parser.getgroup("accelerators")
    group.addoption("--accelerators", action="store_true", help="compile for a GPU and a TPU, only")
    group.addoption("--write", action="store_true", help="rewrite what that is compared with")


def pytest_collection_modifyitems(config, items):
    """Leaves out what compiles for accelerators, or everything else: it takes a quarter of an hour
    and environments of its own."""
    wanted = config.getoption("--accelerators")
    chosen = [item for item in items if bool(item.get_closest_marker("accelerators")) == wanted]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


def pytest_configure(config):
    """Gives the session a compilation cache, shared by its workers and the processes that tests
    start. It is removed at the end, so that no test depends on an earlier session."""
    config.addinivalue_line(
        "markers", "accelerators: compiles for a GPU or TPU; see --accelerators"
    )
    if not hasattr(config, "workerinput"):  # workers inherit the environment
        folder = tempfile.mkdtemp(prefix="seedbed-tests-")  # with mode 0700: it holds code
        os.environ["SEEDBED_CACHE"] = folder
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"  # which code was named
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    jax.config.update("jax_compilation_cache_dir", os.environ["SEEDBED_CACHE"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


MOST_MEMORY = 2**30  # bytes that a worker may hold when a module ends and keep its programs


@pytest.fixture(autouse=True, scope="module")
def _forget_programs():
    """Frees compiled programs once a worker has grown large. Until then they are kept, since
    modules share many, and compiling one takes longer than most tests."""
    yield
    if psutil.Process().memory_info().rss < MOST_MEMORY:
        return
    forget_traces()
    forget_programs()


@pytest.fixture
def default_hangup():
    """Gives SIGHUP its default effect, even where the tests run under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def narrow_at_once():
    """Compiles a narrower program as soon as runs fit it, however little that saves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(lanes.MIN_SAVED, "cpu", 0.0)
        yield


@pytest.fixture
def one_device():
    """A single device, for what should not be sharded."""
    return jax.local_devices()[:1]
