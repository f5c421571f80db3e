"""Reports on run folders of any workload: statistics over seeds, tables, figures and a page."""

from research.report.loaded_run import LoadedRun, TrainedRun, load_run

__all__ = ["LoadedRun", "TrainedRun", "load_run"]
