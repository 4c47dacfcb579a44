"""Fonts that tests use: those of Debian's packages, which `.ci/setup` installs.

A test whose font is missing is skipped, with the package that has it.
"""

from functools import cache
from pathlib import Path

import pytest
from tests.oracle import fonts

from tanken.font.face import FontFile

PACKAGES = {"lmroman10-regular": "fonts-lmodern", "texgyretermes-regular": "fonts-texgyre", "NotoSansCJK-Regular": "fonts-noto-cjk"}


@cache
def _path(name: str) -> Path | None:
    return next(iter(fonts.files(name)), None)


def path(name: str) -> Path:
    """The file of a font, without its ending; skips the test where it is missing."""
    found = _path(name)
    if found is None:
        pytest.skip(f"no {name} on this machine (apt-get install {PACKAGES[name]})")
    return found


@cache
def _file(name: str) -> FontFile:
    found = path(name)
    return FontFile(found.read_bytes(), str(found))


def file(name: str) -> FontFile:
    """The font, read once."""
    path(name)
    return _file(name)
