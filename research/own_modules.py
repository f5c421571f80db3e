"""Imports files of Python that the user wrote, outside of any package."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


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
