"""How fast a machine trains a task as the runs grow in number, and how fast it could. Knows the
engine and no workload."""
