"""Reports on run folders of any workload: statistics over seeds, tables, figures and a page."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from research.report.loaded_run import LoadedRun, TrainedRun, load_run

__all__ = ["LoadedRun", "TrainedRun", "load_run"]


def __getattr__(name: str) -> Any:
    """Imports what is asked for, and what it needs: the flags of a tool are read without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from research.report import loaded_run

    return getattr(loaded_run, name)
