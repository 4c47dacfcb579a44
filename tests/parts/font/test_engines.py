"""The verdicts of profiles against the engines themselves: FreeType and the OpenType Sanitizer on every font that the generator makes.

What they must agree on is accepted or rejected; a verdict of unknown claims nothing. Accepted differences stand in the tables with their reason.
"""

import io
import tempfile

import pytest

from tanken.font import check, hostile

freetype = pytest.importorskip("freetype", reason="no freetype-py to compare with")
ots = pytest.importorskip("ots", reason="no opentype-sanitizer to compare with")

FREETYPE = {
    "dict-real": "FreeType reads the number up to the end of its 32 bytes",
    "index-computed": "FreeType takes a computed index for a syntax error, whatever it is",
    "computed-call": "FreeType takes every computed subroutine number for a syntax error",
}
OTS = {
    "index-computed": "OTS follows the numbers of the stack",
    "call-bomb": "OTS needs a second for it", "call-bomb-20": "OTS does not end",
    "no-moveto": "", "divide-by-zero": "OTS follows no quotients",
}  # fmt: skip


def verdict(name: str, profile: str) -> str:
    """What we say."""
    reports = check.check(hostile.make(name), name)
    return next((one.verdict for one in reports[0].verdicts if one.profile == profile), "rejected")


@pytest.mark.parametrize("name", [name for name in hostile.patterns() if name not in FREETYPE])
def test_freetype_says_the_same(name: str) -> None:
    said = verdict(name, "freetype")
    try:
        face = freetype.Face(io.BytesIO(hostile.make(name)))
        face.load_char("A", freetype.FT_LOAD_NO_SCALE)
        real = "accepted"
    except freetype.FT_Exception:
        real = "rejected"
    assert said in (real, "unknown")


@pytest.mark.parametrize("name", [name for name in hostile.patterns() if name not in OTS or not OTS[name]])
def test_ots_says_the_same(name: str) -> None:
    with tempfile.NamedTemporaryFile(suffix=".otf") as file:
        file.write(hostile.make(name))
        file.flush()
        real = "accepted" if ots.sanitize(file.name, capture_output=True).returncode == 0 else "rejected"
    assert verdict(name, "ots") in (real, "unknown")
