"""GSUB against HarfBuzz: lines of glyphs, made after the font's own lookups, through every feature, script and language of each font of this machine.

`python -m tests.oracle.shaping [PATTERN [LINES]]`: so many lines for each feature; a difference is listed, and the status is 1.
HarfBuzz is given glyphs, not characters: a character of a private plane for each, so that nothing but GSUB has a say.
"""

from __future__ import annotations

import mmap
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uharfbuzz

from tanken.font.gsub import Gsub
from tanken.font.lookups import Lookup, OfClass
from tanken.font.sfnt import directories
from tests.oracle import fonts

PLANE = 0xF0000
OFF = ("ccmp", "locl", "rlig", "liga", "clig", "calt", "rclt", "vert", "kern",
       "mark", "mkmk", "abvm", "blwm", "curs", "dist", "rvrn", "rand", "ltra", "ltrm", "frac", "numr", "dnom")
SCRIPTS = {"latn": "Latn", "hani": "Hani", "kana": "Kana", "cyrl": "Cyrl", "grek": "Grek"}  # those whose shaper does nothing of its own


class Shaper:
    """HarfBuzz, with a font of one character a glyph."""

    def __init__(self, data: bytes, face: int = 0) -> None:
        self.font = uharfbuzz.Font(uharfbuzz.Face(data, face))
        functions = uharfbuzz.FontFuncs()
        functions.set_nominal_glyph_func(lambda font, character, _: character - PLANE, None)
        self.font.funcs = functions

    def line(self, glyphs: list[int], feature: str, script: str, language: str) -> list[int]:
        """What the glyphs become."""
        buffer = uharfbuzz.Buffer()
        buffer.add_codepoints([PLANE + gid for gid in glyphs])
        buffer.direction, buffer.script = "ltr", script
        if language:
            buffer.language = f"x-hbot{language}"
        uharfbuzz.shape(self.font, buffer, {**dict.fromkeys(OFF, False), feature: True})
        return [info.codepoint for info in buffer.glyph_infos]


def member(glyphs: Any, rng: random.Random, some: list[int]) -> int:
    """One glyph of a set or class."""
    if isinstance(glyphs, OfClass):
        chosen = [gid for gid, number in glyphs.classes.items() if number == glyphs.number] if glyphs.number else some
        return rng.choice(chosen or some)
    return rng.choice(sorted(glyphs)) if glyphs else rng.choice(some)


def around(lookup: Lookup, rng: random.Random, some: list[int]) -> list[int]:
    """Glyphs that the lookup does something with."""
    if lookup.ligatures:
        first = rng.choice(list(lookup.ligatures))
        rows = lookup.ligatures[first]
        return [first, *rng.choice(rows)[0]] if rows else [first]
    if lookup.one or lookup.choices:
        return [rng.choice(list(lookup.one or lookup.choices))]
    rules = [rule for context in lookup.contexts[:400] for rows in context.rules.values() for rule in rows] + [rule for _, rule in lookup.reverse]
    if not rules:
        return [rng.choice(some)]
    rule = rng.choice(rules)
    return [*(member(one, rng, some) for one in reversed(rule.before)), *(member(one, rng, some) for one in (*rule.middle, *rule.behind))]


def lines(gsub: Gsub, numbers: list[int], count: int, rng: random.Random) -> Iterator[list[int]]:
    """Lines for a feature of these lookups: what the lookups want, and glyphs strewn in, marks too."""
    some = sorted({glyph for number in numbers for glyph in around(gsub.lookups[number], rng, [1])} | set(list(gsub.gdef.kinds)[:50]) | {1, 2, 3})
    for _ in range(count):
        line = [gid for _ in range(rng.randint(1, 3)) for gid in around(gsub.lookups[rng.choice(numbers)], rng, some)]
        for _ in range(rng.choice((0, 0, 1, 2))):
            line.insert(rng.randint(0, len(line)), rng.choice(some))
        yield [min(gid, 0xFFFD) for gid in line[:60]]


def differing(data: bytes, face: int, gsub: Gsub, count: int, seed: int = 0) -> tuple[int, list[str]]:
    """How many lines were compared, and what differs."""
    shaper, rng, found, done = Shaper(data, face), random.Random(seed), list[str](), 0
    systems = [(script, language) for script, language in gsub.languages if script in SCRIPTS] or [("latn", "")]
    for feature in sorted({name for name, _ in gsub.features}):
        for script, language in rng.sample(systems, min(len(systems), 3)):
            numbers = [number for number, _ in gsub.chosen([feature], script, language)]
            for line in lines(gsub, numbers, count, rng) if numbers else ():
                done += 1
                ours, theirs = gsub.apply(line, [feature], script, language)[0], shaper.line(line, feature, SCRIPTS[script], language)
                if ours != theirs:
                    found.append(f"{feature} {script} {language}: {line} -> {ours}, HarfBuzz {theirs}")
    return done, found


def tables(pattern: str) -> Iterator[tuple[Path, int, bytes, Gsub]]:
    """Each GSUB of the fonts of this machine that is not the same as another."""
    seen = set()
    for path in fonts.files(pattern):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for face, entries in enumerate(directories(data, str(path), [])):
                parts = [data[entries[tag].offset : entries[tag].offset + entries[tag].length] if tag in entries else b"" for tag in ("GSUB", "GDEF")]
                if parts[0] and hash(parts[0]) not in seen:
                    seen.add(hash(parts[0]))
                    yield path, face, bytes(data), Gsub(parts[0], parts[1])


def main() -> int:
    count, total, wrong, number = int(sys.argv[2]) if len(sys.argv) > 2 else 20, 0, 0, 0
    fonts.tell_missing()
    for path, face, data, gsub in tables(sys.argv[1] if len(sys.argv) > 1 else "*"):
        done, found = differing(data, face, gsub, count)
        total, wrong, number = total + done, wrong + len(found), number + 1
        if found:
            print(f"{path.name}#{face}: {len(found)} of {done} lines differ; {found[0]}", flush=True)
    print(f"{number} GSUB tables, {total} lines compared with HarfBuzz {uharfbuzz.version_string()}, {wrong} differ")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
