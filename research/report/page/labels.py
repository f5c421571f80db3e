"""Words from run folders, made safe for a picture."""

import html


def plain(text: object) -> str:
    """Text that plotly, which reads a few HTML tags in its labels, shows as it is."""
    return html.escape(str(text), quote=False)
