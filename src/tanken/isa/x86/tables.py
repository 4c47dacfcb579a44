"""Turns the opcode map into the decoder's tables: a trie over the selectors of an opcode, and flat arrays a form.

A form is a row of the map, numbered from 1; form 0 means that no row fits. The tables are plain lists of integers, so that
the kernels read them as they are in Python, and as NumPy arrays under Numba.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from tanken.base.errors import InputError
from tanken.isa.x86 import layout as L
from tanken.isa.x86.names import PSEUDO, REGISTER_NAMES, SLOT, WORD_SLOT, WORDS
from tanken.isa.x86.notation import SIZES, OperandCode, parse_operand
from tanken.notation.map import MapRow


class Tables(NamedTuple):
    """What the kernel reads: numbers (packed as `layout` says) and letters (register names, words, mnemonics)."""

    numbers: list[int]
    letters: bytes


SELECTORS: dict[str, tuple[int, frozenset[int]]] = {
    "m16": (L.N_MODE, frozenset({0})), "m32": (L.N_MODE, frozenset({1})), "m64": (L.N_MODE, frozenset({2})),
    "NP": (L.N_PREFIX, frozenset({0})), "66": (L.N_PREFIX, frozenset({1})), "F3": (L.N_PREFIX, frozenset({2})),
    "F2": (L.N_PREFIX, frozenset({3})), "mem": (L.N_MOD, frozenset({0})), "reg": (L.N_MOD, frozenset({1})),
    "W0": (L.N_W, frozenset({0})), "W1": (L.N_W, frozenset({1})), "L0": (L.N_L, frozenset({0})),
    "L1": (L.N_L, frozenset({1})), "L2": (L.N_L, frozenset({2})), "L3": (L.N_L, frozenset({3})),
    "o16": (L.N_OSIZE, frozenset({0})), "o32": (L.N_OSIZE, frozenset({1})),
    "o64": (L.N_OSIZE, frozenset({2})), "a16": (L.N_ASIZE, frozenset({0})), "a32": (L.N_ASIZE, frozenset({1})),
    "a64": (L.N_ASIZE, frozenset({2})), "rexb0": (L.N_REXB, frozenset({0})), "rexb1": (L.N_REXB, frozenset({1})),
    "rip": (L.N_RIP, frozenset({1})), "p66": (L.N_DATA, frozenset({1})),
    **{f"/{i}": (L.N_REG, frozenset({i})) for i in range(8)},
    **{f"rm={i}": (L.N_RM, frozenset({i})) for i in range(8)},
}  # fmt: skip


SLACK = 32  # bytes behind the letters, which are read 16 at a time


class Form(NamedTuple):
    """A row of the map with its selectors and operands understood."""

    number: int
    row: MapRow
    opcodes: tuple[int, ...]  # map * 256 + opcode
    selectors: dict[int, frozenset[int]]
    operands: tuple[OperandCode, ...]


def understand(rows: Sequence[MapRow], name: str, first: int = 1) -> list[Form]:
    """The forms of `rows`, numbered from `first`; raises InputError naming the line of `name` with a selector or operand that does not exist."""
    forms = []
    for number, row in enumerate(rows, first):
        where = f"{name}:{row.line}"
        try:
            base = L.MAPS.index(row.section) * 256
            opcode, span = (row.opcode[:-1], 8) if row.opcode.endswith("+") else (row.opcode, 1)
            opcodes = tuple(base + int(opcode, 16) + i for i in range(span))
            selectors: dict[int, frozenset[int]] = {}
            for word in row.selectors:
                kind, values = SELECTORS[word]
                selectors[kind] = selectors.get(kind, frozenset()) | values
            if "i64" in row.attributes:
                selectors = {L.N_MODE: frozenset({0, 1}), **selectors}
            operands = tuple(parse_operand(text) for text in row.operands)
        except (KeyError, ValueError, IndexError) as error:
            raise InputError(f"{error} in row {row.text.strip()!r}", where=where, wanted="a code of the head comment") from error
        forms.append(Form(number, row, opcodes, selectors, operands))
    return forms


class _Trie:
    """Nodes over the selectors of the forms of one opcode, in the order in which the rows name them.

    A node is its kind, then its children: the position of a node, or minus a form; 0 where no row fits.
    """

    def __init__(self, name: str, start: int) -> None:
        self.numbers: list[int] = []
        self.start = start
        self.name = name

    def build(self, forms: list[Form], order: list[int]) -> int:
        if not forms:
            return 0
        for position, kind in enumerate(order):
            if any(kind in form.selectors for form in forms):
                return self._node(kind, forms, order[position + 1 :])
        best = max(len(form.selectors) for form in forms)
        winners = [form for form in forms if len(form.selectors) == best]
        if len(winners) > 1:
            lines = " and ".join(str(form.row.line) for form in winners)
            raise InputError(f"rows of lines {lines} both fit the same bytes", where=self.name, wanted="one row")
        return -winners[0].number

    def _node(self, kind: int, forms: list[Form], order: list[int]) -> int:
        everything = frozenset(range(8))
        children = [
            self.build([f for f in forms if value in f.selectors.get(kind, everything)], order)
            for value in range(L.NODE_WIDTH[kind])
        ]
        position = self.start + len(self.numbers)
        self.numbers += [kind, *children]
        return position


def _order(forms: list[Form]) -> list[int]:
    order: list[int] = []
    for form in sorted(forms, key=lambda f: -len(f.selectors)):
        order.extend(kind for kind in form.selectors if kind not in order)
    return ([L.N_MODE] if L.N_MODE in order else []) + [kind for kind in order if kind != L.N_MODE]


def _chosen_by(form: Form, members: list[Form]) -> set[int]:
    """The selectors that decide between `form` and a neighbour that fits it in every other respect."""
    found: set[int] = set()
    for other in members:
        for kind in other.selectors:
            shared = (form.selectors.keys() & other.selectors.keys()) - {kind}
            if all(form.selectors[k] & other.selectors[k] for k in shared):
                found.add(kind)
    return found


ATTRIBUTE_FLAGS = {
    "d64": L.F_D64, "f64": L.F_D64, "rep": L.F_REP, "bnd": L.F_BND, "notrack": L.F_NOTRACK, "hint": L.F_HINT,
    "star": L.F_STAR, "keep": L.F_KEEP, "attonly": L.F_ATT_ONLY, "far": L.F_NO_SIZE,
    "er": L.F_ER, "sae": L.F_SAE, "cr8": L.F_CR8, "bcsttext": L.F_BCST_TEXT, "vexmark": L.F_VEXMARK, "wbad": L.F_W_BAD,
    "gather": L.F_GATHER, "tilesib": L.F_TILE_SIB, "tiles": L.F_TILES, "attaddr": L.F_ATT_ADDR, "acts66": L.F_OSIZE, "mpx": L.F_MPX,
    "strict": L.F_STRICT, "norip": L.F_NO_RIP, "rm0": L.F_RM0,
    "gbcstw": L.F_GHOST, "erbad": L.F_ER_BAD, "bcsttextxy": L.F_BCST_TEXT_XY,
    "scatter": L.F_SCATTER, "distinct": L.F_DISTINCT, "pad": L.F_PAD, "att66": L.F_ATT_66, "show66": L.F_SHOW_66, "usesb": L.F_B,
}  # fmt: skip
HLE_FLAGS = {"": L.F_HLE, "xchg": L.F_HLE | L.F_HLE_XCHG, "mov": L.F_HLE_MOV}
SIZED = {L.S_V, L.S_Z, L.S_P, L.S_A2}


def _flags(form: Form, group: set[int], modrm: bool, vex_names: set[str]) -> int:
    row, flags = form.row, 0
    vex = not row.section.startswith(("one", "0f", "3dnow"))
    if modrm or row.section == "3dnow":
        flags |= L.F_MODRM
    if row.section.startswith("evex") and plain(mnemonics(row)[0]) in vex_names and "noevex" not in row.attributes:
        flags |= L.F_TWIN
    for attribute, flag in (("vsib", L.F_VSIB), ("pseudo", L.F_PSEUDO)):
        flags |= flag if attribute in row.attributes else 0
    if row.section == "3dnow":
        flags |= L.F_3DNOW
    if row.mnemonic == "(bad)":
        flags |= L.F_BAD
    if row.attributes.get("wbad") == "1":
        flags |= L.F_W_WANT
    for word in row.attributes:
        flags |= ATTRIBUTE_FLAGS.get(word, 0)
    if "hle" in row.attributes:
        flags |= HLE_FLAGS[row.attributes["hle"]]
    prefix = form.selectors.get(L.N_PREFIX, frozenset())
    for value, flag in ((1, L.F_66), (2, L.F_F3), (3, L.F_F2)):
        flags |= flag if value in prefix and not vex else 0
    sizes = {size for o in form.operands for size in (o.register_size, o.memory_size)}
    marker = row.mnemonic
    letters = "{D}" in marker or "{d}" in marker
    if sizes & SIZED or L.N_OSIZE in group or letters:
        flags |= L.F_OSIZE
        wide = sizes & {L.S_V, L.S_A2} or L.N_OSIZE in group or letters
        flags |= L.F_W if wide and not flags & (L.F_D64 | L.F_NO_SIZE) else 0
        if all(o.register_size != L.S_V or o.memory_size != L.S_V for o in form.operands):
            flags |= L.F_SIZE_REG if any(o.register_size == L.S_V for o in form.operands) else 0
    if "o66" in row.attributes:
        flags = flags & ~L.F_66 | L.F_EAT_66
    if "eat66" in row.attributes or L.N_DATA in form.selectors and "att66" not in row.attributes:
        flags |= L.F_EAT_66
    if "shown" in row.attributes:
        flags &= ~(L.F_66 | L.F_F2 | L.F_F3)
    if L.N_ASIZE in group and not flags & L.F_ATT_ADDR:
        flags |= L.F_ASIZE
    if "now" in row.attributes:
        flags &= ~L.F_W
    if flags & L.F_BAD:
        flags &= ~(L.F_OSIZE | L.F_W)
    if L.S_Y in sizes or L.N_W in group or "{q}" in marker:
        flags |= L.F_W
    if "nosize" in row.attributes:
        flags = flags & ~(L.F_OSIZE | L.F_W) | L.F_NO_SIZE
    for operand in form.operands:
        flags |= _operand_flags(operand)
    if "mem" in row.selectors:
        flags &= ~L.F_NEED_MEM
    if flags & L.F_ATT_ADDR:
        flags &= ~L.F_ASIZE
    if "reg" in row.selectors or L.N_MOD in form.selectors and 1 in form.selectors[L.N_MOD]:
        flags &= ~L.F_NEED_REG
    return flags


def _operand_flags(operand: OperandCode) -> int:
    flags = 0
    byte = operand.file == L.R_GPR and operand.register_size == 1
    if operand.source == L.O_REG:
        extended = operand.file not in (L.R_SEG, L.R_MM, L.R_TR)
        flags |= (L.F_R if extended else 0) | (L.F_BYTE_REG if byte else 0)
    elif operand.source == L.O_RM:
        extended = operand.file not in (L.R_MM, L.R_ST)
        flags |= (L.F_B if extended else 0) | (L.F_BYTE_RM if byte else 0)
        flags |= {"mem": L.F_NEED_MEM, "reg": L.F_NEED_REG, "": 0}[operand.needs]
    elif operand.source == L.O_OPC:
        flags |= L.F_OPC_REG | L.F_B | (L.F_BYTE_OPC if byte else 0)
    elif operand.source == L.O_VVVV:
        flags |= L.F_VVVV
    elif operand.source in (L.O_SI, L.O_XLAT):
        flags |= L.F_STRING
    elif operand.source == L.O_DI:
        flags |= L.F_ASIZE
    elif operand.source == L.O_MOFFS:
        flags |= L.F_ADDR_SHOWN
    elif operand.source == L.O_BAD:
        flags |= L.F_NO_OPERAND | L.F_VVVV
    if operand.file in (L.R_CR, L.R_DR, L.R_TR):
        flags |= L.F_MOD_IGNORED
    if operand.register_size == L.S_A and (operand.source != L.O_RM or operand.needs == "reg"):
        flags |= L.F_ASIZE
    return flags


IMMEDIATES = {"b": L.I_B, "bs": L.I_BS, "w": L.I_W, "z": L.I_Z, "v": L.I_V, "d": L.I_D}


def _immediate(form: Form) -> int:
    codes = [o.text.partition(":")[0] for o in form.operands]
    kinds = [code[1:] for code in codes if code[0] == "I"]
    if any(o.source == L.O_IS4 for o in form.operands):
        return L.I_IS4
    if kinds == ["w", "b2"]:
        return L.I_WB
    if kinds == ["b", "b2"]:
        return L.I_BB
    if kinds:
        return IMMEDIATES[kinds[0]]
    for code, kind in (("Jb", L.I_JB), ("Jz", L.I_JZ), ("Ap", L.I_AP)):
        if code in codes:
            return kind
    return L.I_O if any(code[0] == "O" for code in codes) else L.I_NONE


def _has_modrm(form: Form) -> bool:
    encoded = any(o.source in (L.O_REG, L.O_RM) for o in form.operands)
    return encoded or bool({L.N_REG, L.N_MOD, L.N_RM, L.N_RIP} & form.selectors.keys())


class _Names:
    """All mnemonics in one run of bytes, each once."""

    def __init__(self) -> None:
        self.blob = bytearray(_register_bytes() + _word_bytes())
        self.known: dict[str, int] = {}

    def add(self, text: str) -> int:
        if text not in self.known:
            self.known[text] = len(self.blob)
            self.blob += text.encode()
        return self.known[text]

    def template(self, text: str) -> list[int]:
        pieces = re.split(r"[{}]", text)
        pieces += [""] * (5 - len(pieces))
        for marker in pieces[1::2]:
            if marker not in L.MARKERS:
                raise InputError(f"marker {{{marker}}} in mnemonic {text!r}", wanted="one of " + " ".join(L.MARKERS))
        head, first, middle, second, tail = pieces
        return [self.add(head + middle + tail), len(head), L.MARKERS[first], len(middle), L.MARKERS[second], len(tail)]


def mnemonics(row: MapRow) -> tuple[str, str]:
    """Intel and AT&T name template of a row."""
    intel, _, att = row.mnemonic.partition(" = ")
    return intel, att or intel


_LETTERS = {"n": "n", "ws": "s", "wd": "d", "wh": "h"}


def plain(template: str) -> str:
    """The name without its marker: `ret{D}` is ret."""
    pieces = re.split(r"[{}]", template)
    return "".join(_LETTERS.get(piece, "") if i % 2 else piece for i, piece in enumerate(pieces))


def build(rows: Sequence[MapRow], name: str) -> tuple[list[Form], Tables]:
    """Forms and tables of the map `rows`; `name` is the file's, for messages."""
    forms = understand(rows, name)
    by_opcode: dict[int, list[Form]] = {}
    for form in forms:
        for opcode in form.opcodes:
            by_opcode.setdefault(opcode, []).append(form)
    numbers = _prefix_classes() + [0] * (L.FORMS - L.ROOTS + (len(forms) + 1) * L.STRIDE)
    trie = _Trie(name, len(numbers))
    strict: set[int] = set()
    groups: dict[int, set[int]] = {}
    for opcode, members in by_opcode.items():
        numbers[L.ROOTS + opcode] = trie.build(members, _order(members))
        numbers[L.MODRM + opcode] = int(any(_has_modrm(form) for form in members))
        if opcode >> 8 in L.VEX_MAPS and all(form.selectors.get(L.N_PREFIX) == frozenset({1}) for form in members):
            strict.update(form.number for form in members)
        for form in members:
            groups.setdefault(form.number, set()).update(_chosen_by(form, members))
    numbers += trie.numbers
    names = _Names()
    predicates = _predicates(names, numbers)
    vex_names = {plain(mnemonics(f.row)[0]) for f in forms if f.row.section.startswith("vex")}
    for form in forms:
        modrm = any(numbers[L.MODRM + opcode] for opcode in form.opcodes)
        flags = _flags(form, groups[form.number], modrm, vex_names)
        flags |= L.F_STRICT if form.number in strict else 0
        _record(form, numbers, names, flags, predicates)
    return forms, Tables(numbers, bytes(names.blob + b" " * SLACK))


