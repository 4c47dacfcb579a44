"""Why bytes that no row of the map fits are no instruction: one line, found by asking the neighbouring rows of their opcode.

The groups are those of SDM Vol. 2D, A.4; nothing here is needed to decode, only to explain.
"""

from __future__ import annotations

from tanken.isa.x86 import layout as L
from tanken.isa.x86 import rows
from tanken.isa.x86.tables import Form

PREFIX_NAMES = ("no selecting prefix", "66", "F3", "F2")
PREFIXES = frozenset(bytes.fromhex("66 67 f2 f3 f0 2e 36 3e 26 64 65 9b"))


def _opcode(code: bytes, mode: int) -> tuple[str, int, int]:
    """Map, opcode and the position behind it; position -1 where the bytes end before."""
    at = 0
    while at < len(code) and (code[at] in PREFIXES or mode == 64 and 0x40 <= code[at] < 0x50):
        at += 1
    if at >= len(code):
        return "one", 0, -1
    name = "one"
    if code[at] == 0x0F and at + 1 < len(code):
        at += 1
        name = "0f"
        if code[at] == 0x0F:
            return "3dnow", 0, at + 1
        if code[at] in (0x38, 0x3A) and at + 1 < len(code):
            name = "0f38" if code[at] == 0x38 else "0f3a"
            at += 1
    elif code[at] in (0xC4, 0xC5, 0x62, 0x8F):
        return {0xC4: "VEX", 0xC5: "VEX", 0x62: "EVEX", 0x8F: "XOP"}[code[at]], 0, at + 1
    return name, code[at], at + 1


def why_no_row(code: bytes, mode: int) -> str:
    """The reason, for bytes with the fault NO_ROW; `code` may end before their ModRM byte."""
    name, opcode, after = _opcode(code, mode)
    if name == "3dnow":
        return "no 3DNow! instruction has this suffix"
    if name not in L.MAPS:
        return f"no row of the {name} maps fits"
    number = L.MAPS.index(name) * 256 + opcode
    shown = f"{name} {opcode:02x}" if name != "one" else f"{opcode:02x}"
    members = [form for form in rows.forms() if number in form.opcodes]
    if not members:
        return f"opcode {shown} is not defined"
    value = {16: 0, 32: 1, 64: 2}[mode]
    fitting = [form for form in members if value in form.selectors.get(L.N_MODE, {0, 1, 2})]
    if not fitting:
        return f"opcode {shown} is not in 64-bit mode (i64)" if mode == 64 else f"opcode {shown} is in 64-bit mode only"
    return f"opcode {shown}: " + _detail(fitting, code, after)


def _detail(fitting: list[Form], code: bytes, after: int) -> str:
    """What of ModRM or the prefixes has no row."""
    if 0 < after < len(code):
        modrm = code[after]
        reg = [form for form in fitting if modrm >> 3 & 7 in form.selectors.get(L.N_REG, range(8))]
        if not reg:
            return f"group {_group(fitting)}/{modrm >> 3 & 7} is not defined"
        mod = [form for form in reg if (modrm >= 0xC0) in form.selectors.get(L.N_MOD, (0, 1))]
        if not mod:
            return "the operand must be memory" if modrm >= 0xC0 else "the operand must be a register"
        fitting = mod
    prefixes = {value for form in fitting for value in form.selectors.get(L.N_PREFIX, range(4))}
    if len(prefixes) < 4:
        return "defined only with " + " or ".join(PREFIX_NAMES[value] for value in sorted(prefixes))
    return "ModRM has no row"


def _group(fitting: list[Form]) -> str:
    return next((form.row.attributes["grp"] + " " for form in fitting if "grp" in form.row.attributes), "")
