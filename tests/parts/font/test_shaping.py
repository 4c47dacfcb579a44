"""GSUB against HarfBuzz: fonts of Debian, and one made by fontTools' feature compiler that has every type of lookup, every form of context and all flags.

All fonts: `python -m tests.oracle.shaping`.
"""

import io
import logging
import random

import pytest
from tests.parts.font import fonts

for _module in ("uharfbuzz", "fontTools"):
    pytest.importorskip(_module, reason=f"no {_module} to compare with")
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString  # noqa: E402
from fontTools.ttLib import TTFont  # noqa: E402
from tests.oracle import shaping  # noqa: E402

from tanken.font import builder  # noqa: E402
from tanken.font.builder import Recipe  # noqa: E402
from tanken.font.face import Face, FontFile  # noqa: E402
from tanken.font.gsub import Gsub  # noqa: E402
from tanken.isa.charstring.text import assemble  # noqa: E402

NAMES = [*"abcdefghijklmnop", "f_i", "a_b", "x1", "x2", "x3", "x4", "acute", "grave", "dot"]
FEATURES = """
languagesystem DFLT dflt; languagesystem latn dflt; languagesystem latn TRK;
@marks = [acute grave dot]; @low = [a b c d]; @mid = [e f g h];
table GDEF { GlyphClassDef [a b c d e f g h i j k l m n o p x1 x2 x3 x4], [f_i a_b], @marks, ; } GDEF;
markClass acute <anchor 0 0> @TOP; markClass grave <anchor 0 0> @TOP; markClass dot <anchor 0 0> @LOW;
lookup one { sub a by x1; sub b by x2; sub c by x3; } one;
lookup many { sub d by x1 x2 x3; sub e by x4 x4; } many;
lookup join { sub f i by f_i; sub a b by a_b; sub x1 x2 x3 by x4; } join;
feature ss01 { sub a' lookup one b' lookup one c; sub a' lookup one; } ss01;
feature ss02 { sub @low @mid' lookup many @low; ignore sub a b' c; sub [a b] b' lookup one [c d]; } ss02;
feature ss03 { sub f' lookup join i'; sub d' lookup many a' lookup one b' lookup one; sub a' lookup join b' c' lookup one; } ss03;
feature ss04 { rsub [a b] c' [d e] by x3; rsub a' by x1; rsub b' x3 by x2; } ss04;
feature liga { lookupflag IgnoreMarks; sub f i by f_i; sub a b by a_b; sub a c e by x4; } liga;
feature ss05 { lookupflag MarkAttachmentType @TOP; sub a acute by x1; sub b acute grave by x2; sub a b by a_b; } ss05;
feature ss06 { lookupflag UseMarkFilteringSet [dot]; sub a dot by x1; sub a b by a_b; } ss06;
feature ss07 { lookupflag IgnoreLigatures; sub a b by x1; sub f i by x2; } ss07;
feature ss08 { lookupflag IgnoreBaseGlyphs; sub acute grave by dot; } ss08;
feature ss09 { sub d by x1 x2 x3; sub g by NULL; } ss09;
feature ss10 { sub a from [x1 x2 x3]; } ss10;
feature locl { script latn; language TRK; sub i by x4; } locl;
feature ccmp { lookupflag IgnoreMarks; sub a' lookup one b' lookup many_ e' ; } ccmp;
""".replace("lookup many_ ", "")


def made(features: str = FEATURES) -> Face:
    count = len(NAMES) + 1
    table = builder.cff(Recipe([assemble("endchar")] * count, names=NAMES))
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    font = TTFont(io.BytesIO(builder.opentype(table, [500] * count, {97 + i: 1 + i for i in range(16)})))
    addOpenTypeFeaturesFromString(font, features)
    out = io.BytesIO()
    font.save(out)
    return FontFile(out.getvalue(), "made").face()


