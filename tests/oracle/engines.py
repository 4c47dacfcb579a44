"""The verdicts of profiles against the engines: FreeType, HarfBuzz and OTS on every font of the generator, and on mutants.

`python -m tests.oracle.engines [COUNT [SEED]]`: agreements and disagreements are counted for each engine, the disagreements listed; the status
is 1 where one is about a font of the generator and not in `ACCEPTED`, or where more than `SHARE` of the mutants disagree. Mutants: random
programs with bytes changed, and every fourth a whole CFF table with a byte changed, whose DICTs each engine reads in its own way.
"""

from __future__ import annotations

import io
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import freetype
import ots
import uharfbuzz

from tanken.font import builder, check, hostile
from tanken.isa.charstring.text import assemble
from tests.oracle import mutants

RAW = freetype.FT_LOAD_NO_SCALE


def freetype_takes(data: bytes, glyphs: int) -> bool:
    """Whether FreeType opens the font and loads every glyph."""
    try:
        face = freetype.Face(io.BytesIO(data))
        for gid in range(glyphs):
            face.load_glyph(gid, RAW)
    except freetype.FT_Exception:
        return False
    return True


def harfbuzz_takes(data: bytes, glyphs: int) -> bool:
    """Whether HarfBuzz has the extents of every glyph, which it has not where it gives up."""
    font = uharfbuzz.Font(uharfbuzz.Face(data))
    return all(font.get_glyph_extents(gid) is not None for gid in range(glyphs))


def ots_takes(data: bytes, glyphs: int) -> bool:
    """Whether the OpenType Sanitizer passes the font."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.otf"
        path.write_bytes(data)
        return bool(ots.sanitize(str(path), capture_output=True).returncode == 0)


ENGINES: dict[str, Callable[[bytes, int], bool]] = {"freetype": freetype_takes, "harfbuzz": harfbuzz_takes, "ots": ots_takes}
SHARE = 0.02
# pattern and engine: why it says something else, or is not asked
ACCEPTED = {("call-bomb", "ots"): "a second of work each", ("call-bomb-20", "ots"): "it does not end", ("point-bomb", "ots"): "a second of work each"}


def said(data: bytes, name: str) -> dict[str, str]:
    """Our verdicts."""
    verdicts = {one.profile: one.verdict for one in check.check(data, name)[0].verdicts}
    return {engine: verdicts.get(engine, "rejected") for engine in ENGINES}


def fonts(count: int, seed: int) -> Iterator[tuple[str, bytes, int]]:
    """Mutants: name, file, number of glyphs."""
    for number in range(count):
        rng = random.Random(seed * 1_000_003 + number)
        program = bytearray(assemble(mutants.body(rng, 0) + " endchar"))
        locals_ = [bytearray(assemble(mutants.body(rng, level + 1) + " return")) for level in range(mutants.LOCALS)]
        globals_ = [bytearray(assemble(mutants.body(rng, level + 1) + " return")) for level in range(mutants.GLOBALS)]
        whole = number % 4 == 3
        for _ in range(0 if whole else rng.choice((0, 1, 1, 2, 4))):
            body = rng.choice([program, program, *locals_, *globals_])
            if body:
                body[rng.randrange(len(body))] = rng.randrange(256)
        one = builder.Recipe([hostile.NOTDEF, bytes(program)], [bytes(one) for one in globals_], [bytes(one) for one in locals_], ["A"], private=hostile.WIDTH)
        table = bytearray(builder.cff(one))
        if whole:
            table[rng.randrange(len(table))] = rng.randrange(256)
        yield f"{'bytes' if whole else 'program'}-{seed}-{number}", builder.opentype(bytes(table), [500] * 2, {65: 1}), 2


def compared(name: str, data: bytes, glyphs: int, tally: Counter[tuple[str, str]]) -> Iterator[str]:
    """The disagreements of one font; `tally` counts by engine and how it went."""
    ours = said(data, name)
    for engine, takes in ENGINES.items():
        if (name, engine) in ACCEPTED:
            tally[engine, "accepted difference"] += 1
            continue
        real = "accepted" if takes(data, glyphs) else "rejected"
        how = "unknown" if ours[engine] == "unknown" else "agree" if ours[engine] == real else "disagree"
        tally[engine, how] += 1
        if how == "disagree":
            yield f"{name}: {engine} {real}, we say {ours[engine]}"


def patterns() -> Iterator[tuple[str, bytes, int]]:
    """The fonts of the generator."""
    return ((name, hostile.make(name), 2 if pattern.cff2 else 3) for name, pattern in hostile.patterns().items())


def main() -> int:
    count, seed = (int(sys.argv[1]) if len(sys.argv) > 1 else 2000), (int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    status = 0
    for title, rows, share in (("generator", patterns(), 0.0), ("mutants", fonts(count, seed), SHARE)):
        tally: Counter[tuple[str, str]] = Counter()
        for row in rows:
            for line in compared(*row, tally):
                print(line, flush=True)
        print(f"{title}: " + ", ".join(f"{engine} {how} {number}" for (engine, how), number in sorted(tally.items())))
        status |= any(tally[engine, "disagree"] > share * sum(number for (other, _), number in tally.items() if other == engine) for engine in ENGINES)
    return status


if __name__ == "__main__":
    sys.exit(main())
