"""One process a device compiles all programs, while tests wait for what they ask for."""

import threading
from collections.abc import Collection
from typing import Any

import pytest

from research.accelerators.devices import read_device
from research.accelerators.elsewhere import run_elsewhere
from research.errors import UserError
from tests.accelerators.matrix import DEVICES, write_tables

PATIENCE = 600  # seconds that a program may take


class _Compiling:
    """The programs that a process compiles for one device, as they become known."""

    def __init__(self, device: str, names: Collection[str]):
        self.device, self.names, self.found, self.ended = device, names, {}, ""
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        ended = "it ended before"
        try:
            words = ["-m", "tests.accelerators.programs", self.device, *self.names]
            for facts in run_elsewhere(words, read_device(self.device)):
                with self.changed:
                    self.found[facts["name"]] = facts
                    self.changed.notify_all()
        except UserError as error:
            ended = str(error)
        with self.changed:
            self.ended = ended
            self.changed.notify_all()

    def wait_for(self, name: str) -> dict[str, Any]:
        """What a program needs; skips the test if the device's compiler is not there."""
        known = lambda: name in self.found or self.ended
        with self.changed:
            assert self.changed.wait_for(known, PATIENCE), f"{name} takes longer than {PATIENCE} s"
        if not self.found:
            pytest.skip(f"no compiler for {self.device}: {self.ended}")
        assert name in self.found, f"{self.device}: {self.ended}"
        return self.found[name]


@pytest.fixture(scope="session")
def compiled(request):
    """A function that gives what a program needs of a device. The devices' processes begin with the
    first test, side by side, and compile what the tests that are selected ask for."""
    names = {device: _asked(request.session.items, device) for device in DEVICES}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XLA_FLAGS", raising=False)  # those of the tests
        processes = {device: _Compiling(device, some) for device, some in names.items() if some}
        yield lambda device, name: processes[device].wait_for(name)
    found = {device: process.found for device, process in processes.items()}
    if request.config.getoption("--write") and any(found.values()):
        write_tables(found)


def _asked(items, device):
    """The programs that tests ask for of a device, in the order of the tests."""
    asked = [vars(item.callspec)["params"] for item in items if hasattr(item, "callspec")]
    mine = [one for one in asked if one.get("device") == device]
    return list(dict.fromkeys(one.get("name") or f"case {one['case']}" for one in mine))


@pytest.fixture
def writing(request):
    """Whether the tables are to be rewritten."""
    return request.config.getoption("--write")
