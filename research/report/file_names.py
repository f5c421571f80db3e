"""Words from run folders, made fit for the names of files."""

import re

MOST_LETTERS = 80


def file_name(text: str) -> str:
    """Letters, figures, dots and hyphens; short, and no path."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:MOST_LETTERS]
