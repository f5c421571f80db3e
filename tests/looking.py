"""What tests do with tools that look at run folders: they call them in this process, with a limit
of time, and change files in a folder."""

import contextlib
import importlib
import json
import signal

from research.errors import plain_exit

MOST_SECONDS = 60


@contextlib.contextmanager
def in_time():
    """Ends what waits, such as for a pipe."""

    def give_up(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def status_of(tool, folder, **given):
    """The exit status of a tool that looks at a folder."""
    module = importlib.import_module(f"research.{tool}")
    path = (str(folder),) if tool.endswith("report") else str(folder)
    try:
        with in_time(), plain_exit():
            module.main(module.Arguments(path, **given))
    except SystemExit as left:
        return left.code
    return 0


def rewrite(path, change):
    """Changes the content of a JSON file, in place or to what is returned."""
    content = json.loads(path.read_text())
    changed = change(content)
    path.write_text(json.dumps(content if changed is None else changed))
