"""Words from run folders, made safe for a chart."""

import html

from research.plain_text import one_line


def plain(text: object) -> str:
    """Text that plotly, which reads a few HTML tags in its labels, shows as it is, in one line."""
    return html.escape(one_line(text), quote=False)