def _record(form: Form, numbers: list[int], names: _Names, flags: int, predicates: dict[str, int]) -> None:
    """Writes the record of a form into `numbers`."""
    row, at = form.row, L.FORMS + form.number * L.STRIDE
    memory = next((o.memory_size for o in form.operands if o.source == L.O_RM), 0)
    numbers[at + L.FLAGS] = flags
    numbers[at + L.IMMEDIATE] = _immediate(form)
    numbers[at + L.MEMORY_SIZE] = memory
    numbers[at + L.SCALE] = int(row.attributes["n"]) if "n" in row.attributes else memory
    numbers[at + L.VSIB] = SIZES[row.attributes["vsib"]] if "vsib" in row.attributes else 0
    numbers[at + L.BROADCAST] = int(row.attributes.get("bcst", "32" if "gbcst" in row.attributes else "0")) // 8
    numbers[at + L.PSEUDO] = predicates[row.attributes["pseudo"]] if "pseudo" in row.attributes else 0
    shown = 0 if "attonly" in row.attributes else len(form.operands)
    ones = int(bool(form.operands) and form.operands[-1].source == L.O_ONE)
    numbers[at + L.COUNTS : at + L.COUNTS + 2] = [shown, len(form.operands) - ones]
    for syntax, template in enumerate(mnemonics(row)):
        start = at + L.HEADS + syntax * L.HEAD
        numbers[start : start + L.HEAD] = names.template(template)
    for i, o in enumerate(form.operands):
        start = at + L.SLOTS + i * L.SLOT
        numbers[start : start + L.SLOT] = [o.source, o.file, o.number, o.register_size, o.memory_size]


