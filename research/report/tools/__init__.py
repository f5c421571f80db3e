"""The tools that `scripts/report` and `scripts/show` start."""
