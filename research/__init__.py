"""Seedbed: one compiled program trains every run of an experiment.

Read `task.py` first (what a run is), then `engine/` (how runs are trained), `runs/` (what is
trained when, and what is kept), `cli/` (what a user types) and `report/` (what is learnt). `mlp/`,
`dqn/` and `lm/` are workloads: a `Task` each, and the data it needs.
"""
