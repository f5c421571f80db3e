"""Numbers for the user to read."""

from collections.abc import Sequence


def human(number: float) -> str:
    """Three digits and a thousands letter: 12.3k, 4.56M, 789."""
    units: Sequence[str] = ("", "k", "M", "G", "T", "P")
    scale = 0
    while abs(number) >= 999.5 and scale < len(units) - 1:
        number, scale = number / 1000, scale + 1
    return f"{number:.3g}{units[scale]}"
