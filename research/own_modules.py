"""Imports files of Python that the user wrote, outside of any package."""

import hashlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

_HERE = str(Path(__file__).parent) + os.sep  # this package


def import_file(path: str | Path) -> ModuleType:
    """The module of a file, run once in a process. Modules beside it are found as Python itself
    would find them.

    Whatever the code raises is passed on.
    """
    file = Path(path).resolve()
    add_to_path(file.parent)
    name = f"_own_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for theirs
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def add_to_path(folder: str | Path) -> None:
    """Lets modules in a folder be imported, after those of all other places."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def describe_raised(error: Exception) -> str:
    """What an exception of the user's code says, in a line: its kind, the last place of that code
    in its traceback, and its message, or without one what raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = ([one for one in frames if _is_users(one.filename)] or frames)[-1]
    # The place of the call itself, or of Python's importer, says nothing; a syntax error says its.
    says_nothing = frame.filename.startswith((_HERE, "<")) or isinstance(error, SyntaxError)
    place = "" if says_nothing else f" at {frame.filename}:{frame.lineno}"
    said = str(error).strip().partition("\n")[0]
    if not said:
        said = f"{frame.line}" + (f", in {frames[-1].name}" if frames[-1] is not frame else "")
    return f"{type(error).__name__}{place}: {said}"


def _is_users(file: str) -> bool:
    return (
        "site-packages" not in file
        and not file.startswith((_HERE, "<"))
        and (os.sep + "lib" + os.sep + "python" not in file)
    )
