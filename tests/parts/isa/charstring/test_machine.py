"""The watched machine, the bulk executor and the proof against vectors by hand, against each other, and backwards.

Adobe Technical Note 5177, sections 4.1 to 4.7.
"""

from pathlib import Path

import numpy as np
import pytest
from tests.oracle import mutants

from tanken.font import builder, outlines, program
from tanken.font.builder import Recipe
from tanken.font.cff import Cff
from tanken.font.verifier import Proof
from tanken.isa.charstring import columns, effects, faults, results, rows
from tanken.isa.charstring.machine import Machine, at_offset, at_operator, in_subroutine
from tanken.isa.charstring.semantics import SEMANTICS
from tanken.isa.charstring.text import assemble

LINES = [line.split("|") for line in Path(__file__).with_name("vectors.txt").read_text().splitlines() if line and line[0] != "#"]
LOCALS = [assemble("5 10 rlineto return"), assemble("5 return")]
GLOBALS = [assemble("2 3 rmoveto return")]


def font(text: str) -> program.Program:
    """A font whose glyph 1 is `text`."""
    return program.lazy(Cff(builder.cff(Recipe([assemble("endchar"), assemble(text)], GLOBALS, LOCALS, ["A"]))))


def flat(path: list[tuple[object, ...]]) -> list[object]:
    return [value for segment in path for value in segment]


@pytest.mark.parametrize("cells", LINES, ids=[cells[0].strip() for cells in LINES])
def test_vectors(cells: list[str]) -> None:
    made = font(cells[0])
    machine = Machine(made, 1)
    for _ in machine.run():
        pass
    bulk = outlines.one(made, 1)
    wanted, notes = cells[1].split(), cells[2].split() if len(cells) > 2 else []
    if wanted[0] == "!":
        assert faults.name(bulk.fault) == wanted[1]
        assert machine.fault == bulk.fault or wanted[1] == "coordinate-range"
        return
    values = [value if value in "MLCZ" else float(value) for value in wanted]
    for path in (bulk.path, [(s[0], *map(outlines.number, s[1:])) for s in machine.path]):
        assert bulk.fault == machine.fault == 0
        for value, right in zip(flat(path), values, strict=True):
            assert value == (pytest.approx(right, abs=1e-4) if "near" in notes and not isinstance(right, str) else right)
    stated = [float(note.removeprefix("width=")) for note in notes if note.startswith("width=")]
    assert ([bulk.width] if bulk.has_width else []) == stated


def test_the_table_names_every_operator_that_is_run() -> None:
    legal = {row.mnemonic for row in rows.operators() if row.legal}
    assert legal == set(SEMANTICS)


def test_the_proof_and_the_table_agree_on_what_clears() -> None:
    for row in rows.operators():
        if row.legal and row.opcode < 256 and row.mnemonic not in ("vsindex", "blend"):
            assert effects.clears(row.opcode, False) == row.clears, row.mnemonic
        if row.clears and row.legal:
            code = row.opcode if row.opcode < 256 else 256 + (row.opcode & 255)
            assert effects.clearing(code, row.takes, False)[0] == results.OK
            if row.takes:
                assert effects.clearing(code, row.takes - 1, False)[0] == results.UNDERFLOW, row.mnemonic


def test_effects_and_the_table_agree() -> None:
    for row in rows.operators():
        if row.group in ("arithmetic", "storage", "conditional"):
            assert effects.keeping(256 + (row.opcode & 255)) == (row.takes, row.gives), row.mnemonic
    legal = {row.opcode & 255 for row in rows.operators() if row.group in ("arithmetic", "storage", "conditional")}
    assert all(effects.keeping(256 + code)[0] < 0 for code in range(256) if code not in legal)


def test_random_programs_on_both_machines_and_in_the_proof() -> None:
    for seed in range(60):
        one = mutants.base(seed)
        made = program.listed(mutants.mutants(one, 3, np.random.default_rng(seed)))
        bounds = Proof(made).glyphs
        for gid in range(made.glyphs):
            machine = Machine(made, gid)
            for _ in machine.run():
                pass
            bulk = outlines.one(made, gid)
            assert (machine.fault == bulk.fault or bulk.fault == results.RANGE), (seed, gid)
            if not machine.fault:
                assert (machine.steps, machine.flags) == (bulk.steps, bulk.flags), (seed, gid)
                assert bulk.fault or [(s[0], *map(outlines.number, s[1:])) for s in machine.path] == bulk.path
            if bounds[gid, columns.S_END] == columns.ENDS and bounds[gid, columns.S_MAX] <= 48 and bounds[gid, columns.S_HEIGHT] <= 10:
                assert bulk.fault in (results.OK, results.RANGE, *mutants.BY_VALUE) and bulk.steps <= bounds[gid, columns.S_STEPS]


def test_backwards_and_breakpoints() -> None:
    made = font("0 hmoveto " + "1 1 rlineto " * 300 + "-107 callsubr 9 3 put endchar")
    machine = Machine(made, 1)
    states = []
    while machine.step() is not None:
        states.append(machine._state())
    last = machine.steps
    assert last == 306 and machine.storage == {3: 9 << 16}
    for steps in (last - 1, 290, 257, 256, 255, 1, 0, 100):
        machine.to(steps)
        assert machine.steps == steps and (steps == 0 or machine._state() == states[steps - 1])
    machine.to(0)
    assert machine.until(at_operator("rlineto")) is not None and machine.steps == 2
    assert machine.until(in_subroutine("local 0")) is not None and machine.frames[-1].name == "local 0"
    machine.back()
    here = machine.next_offset
    machine.to(0)
    assert machine.until(at_offset(here)) is not None and machine.next_offset == here
    assert machine.until(at_operator("flex")) is None and machine.done
