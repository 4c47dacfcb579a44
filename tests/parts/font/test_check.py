"""What `check` finds: every pattern that the generator makes by its own rule, disagreeing tables, SARIF, PDFs; and that it never falls.

Files that are mutated by bytes: 150, and with TANKEN_FUZZ=seconds so many more as the time allows.
"""

import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

import pytest
from tests.oracle import mutants
from tests.parts.font import fonts

from tanken.base.errors import TankenError, UsageError
from tanken.font import builder, check, hostile, programs, sarif, unsafe
from tanken.font.face import FontFile
from tanken.font.layouts import layout
from tanken.font.problems import Problem
from tanken.isa.charstring.text import assemble

# findings about what stands around the programs: they have an offset, but no glyph, operator or stack
OF_STRUCTURE = {"index-offsize", "index-order", "index-first", "index-count", "private-outside", "subrs-overlap", "dict-loop", "overlap", "fdselect-order", "fdselect-fd",
                "fdselect-sentinel", "charset-range", "charset-sid", "dict-stack", "dict-operand", "dict-repeated"}  # fmt: skip


@pytest.mark.parametrize("bare", [False, True], ids=["opentype", "bare"])
@pytest.mark.parametrize("name", hostile.patterns())
def test_each_pattern_is_found_by_its_rule(name: str, bare: bool) -> None:
    pattern, data = hostile.patterns()[name], hostile.make(name, bare)
    assert len(data) < 1500
    reports = check.check(data, name)
    found = [problem for report in reports for problem in report.problems if problem.rule == pattern.rule]
    assert found, [problem.line() for report in reports for problem in report.problems]
    problem = found[0]
    assert 0 < problem.offset < len(data), problem
    if pattern.rule in OF_STRUCTURE:
        return
    assert problem.glyph == 1 and problem.operator and problem.stack >= 0, problem
    if pattern.rule in ("stack-underflow", "illegal-operator", "stack-overflow", "call-depth", "recursion", "subr-number", "index", "roll", "storage", "cost"):
        assert problem.level == "error"


def test_a_right_font_has_no_finding() -> None:
    recipe = hostile.glyph("100 hmoveto 50 hlineto 50 vlineto endchar")
    data = builder.opentype(builder.cff(recipe), [500] * 3, {65: 1, 66: 2})
    (report,) = check.check(data, "x")
    assert [problem.line() for problem in report.problems] == [] and {verdict.verdict for verdict in report.verdicts} == {"accepted"}
    assert report.level == "" and report.bounds["points"] == 4


@pytest.mark.parametrize(("levels", "calls"), [(9, 8), (9, 20), (10, 50)])
def test_bombs_get_an_exact_bound_at_once(levels: int, calls: int) -> None:
    """Counted by hand: each level calls the next `calls` times; the last one runs drop and return."""
    data = builder.cff(hostile.bomb(levels, calls, "1 drop"))
    began = time.process_time()
    face = FontFile(data, "bomb").face()
    from tanken.font.verifier import Proof

    bound = Proof(face.program()).bound(1)
    runs = [calls**level for level in range(levels)]
    assert bound.steps == sum(runs[1:]) + sum(runs) + runs[-1] + 3 and bound.nesting == levels
    assert time.process_time() - began < 1  # milliseconds; the limit is wide for busy machines


def test_debian_fonts_are_safe_and_clean() -> None:
    (report,) = check.check(fonts.path("lmroman10-regular").read_bytes(), "lm")
    assert report.level in ("", "note") and {verdict.verdict for verdict in report.verdicts} == {"accepted"}
    assert report.bounds["unknown"] == 0 if "unknown" in report.bounds else all(verdict.unknown == 0 for verdict in report.verdicts)


def changed(**tables: bytes) -> list[Problem]:
    recipe = hostile.glyph("100 hmoveto 50 hlineto 50 vlineto endchar")
    data = builder.opentype(builder.cff(recipe), [500] * 3, {65: 1, 66: 2}, more={name.replace("OS2", "OS/2"): data for name, data in tables.items()})
    return check.check(data, "x")[0].problems


