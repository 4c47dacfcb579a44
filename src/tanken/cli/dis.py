"""`tanken dis`: disassembles objects, kernels, raw bytes, Oopses and the glyphs of fonts.

Text as GNU objdump 2.40 prints it; docs/dis.md describes the options.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from bisect import bisect_right
from typing import TYPE_CHECKING

from tanken.base import kinds
from tanken.base.errors import InputError, UsageError
from tanken.cli.fonts import dis as font
from tanken.isa import x86
from tanken.isa.x86.inst import Inst, Relative

if TYPE_CHECKING:
    from tanken.elf import Elf, Section

TRAP = "<-- trapping instruction"


def _number(text: str) -> int:
    return int(text, 0)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("file", nargs="?", help="an ELF object, a bzImage, raw bytes (--raw), or - for standard input")
    parser.add_argument("--hex", metavar="BYTES", help='disassemble these bytes, such as "48 89 e5"')
    parser.add_argument("--syntax", choices=("intel", "att"), default="intel")
    parser.add_argument("--function", metavar="NAME", help="only this function")
    parser.add_argument("--section", metavar="S", help="only this section")
    parser.add_argument("--start", type=_number, metavar="A", help="from this address on")
    parser.add_argument("--stop", type=_number, metavar="B", help="up to this address")
    parser.add_argument("--raw", action="store_true", help="the file is code without a header")
    parser.add_argument("--base", type=_number, default=0, metavar="A", help="address of the first raw byte")
    parser.add_argument("--mode", type=int, choices=(16, 32, 64), default=64, help="for raw bytes")
    parser.add_argument("--plain", action="store_true", help="one line an instruction: address, colon, tab, text")
    parser.add_argument("--explain", action="store_true", help="show the row of the opcode map behind each instruction")
    parser.add_argument("--oops", action="store_true", help="the file is a kernel's Oops: disassemble its Code: line")
    parser.add_argument("--json", action="store_true", help="one object a line")
    font.arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Runs the verb; returns the exit status."""
    if (options.hex is None) == (options.file is None):
        raise UsageError("both or neither of FILE and --hex", wanted="one of them", hint="tanken dis --help")
    if not 0 <= options.base < 1 << 64:
        raise UsageError(f"--base {options.base:#x}", wanted="an address of 64 bits")
    if options.start is not None and options.stop is not None and options.stop <= options.start:
        raise UsageError(f"--start {options.start:#x} --stop {options.stop:#x}", wanted="a stop behind the start")
    if options.hex is None and not options.raw and not options.oops and (thing := _font(options)) is not None:
        return font.run(thing, options)
    printer = Printer(options)
    if options.hex is not None:
        return printer.stream(_hex(options.hex), options.base, options.mode)
    from tanken import elf  # not for --hex, which shall start at once

    data, name = (sys.stdin.buffer.read(), "<stdin>") if options.file == "-" else (elf.read_file(options.file), options.file)
    if options.oops:
        return _oops(data.decode("utf-8", "replace"), name, options, printer)
    if options.raw:
        if not data:
            raise InputError("an empty file", wanted="bytes to disassemble", where=name)
        return printer.stream(data, options.base, options.mode)
    from tanken.elf import kernel_image

    if kernel_image.is_bzimage(data):
        data, name = kernel_image.vmlinux(data, name), f"{name}(vmlinux)"
    if data[:4] != b"\x7fELF":
        raise InputError(_what(data), wanted="an ELF file or a bzImage", where=name, hint="--raw takes any bytes as code")
    return printer.object(elf.read(data, name))


def _font(options: argparse.Namespace) -> kinds.Thing | None:
    """The file as a thing, where it is a font; the standard input is one when a glyph of it is asked for."""
    asked = options.glyph is not None or options.subr is not None
    if not asked and (options.file == "-" or not os.path.isfile(options.file)):
        return None
    thing = kinds.recognise(options.file, "font" if options.file == "-" else None)
    return thing if asked or thing.kind.name == "font" else None


