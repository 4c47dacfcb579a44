"""Stencils made by two processes: what one process makes, byte for byte, and nothing that is missing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tanken.engines import parts, possible
from tanken.isa.x86.state import State

pytestmark = pytest.mark.skipif(not possible(), reason="needs the native engine")
PROGRAM = "/bin/true"


def made(engine: Any) -> dict[tuple[int, int, int], tuple[Any, ...]]:
    """Code, holes and the rest, by key."""
    N, tab, found = engine.N, engine.tab, {}
    for slot in range(N.KEY_SLOTS):
        *key, number = tab[N.KEYS + 4 * slot : N.KEYS + 4 * slot + 4].tolist()
        if number:
            entry = tab[N.STENCILS + (number - 1) * N.STENCIL_FIELDS : N.STENCILS + number * N.STENCIL_FIELDS].tolist()
            codes = []
            for at, length, first, count in (entry[N.LIVE_AT : N.LIVE_AT + 4], entry[N.DEAD_AT : N.DEAD_AT + 4]):
                codes += [bytes(engine.blob[at : at + length]), tab[N.HOLES + 4 * first : N.HOLES + 4 * (first + count)].tolist()]
            found[tuple(key)] = (*codes, *entry[N.READS_LIVE :])
    return found


def test_two_processes_make_what_one_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tanken.engine.native.engine import Native
    from tanken.engine.native.space import DirectSpace
    from tanken.vkernel import stencils

    target, kept = parts()
    results, known = [], []
    for processors in ({0}, {0, 1}):
        store = copy.copy(kept)
        store.folder = tmp_path / str(len(processors))
        store.folder.mkdir()
        monkeypatch.setattr(stencils.os, "sched_getaffinity", lambda pid, given=processors: given)
        stencils.make(target, store, (PROGRAM,))
        engine = Native(State(), DirectSpace(), target, store)
        results.append(made(engine))
        known.append(engine.tab[engine.N.FORMS : engine.N.KEYS].tolist())
    one, two = results
    assert len(one) > 100
    assert {key: two.get(key) for key in one} == one
    assert known[0] == known[1]
