"""Seedbed: one compiled program trains every run of an experiment.

Read `task.py` first (what a run is), then `sweep/` (how runs are run), then `report/`
(what is learnt). `mlp/` is a workload: a `Task` and the data it needs.
"""
