"""The verdicts of profiles against FreeType, HarfBuzz and the OpenType Sanitizer: every font that the generator makes, and some mutants.

What they must agree on is accepted or rejected. `python -m tests.oracle.engines` takes thousands of mutants and lists what disagrees.
"""

from collections import Counter

import pytest

for _module in ("freetype", "uharfbuzz", "ots"):
    pytest.importorskip(_module, reason=f"no {_module} to compare with")
from tests.oracle import engines  # noqa: E402


def test_engines_say_the_same_of_the_generators_fonts() -> None:
    tally: Counter[tuple[str, str]] = Counter()
    assert [line for row in engines.patterns() for line in engines.compared(*row, tally)] == []
    assert all(tally[engine, "agree"] > 100 for engine in engines.ENGINES) and not any(how == "unknown" for _, how in tally)


def test_engines_say_the_same_of_mutants() -> None:
    tally: Counter[tuple[str, str]] = Counter()
    found = [line for row in engines.fonts(120, 11) for line in engines.compared(*row, tally)]
    assert len(found) <= 6, found
