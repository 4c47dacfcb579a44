"""The layouts of OpenType's tables, read once from `tables.layout`.

OpenType Specification 1.9.1; the notation is that of `notation.layout`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from tanken.notation.layout import Layout, parse_layout


@cache
def _layouts() -> dict[str, Layout]:
    return parse_layout(files(__package__).joinpath("tables.layout").read_text("ascii"), "tables.layout")


def layout(name: str) -> Layout:
    """The layout of the structure `name`."""
    return _layouts()[name]
