"""A row of the opcode map in words: what its operands are, what it does to the flags, what stands behind its attributes.

The codes are those of the head comment of `opcodes.map`; flag names are those of SDM Vol. 1, 3.4.3.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from tanken.base.errors import InputError
from tanken.base.records import Record
from tanken.isa.x86 import layout as L
from tanken.isa.x86 import rows
from tanken.isa.x86.notation import OperandCode, parse_operand
from tanken.isa.x86.tables import mnemonics, plain
from tanken.notation.map import MapRow

FLAGS = {"o": "OF", "d": "DF", "i": "IF", "t": "TF", "s": "SF", "z": "ZF", "a": "AF", "p": "PF", "c": "CF"}
FLAG_VERBS = {"r": "reads", "w": "writes", "u": "leaves undefined", "z": "clears", "s": "sets"}
ACCESS = {"r": "read", "w": "written", "rw": "read and written"}
SIZES = {
    L.S_V: "operand size", L.S_Z: "operand size, at most 32 bit", L.S_Y: "32 bit, 64 with W", L.S_X: "vector length",
    L.S_X2: "half a vector", L.S_X4: "a quarter of a vector", L.S_X8: "an eighth of a vector", L.S_A: "address size",
    L.S_P: "far pointer", L.S_M: "64 bit in 64-bit mode, else 32", L.S_A2: "two of operand size",
}  # fmt: skip
FILES = dict(zip(range(11), ("general", "segment", "control", "debug", "test", "x87", "MMX", "vector", "mask", "bound", "tile"), strict=True))
SOURCES = {
    L.O_IMM: "immediate", L.O_IMM2: "second immediate", L.O_IMM4: "low four bits of the immediate", L.O_REL: "branch distance",
    L.O_FAR: "far pointer in the instruction", L.O_MOFFS: "memory at an address in the instruction", L.O_SI: "memory at rSI",
    L.O_DI: "memory at rDI", L.O_ONE: "the constant 1", L.O_XLAT: "memory at rBX + AL", L.O_PORT: "the port in DX",
}  # fmt: skip
PLACES = {L.O_REG: "ModRM.reg", L.O_RM: "ModRM.rm", L.O_OPC: "the opcode", L.O_VVVV: "vvvv", L.O_IS4: "the immediate's high four bits"}
SELECTORS = {
    "m16": "16-bit mode", "m32": "32-bit mode", "m64": "64-bit mode", "NP": "no selecting prefix", "66": "prefix 66", "F3": "prefix F3",
    "F2": "prefix F2", "mem": "ModRM.mod is not 3 (memory)", "reg": "ModRM.mod is 3 (register)", "rip": "rip-relative operand",
    "rexb0": "REX.B is 0", "rexb1": "REX.B is 1",
}  # fmt: skip
WORDS = {
    "i64": "not in 64-bit mode", "d64": "64-bit operand by default in 64-bit mode", "f64": "64-bit operand always in 64-bit mode",
    "cpl0": "privileged", "lock": "may be locked", "rep": "may be repeated", "repz": "F3 is repz", "bnd": "takes bnd", "notrack": "takes notrack",
    "hint": "takes branch hints", "hle": "takes xacquire and xrelease", "k": "takes a mask", "kz": "takes a mask, with zeroing",
    "er": "takes a rounding mode", "sae": "exceptions can be suppressed",
}  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class RowText(Record):
    """What one row says, each field in words; `row` is the row as written, `where` its file and line."""

    mnemonic: str
    att: str
    encoding: str
    when: tuple[str, ...]
    operands: tuple[str, ...]
    implicit: tuple[str, ...]
    flags: tuple[str, ...]
    attributes: tuple[str, ...]
    feature: str
    notes: tuple[str, ...]
    cite: str
    row: str
    where: str


def encoding(row: MapRow) -> str:
    """The opcode with its escape or encoding space: `0f b1`, `VEX.0F38 f7`."""
    if row.section == "one":
        return row.opcode
    if row.section == "3dnow":
        return f"0f 0f ... {row.opcode}"
    if "." in row.section:
        return f"{row.section.upper()} {row.opcode}"
    return f"{row.section[:2]} {row.section[2:]} {row.opcode}".replace("  ", " ")


def _selector(word: str) -> str:
    if word in SELECTORS:
        return SELECTORS[word]
    head, rest = word[0], word[1:]
    if head == "L":
        return f"vector length {('128', '256', '512', 'reserved')[int(rest)]}"
    names = {"/": f"ModRM.reg is {rest}", "r": f"ModRM.rm is {rest[2:]}", "o": f"operand size {rest}", "a": f"address size {rest}", "W": f"W is {rest}"}
    return names.get(head, word)


def _size(size: int) -> str:
    if size in SIZES:
        return SIZES[size]
    return f"{size} bytes" if size > 8 else f"{8 * size} bit"


def _where(code: OperandCode) -> str:
    register = f"{FILES[code.file]} register"
    if code.source == L.O_FIXED:
        return code.text.partition(":")[0]
    if code.source == L.O_RM and code.needs == "mem":
        return "memory in ModRM.rm"
    if code.source == L.O_RM and not code.needs:
        return f"{register} or memory in ModRM.rm"
    return f"{register} in {PLACES[code.source]}" if code.source in PLACES else SOURCES.get(code.source, "operand")


def operand(text: str) -> str:
    """An operand code in words: `Ev:rw` is "general register or memory in ModRM.rm, operand size, read and written"."""
    code = parse_operand(text)
    parts = [_where(code)]
    if code.source != L.O_FIXED and code.memory_size and code.needs == "mem":
        parts.append(_size(code.memory_size))
    elif code.source != L.O_FIXED and code.register_size and code.source != L.O_ONE:
        parts.append(_size(code.register_size))
        if code.source == L.O_RM and not code.needs and code.memory_size not in (0, code.register_size):
            parts[-1] += f" ({_size(code.memory_size)} in memory)"
    return f"{text.partition(':')[0]}: {', '.join([*parts, ACCESS[code.access]])}"


def _implicit(text: str) -> str:
    name, _, access = text.partition(":")
    return f"{name} {ACCESS.get(access or 'r', access)}"


def _attribute(key: str, value: str) -> str:
    if key in WORDS:
        return WORDS[key]
    return f"group {value} of SDM table A-6" if key == "grp" else f"{key}={value}" if value else key


def explain(row: MapRow) -> RowText:
    """The row in words."""
    intel, att = (plain(name) for name in mnemonics(row))
    shown = {key: value for key, value in row.attributes.items() if key not in (*FLAG_VERBS, "imp", "1A", "pseudo")}
    flags = tuple(f"{verb} {' '.join(FLAGS.get(letter, letter) for letter in row.attributes[key])}"
                  for key, verb in FLAG_VERBS.items() if key in row.attributes)  # fmt: skip
    implicit = tuple(_implicit(text) for text in row.attributes.get("imp", "").split(",") if text)
    return RowText(
        intel, att, encoding(row), tuple(_selector(word) for word in row.selectors), tuple(operand(text) for text in row.operands),
        implicit, flags, tuple(_attribute(*item) for item in shown.items()), row.feature, tuple(note.strip() for note in row.notes),
        row.cite, " ".join(row.text.split()), f"{rows.MAP}:{row.line}",
    )  # fmt: skip


def rows_named(mnemonic: str) -> list[RowText]:
    """The rows of a mnemonic (Intel or AT&T), in words; raises InputError, with near names, when there is none."""
    found = rows.find_rows(mnemonic)
    if found:
        return [explain(row) for row in found]
    names = {plain(name) for form in rows.forms() for name in mnemonics(form.row)}
    near = difflib.get_close_matches(mnemonic.lower(), sorted(names), 4)
    hint = f"did you mean {', '.join(near)}?" if near else "hexadecimal bytes are decoded: x86:480fb10b"
    raise InputError(f"no mnemonic {mnemonic!r} in the opcode map", wanted="a name of the Intel or AT&T syntax, or bytes", hint=hint)
