"""x86 text and lengths: recorded lines of objdump, random agreement with it where it is installed, and promises of the decoder.

The vectors are `hex<TAB>mode<TAB>syntax<TAB>text`, recorded from GNU objdump 2.40.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oracle import lengths, millions

from tanken.isa import x86
from tanken.isa.architecture import Column
from tanken.isa.x86.traps import page, traps

VECTORS = sorted((Path(__file__).parents[3] / "vectors").glob("x86-*.txt"))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vectors(path: Path) -> None:
    wrong = []
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        code, mode, syntax, text = line.split("\t")[:4]
        met = x86.decode(bytes.fromhex(code), 0, int(mode)).text(syntax)
        if met != text:
            wrong.append(f"{code} {mode} {syntax}: {met!r}, wanted {text!r}")
    assert not wrong, "\n".join(wrong[:20])


def test_every_trap_is_pinned() -> None:
    """Each trap note has a recorded line of objdump in tests/vectors/x86-traps.txt, and the page says what the map says."""
    pinned = {line.split("\t")[0] for line in (VECTORS[0].parent / "x86-traps.txt").read_text().splitlines()}
    assert [code.hex() for _, code, _ in traps() if code.hex() not in pinned] == []
    assert (Path(__file__).parents[4] / "docs" / "traps.md").read_text(encoding="utf-8") == page()


@given(code=st.binary(min_size=1, max_size=40), mode=st.sampled_from([16, 32, 64]))
def test_any_bytes(code: bytes, mode: int) -> None:
    insts = list(x86.disassemble(code, 0x1000, mode))
    for inst in insts:
        assert 1 <= inst.length <= 15
        assert len(inst.code) == inst.length
        assert repr(inst) and inst.text("att")
        assert inst.reads is not None and inst.writes is not None
        assert inst.fault is None or inst.fault
    assert b"".join(inst.code for inst in insts) == code
    columns = x86.decode_array(code, 0x1000, mode)
    assert np.array_equal(columns, np.array([inst.columns for inst in insts], dtype=np.int64))
    assert columns[:, Column.LENGTH].sum() == len(code)


@pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump")
@pytest.mark.parametrize("mode", [16, 32, 64])
@pytest.mark.parametrize("syntax", ["intel", "att"])
def test_agreement(mode: int, syntax: str) -> None:
    """A small part of `make agreement`: the same families, fewer of the strings, none of which may differ outside the listed classes."""
    found = [(name, difference) for name, count in millions.everything(0.015, 7, mode, syntax) for difference in count.found]
    assert not found, found[:5]


@pytest.mark.parametrize("mode", [16, 32, 64])
def test_lengths(mode: int) -> None:
    found = [d for d in lengths.differences(4000, 5, mode) if not lengths.listed(d, mode)]
    assert not found, found[:5]


def reasons(code: str, mode: int = 64) -> str:
    return str(x86.decode(bytes.fromhex(code), 0, mode).fault)


def test_faults_say_why() -> None:
    assert reasons("06") == "opcode 06 is not in 64-bit mode (i64)"
    assert reasons("fe f8").startswith("opcode fe: group 4 /7 is not defined")
    assert reasons("0f 04") == "opcode 0f 04 is not defined"
    assert reasons("0f b8 c0") == "opcode 0f b8: defined only with F3"
    assert reasons("f0 01 c8") == "LOCK with a register destination"
    assert reasons("f0 8b 00") == "LOCK before an instruction that does not allow it"
    assert reasons("f0 01 08") == "None"
    assert x86.decode(bytes.fromhex("0f 01 10")).privileged


def names(operands: tuple[object, ...]) -> set[str]:
    return {getattr(operand, "name", "memory") for operand in operands}


def test_reads_and_writes() -> None:
    push = x86.decode(bytes.fromhex("50"))
    assert names(push.reads) == {"rax", "rsp"}
    assert names(push.writes) == {"rsp", "memory"}
    movs = x86.decode(bytes.fromhex("f3 a5"))
    assert {"rsi", "rdi", "rcx", "memory"} <= names(movs.reads)
    load = x86.decode(bytes.fromhex("8b 44 8b 10"))
    assert names(load.reads) == {"memory", "rbx", "rcx"}
    assert names(load.writes) == {"eax"}
    assert names(x86.decode(bytes.fromhex("60"), 0, 32).reads) >= {"eax", "edi", "esp"}
    assert names(x86.decode(bytes.fromhex("0f a2")).writes) == {"eax", "ecx", "edx", "ebx"}