def test_every_type_of_lookup_every_context_and_all_flags() -> None:
    face = made()
    kinds = {lookup.kind for lookup in face.gsub.lookups}
    assert kinds >= {1, 2, 3, 4, 6, 8} and face.gsub.gdef.mark_sets and face.gsub.gdef.attachments
    shaper, rng = shaping.Shaper(face.file.data), random.Random(1)
    for feature in sorted({name for name, _ in face.gsub.features}):
        for language in ("", "TRK"):
            for _ in range(150):
                line = [rng.randint(1, len(NAMES)) for _ in range(rng.randint(1, 9))]
                assert face.gsub.apply(line, [feature], "latn", language)[0] == shaper.line(line, feature, "Latn", language), (feature, line)
    assert shaping.differing(face.file.data, 0, face.gsub, 30)[1] == []


def u16(*values: int) -> bytes:
    return b"".join((value & 0xFFFF).to_bytes(2, "big") for value in values)


def context_table(form: int, chained: bool) -> bytes:
    """A context or chained context of format 1 or 2: `2 3 4` in the context `1 _ 5` has its second glyph become 9; written by hand, fontTools writes format 3."""
    coverage = u16(1, 1, 2)
    sides = (u16(1, 1), u16(3, 3, 4), u16(1, 5)) if chained else (b"", u16(3, 1, 3, 4), b"")
    rule = b"".join(sides) + (u16(1, 1, 1) if chained else u16(1, 1))
    rules = u16(1, 4) + rule
    if form == 1:
        return u16(1, 8, 1, 8 + len(coverage)) + coverage + rules
    classes = u16(1, 1, 5, 1, 2, 3, 4, 5)  # each glyph its own class
    head = 12 + 2 * 3 if chained else 8 + 2 * 3
    places = [head + len(coverage)] * (3 if chained else 1)
    at = head + len(coverage) + len(classes)
    return u16(2, head, *places, 3, 0, 0, at)[: head] + coverage + classes + rules


@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("form", [1, 2])
def test_contexts_by_glyphs_and_classes(form: int, chained: bool) -> None:
    lookups = [(6 if chained else 5, context_table(form, chained)), (1, u16(2, 8, 1, 9) + u16(1, 1, 3))]
    body, offsets = b"", list[int]()
    for kind, table in lookups:
        offsets.append(2 + 2 * len(lookups) + len(body))
        body += u16(kind, 0, 1, 8) + table
    scripts, features = u16(1) + b"DFLT" + u16(8, 4, 0, 0, 0xFFFF, 1, 0), u16(1) + b"test" + u16(8, 0, 1, 0)
    at = 10 + len(scripts) + len(features)
    table = u16(1, 0, 10, 10 + len(scripts), at) + scripts + features + u16(len(lookups), *offsets) + body
    count = 12
    data = builder.opentype(builder.cff(Recipe([assemble("endchar")] * count)), [500] * count, {97: 1}, more={"GSUB": table})
    gsub, shaper = Gsub(table), shaping.Shaper(data)
    assert gsub.apply([1, 2, 3, 4, 5], ["test"])[0] == [1, 2, 9, 4, 5]
    rng = random.Random(form)
    for _ in range(200):
        line = [rng.randint(1, 6) for _ in range(rng.randint(1, 5))]
        line[rng.randint(0, len(line)) :] = [1, 2, 3, 4, 5][: rng.choice((4, 5, 5))]
        assert gsub.apply(line, ["test"])[0] == shaper.line(line, "test", "Latn", "")


@pytest.mark.parametrize("name", ["lmroman10-regular", "texgyretermes-regular", "NotoSansCJK-Regular"])
def test_debian_fonts(name: str) -> None:
    face = fonts.file(name).face()
    count, found = shaping.differing(fonts.path(name).read_bytes(), 0, face.gsub, 6)
    assert found == [] and count > 100


def test_damaged_tables_end() -> None:
    face = made()
    table, gdef = face.table("GSUB"), face.table("GDEF")
    for number in range(60):
        rng = random.Random(number)
        data = bytearray(table)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 255, rng.randrange(256)))
        gsub = Gsub(bytes(data), gdef)
        gsub.apply([rng.randint(1, 24) for _ in range(12)], {name for name, _ in gsub.features})
        assert sum(1 for _ in gsub.edges()) >= 0
