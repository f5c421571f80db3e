"""One process a device compiles all programs, while tests wait for what they ask for."""

import threading
from typing import Any

import pytest

from research.accelerators.devices import read_device
from research.accelerators.elsewhere import run_elsewhere
from research.errors import UserError
from tests.accelerators.matrix import DEVICES

PATIENCE = 600  # seconds that a program may take


class _Compiling:
    """The programs that a process compiles for one device, as they become known."""

    def __init__(self, device: str):
        self.device, self.found, self.ended = device, {}, ""
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        ended = "it ended before"
        try:
            words = ["-m", "tests.accelerators.programs", self.device]
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
def compiled():
    """A function that gives what a program needs of a device. The devices' processes begin with the
    first test, side by side."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XLA_FLAGS", raising=False)  # those of the tests
        processes = {device: _Compiling(device) for device in DEVICES}
        yield lambda device, name: processes[device].wait_for(name)


@pytest.fixture
def writing(request):
    """Whether the tables are to be rewritten."""
    return request.config.getoption("--write")