def _prefix_classes() -> list[int]:
    classes = [0] * 512
    for base in (0, 256):
        for byte, kind in ((0x66, L.P_DATA), (0x67, L.P_ADDR), (0xF3, L.P_REPZ), (0xF2, L.P_REPNZ), (0xF0, L.P_LOCK),
                           (0x9B, L.P_FWAIT), *((b, L.P_SEG) for b in (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65))):  # fmt: skip
            classes[base + byte] = kind
    for byte in range(0x40, 0x50):
        classes[256 + byte] = L.P_REX
    return classes


def _predicates(names: _Names, numbers: list[int]) -> dict[str, int]:
    """Appends each set: count, text of no predicate, then offset (-1: none) and length of each; returns their positions."""
    starts: dict[str, int] = {}
    for key, (default, table) in PSEUDO.items():
        starts[key] = len(numbers)
        numbers += [max(table) + 1, 0, names.add(default), len(default)]
        for value in range(max(table) + 1):
            text = table.get(value, "")
            numbers += [names.add(text) if text else -1, len(text)]
    return starts


def _register_bytes() -> bytes:
    out = bytearray()
    for att in (False, True):
        for name in REGISTER_NAMES:
            text = (("%" + name) if att else name).encode() if name else b""
            out += bytes([len(text)]) + text.ljust(SLOT - 1, b" ")
    return bytes(out)


def _word_bytes() -> bytes:
    return b"".join(bytes([len(word)]) + word.encode().ljust(WORD_SLOT - 1) for word in WORDS)


def as_arrays(tables: Tables) -> tuple[Any, Any]:
    """The tables as NumPy arrays (int64, uint8), for the compiled kernel."""
    import numpy as np

    return np.array(tables.numbers, dtype=np.int64), np.frombuffer(tables.letters, dtype=np.uint8)
