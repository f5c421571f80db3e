"""What `scripts/report` and `scripts/show` run."""