# GSUB: feature test sends glyph 1 to glyph 99
SUBSTITUTION = bytes.fromhex("00010000000a001e002c" "0001 44464c54 0008" "0004 0000 0000 ffff 0001 0000" "0001 74657374 0008" "0000 0001 0000" "0001 0004 0001 0000 0001 0008"
                             "0002 0008 0001 0063 0001 0001 0001".replace(" ", ""))  # fmt: skip


def planted(top: Mapping[str, Sequence[int]] = {}, characters: Mapping[int, int] = {65: 1, 66: 2}, font_name: str = "Tanken", **more: bytes) -> list[Problem]:  # noqa: B006
    recipe = replace(hostile.glyph("100 hmoveto 50 hlineto 50 vlineto endchar"), top=top, font_name=font_name)
    return check.check(builder.opentype(builder.cff(recipe), [500] * 3, characters, more=more), "x")[0].problems


def test_matrices_of_font_dicts() -> None:
    """In a CID font the matrices of the Top DICT and of the font DICT are multiplied."""
    from tanken.font.agreement import in_pdf, matrices

    recipe = replace(hostile.glyph("100 hmoveto 50 hlineto endchar"), cid=True, top={"FontMatrix": [0.0005, 0, 0, 0.0005, 0, 0]})
    face = FontFile(builder.opentype(builder.cff(recipe), [500] * 3, {65: 1}, units=1000), "x").face()
    assert matrices(face.cff) == [0.0005] and any("0.5 thousandths" in line for line in in_pdf(face))
    assert "matrix" in {problem.rule for problem in check.check(face.file.data, "x")[0].problems}
    assert "matrix" not in {problem.rule for problem in check.check(builder.opentype(builder.cff(recipe), [500] * 3, {65: 1}, units=2000), "x")[0].problems}


def test_tables_that_disagree() -> None:
    post = {"version": 0x30000, "underlinePosition": -75, "underlineThickness": 50}
    head = {"major": 1, "magic": 0x5F0F3CF5, "unitsPerEm": 1000, "xMax": 1000, "yMax": 800, "yMin": -200}
    cases = {
        "glyph-count": changed(maxp=layout("maxp").pack({"version": 0x5000, "numGlyphs": 4})),
        "width": changed(hmtx=b"\1\xf4\0\0\2\xf4\0\0\1\xf4\0\0"),
        "matrix": changed(head=layout("head").pack({**head, "unitsPerEm": 2048})),
        "box": changed(head=layout("head").pack({**head, "xMax": 100})),
        "fixed-pitch": changed(post=layout("post").pack({**post, "isFixedPitch": 1})),
        "italic-angle": changed(post=layout("post").pack({**post, "italicAngle": -12})),
        "hmtx-short": changed(hmtx=b"\1\xf4\0\0"),
        "cmap-glyph": changed(cmap=builder._cmap({65: 1, 66: 99})),
        "name": changed(name=builder._names({6: "Other"})),
        "vertical": changed(vhea=bytes(36)),
        "units": changed(head=layout("head").pack({**head, "unitsPerEm": 0})),
        "metric-count": changed(hhea=layout("hhea").pack({"major": 1, "numberOfMetrics": 9})),
        "underline-thickness": planted({"UnderlinePosition": [-100], "UnderlineThickness": [90]}),
        "boxes-differ": planted({"FontBBox": [0, -500, 1000, 900]}),
        "name-letters": planted(font_name="a(b"),
        "weight": planted({"Weight": [384]}),  # the standard string Bold
        "encoding-cmap": planted({}, characters={65: 2, 66: 2}),
        "gsub-glyph": planted({}, GSUB=SUBSTITUTION),
    }
    for rule, problems in cases.items():
        (first, *_) = [problem for problem in problems if problem.rule == rule] or [None]
        assert first is not None, (rule, problems)
        assert first.readers or rule in ("vertical", "cmap-glyph", "gsub-glyph"), first
    underline = replace(hostile.glyph("0 hmoveto endchar"), top={"UnderlinePosition": [-100], "UnderlineThickness": [50]})
    for position, rules in ((-75, set()), (-100, {"underline-position"}), (-60, {"underline-position"})):
        data = builder.opentype(builder.cff(underline), [500] * 3, {65: 1}, more={"post": layout("post").pack({**post, "underlinePosition": position})})
        assert {problem.rule for problem in check.check(data, "x")[0].problems} & {"underline-position"} == rules


