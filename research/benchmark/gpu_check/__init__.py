"""One command that measures what only a machine with an accelerator can tell."""
