"""The recorded corpus of states before and behind an instruction holds on any host.

tests/oracle/corpus.py.
"""

from __future__ import annotations

import pytest
from tests.oracle import corpus

from tanken.base.errors import InputError


def test_recorded_states() -> None:
    with corpus.PATH.open() as lines:
        count, found = corpus.check(lines)
    assert not found, "\n".join(found[:10])
    assert count > 5000


def test_a_change_is_found() -> None:
    count, found = corpus.check(["64\t4801d8\trax=1 rbx=2 flags=202\trax=4 flags=206\n"])
    assert count == 1
    assert "rax 0x3 host 0x4" in found[0]


def test_a_bad_word_is_told() -> None:
    with pytest.raises(InputError, match="name=hexadecimal"):
        corpus.parse("64\t90\trax\t", "line 1")