def test_the_unchecked_machine_is_overrun_and_check_refuses_the_font() -> None:
    for name, operator in (("stack-moved", "drop"), ("stack-moved-mm", "blend")):
        data = hostile.make(name)
        program = FontFile(data, name).face().lazy_program()
        report = unsafe.run(program, 1, enabled=True)
        assert report.overrun and report.return_address >> 16 == 0x4141 and any(write.word == unsafe.RETURN_ADDRESS for write in report.writes)
        (found,) = (problem for problem in check.check(data, name)[0].problems if problem.level == "error")
        assert found.operator == operator and data[found.offset :][:1] in (b"\x0c", b"\x10")
    with pytest.raises(UsageError, match="off"):
        unsafe.run(program, 1)
    assert not unsafe.run(FontFile(hostile.make("after-endchar"), "x").face().lazy_program(), 2, enabled=True).overrun


def test_sarif_names_rule_place_and_glyph() -> None:
    document = json.loads(sarif.document(check.check(hostile.make("overflow-49"), "a.otf")))
    (run,) = document["runs"]
    (result,) = run["results"]
    assert document["version"] == "2.1.0" and result["ruleId"] == "stack-overflow" and result["level"] == "error"
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"stack-overflow"}
    place = result["locations"][0]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "a.otf" and place["physicalLocation"]["region"]["byteOffset"] > 0
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "gid:1"


def test_mutated_files_are_classified_and_never_fall() -> None:
    until = time.monotonic() + float(os.environ.get("TANKEN_FUZZ", "0"))
    seeds = [hostile.make(name) for name in ("nesting-11", "fdselect-sentinel", "cff2-blend", "seac-recursion")]
    seeds.append(hostile.make("charset-range", bare=True))
    for number in count():
        if number >= 150 and time.monotonic() > until:
            break
        rng = random.Random(number)
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            kind, at = rng.random(), rng.randrange(len(data))
            if kind < 0.6:
                data[at] = rng.choice((0, 1, 0xFF, 0x7F, rng.randrange(256)))
            elif kind < 0.8:
                del data[at : at + rng.randint(1, 9)]
            elif kind < 0.9:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 9)))
            else:
                del data[at:]
            if not data:
                break
        try:
            check.check(bytes(data), "mutant")
        except TankenError as error:
            assert str(error)


def test_programs_mutated_and_proved() -> None:
    """No mutant that is proved safe exceeds its bound: `python -m tests.oracle.mutants` runs a million."""
    tally, found = mutants.campaign(8_000, 3)
    assert found == [] and tally["safe"] > 8_000 and tally["refused"] > 2_000 and tally["unknown"] <= 0.001 * tally["glyphs"]


def test_profiles_have_every_engine() -> None:
    names = [verdict.profile for verdict in check.check(hostile.make("nesting-11"), "x")[0].verdicts]
    assert names == ["specification", "freetype", "harfbuzz", "ots", "strict"] and programs.SHOWN
    verdicts = {verdict.profile: verdict.verdict for verdict in check.check(hostile.make("nesting-11"), "x")[0].verdicts}
    assert verdicts == {"specification": "rejected", "freetype": "accepted", "harfbuzz": "rejected", "ots": "rejected", "strict": "rejected"}
    assert assemble("endchar") == b"\x0e"