def _what(data: bytes) -> str:
    if not data:
        return "an empty file"
    return "text" if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:64]) else f"first bytes {data[:4].hex(' ')}"


def _hex(text: str) -> bytes:
    digits = re.sub(r"0x|\\x|[\s,:]", "", text)
    try:
        code = bytes.fromhex(digits)
    except ValueError as error:
        raise UsageError(f"--hex {text!r}", wanted="pairs of hexadecimal digits") from error
    if not code:
        raise UsageError("--hex without bytes", wanted="at least one")
    return code


def _oops(report: str, name: str, options: argparse.Namespace, printer: Printer) -> int:
    from tanken.debug import oops

    code, trap, place = oops.parse(report, name)
    if place and not options.json:
        print(f"<{place}>:")
    for inst in oops.aligned(code, trap, options.mode):
        printer.instruction(inst, TRAP if inst.address == 0 else "")
    return 0


class Printer:
    """Prints instructions in the form that the options ask for."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.addresses: list[int] = []
        self.names: list[str] = []
        self.width = 8

    def stream(self, code: bytes, base: int, mode: int) -> int:
        """Raw bytes, one instruction after the other."""
        low, high = self._window()
        first, last = max(low - base, 0), min(high - base, len(code))
        if first >= last:
            raise UsageError(f"no bytes from {low:#x} to {high:#x}", wanted=f"a part of {base:#x}..{base + len(code):#x}")
        if self.options.plain and not self.options.explain and not self.options.json:
            _tell_of_compiler(last - first)
            for piece in x86.text_lines(code[first:last], base + first, mode, self.options.syntax):
                _write(piece)
            return 0
        for inst in x86.disassemble(code[first:last], base + first, mode):
            self.instruction(inst)
        return 0

    def _window(self) -> tuple[int, int]:
        low = 0 if self.options.start is None else self.options.start
        return low, 1 << 64 if self.options.stop is None else self.options.stop

    def object(self, elf: Elf) -> int:
        """All code of an object, or the part the options name."""
        from tanken.debug import listing

        mode = listing.mode_of(elf)
        low, high = self._window()
        sections = self._sections(elf)
        if not any(s.address < high and low < s.address + s.size for s in sections):
            known = ", ".join(f"{s.name} {s.address:#x}..{s.address + s.size:#x}" for s in sections[:4])
            raise UsageError(f"no code from {low:#x} to {high:#x}", wanted=f"a part of {known}", where=elf.name)
        if self.options.function:
            low, high, sections = self._function(elf, sections, low, high)
        if self.options.plain and not self.options.explain and not self.options.json:
            _tell_of_compiler(sum(section.size for section in sections))
            for piece in listing.plain_lines(elf, self.options.syntax, sections, low, high):
                _write(piece)
            return 0
        places = sorted((place for section in elf.sections if section.size for place in listing.cuts(elf, section)), key=lambda p: p[0])
        self.addresses, self.names = [a for a, _ in places], [s.name for _, s in places]
        for section in sections:
            self._section(elf, section, mode, low, high)
        return 0

    def _sections(self, elf: Elf) -> list[Section]:
        from tanken.debug import listing

        if not self.options.section:
            sections = listing.code_sections(elf)
        else:
            sections = [s for s in elf.sections if s.name == self.options.section and s.type != 8]
            if not sections:
                raise UsageError(f"no section {self.options.section}", wanted="one of " + " ".join(s.name for s in elf.sections if s.name and s.type != 8), where=elf.name)
        if not sections:
            raise InputError("no section that holds code", wanted="sections with code", where=elf.name, hint="--raw takes any bytes as code")
        return sections

    def _function(self, elf: Elf, sections: list[Section], low: int, high: int) -> tuple[int, int, list[Section]]:
        from tanken.debug import listing

        symbol = next((s for s in (*elf.symbols, *elf.dynamic_symbols) if s.name == self.options.function and s.section), None)
        home = next((s for s in sections if symbol and s.index == symbol.section), None)
        if symbol is None or home is None:
            raise UsageError(f"no function {self.options.function}", wanted="the name of a symbol in the code", where=elf.name)
        following = next((a for a, _ in listing.cuts(elf, home) if a > symbol.value), home.address + home.size)
        end = symbol.value + symbol.size if symbol.size else following
        return max(low, symbol.value), min(high, end), [home]

    def _section(self, elf: Elf, section: Section, mode: int, low: int, high: int) -> None:
        from tanken.debug import listing

        self.width = min(16, (len(f"{section.address + section.size:x}") // 4 + 1) * 4)
        announced = False
        for region in listing.regions(elf, section):
            first, last = max(low - region.address, 0), min(high - region.address, len(region.code))
            if first >= last:
                continue
            if not announced and not self.options.json:
                announced = True
                print(f"\nDisassembly of section {section.name}:")
            if not self.options.json:
                offset = f"+{first:#x}" if first else ""
                print(f"\n{region.address + first:0{elf.bits // 4}x} <{self._paint(region.name, '36')}{offset}>:")
            if region.data:
                self._data(region.address + first, region.code[first:last])
            else:
                for inst in listing.instructions(region.code[first:last], region.address + first, mode):
                    self.instruction(inst)

    def _data(self, address: int, data: bytes) -> None:
        if self.options.json:
            return
        for pos in range(0, len(data), 16):
            row = data[pos : pos + 16]
            shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
            print(f"{address + pos:>{self.width}x}:\t{row.hex(' '):48} {shown}")

    def instruction(self, inst: Inst, note: str = "") -> None:
        """One instruction."""
        text = inst.text(self.options.syntax)
        if self.options.json:
            _write(json.dumps(_record(inst, text, note)).encode() + b"\n")
            return
        if self.options.plain:
            print(f"{inst.address:x}:\t{text}")
        else:
            named = self._named(inst, text) + (f"    {note}" if note else "")
            address = f"{inst.address:x}" if inst.address >= 0 else f"-{-inst.address:x}"
            print(f"{address:>{self.width}}:\t{inst.code[:8].hex(' '):24}\t{self._paint(named, '1' if note else '')}")
            for i in range(8, len(inst.code), 8):
                print(f"{'':{self.width}} \t{inst.code[i : i + 8].hex(' ')}")
        if self.options.explain:
            print(f"{'':{self.width}}  \t{explanation(inst)}")

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text

    def _named(self, inst: Inst, text: str) -> str:
        target = next((o.target for o in inst.operands if isinstance(o, Relative)), None) if self.addresses else None
        comment = re.search(r"# 0x([0-9a-f]+)$", text)
        if target is None and self.addresses and comment:
            target = int(comment.group(1), 16)
        label = self._label(target) if target is not None else ""
        return f"{text} <{label}>" if label else text

    def _label(self, address: int) -> str:
        at = bisect_right(self.addresses, address) - 1
        if at < 0:
            return ""
        offset = address - self.addresses[at]
        return self.names[at] + (f"+{offset:#x}" if offset else "")


def _tell_of_compiler(size: int) -> None:
    """Says on a terminal that the first large listing of all waits for the compiler."""
    from tanken.isa.x86 import bulk

    if sys.stderr.isatty() and bulk.waits_for_compiler(size):
        print("compiling the disassembler for this machine, once, about half a minute (tanken warm does it ahead)", file=sys.stderr)


def explanation(inst: Inst) -> str:
    """The row of the map behind an instruction, or why there is none."""
    row = inst.row
    shown = f"opcodes.map:{row.line}  {' | '.join(cell.strip() for cell in row.text.split('|'))}" if row else ""
    fault = inst.fault
    return "; ".join(part for part in (shown, f"invalid: {fault}" if fault else "") if part) or "no row of the opcode map"


def _record(inst: Inst, text: str, note: str) -> dict[str, object]:
    record: dict[str, object] = {"address": inst.address, "length": inst.length, "bytes": inst.code.hex(), "text": text, "mnemonic": inst.mnemonic}
    if inst.row:
        record["row"] = inst.row.line
    if inst.fault:
        record["fault"] = inst.fault
    if note:
        record["trap"] = True
    return record


def _write(piece: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(piece)
