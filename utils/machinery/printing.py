"""Printed sentences that are longer than a line."""

import textwrap
from collections.abc import Mapping


def print_lines(text: str) -> None:
    """Print a sentence in lines of at most 100 columns; a path or a link stays in one piece."""
    print(textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False))


def say_left_out(reasons: Mapping[str, Exception], place: str) -> None:
    """Print which files of a place are no pictures, if any; `reasons`: why, by the file's name."""
    if not reasons:
        return
    names = list(reasons)
    shown = ", ".join(names[:5])
    if len(names) > 5:
        shown += f" and {len(names) - 5} more"
    print_lines(f"Left out of {place}: {shown}. The reason for the first: {reasons[names[0]]}")
