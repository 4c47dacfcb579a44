"""IR text to machine code with holes: LLVM optimises and writes assembler, jumps to ways out are folded, LLVM assembles, the object is cut.

LLVM Language Reference (module-level inline assembly); ELF-64 and System V ABI AMD64 supplement 4.4 (relocations).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from tanken.engine.native.holes import Code, Relocation
from tanken.engine.native.image import flat

MARK = "site"  # of labels in a region: behind it stand the number of a site, a point, and a number of LLVM's
REGISTER_HOLES = ("RG", "RV", "MG", "MV", "VG", "VV", "BG", "XG")
SYMBOLS = "!90 = !{i64 0, i64 4096}\n" + "".join(f"@{name} = external dso_local global i8, !absolute_symbol !90\n" for name in REGISTER_HOLES)
R_64, R_PC32, R_PLT32, R_32, R_32S = 1, 2, 4, 10, 11


@cache
def _binding() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    return llvm


@cache
def _machine() -> Any:
    llvm = _binding()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=2, reloc="static", codemodel="small", jit=True)


def llvm_version() -> str:
    """Of the library in use; imports it."""
    return ".".join(map(str, _binding().llvm_version_info))


class UnfitError(Exception):
    """The code moves the state's, memory's or budget's register, by which a fault is understood."""


CLOBBER = re.compile(r"^\t(?!cmp|test|bt\b|push|j|call|v?u?comis)\w+\t(?:.*, *)?%r1[234][dwb]?$", re.MULTILINE)
STATE = re.compile(CLOBBER.pattern.replace("[234]", "2"), re.MULTILINE)


# What can be stopped by a fault, or needs one of the three: guest memory, the slow way, constants, float arithmetic, division.
HAZARD = re.compile(r"\(%r13|\bSLOW\b|\.LCPI|^\tv?(add|sub|mul|div|sqrt|min|max|round|cvt|u?comi)[a-z0-9]*[sp][sdi]\b|^\ti?div", re.MULTILINE)


Pool = Callable[[bytes], int]  # where a constant is kept: its distance from the state


def compile_functions(text: str, pool: Pool | None = None, level: int = 2, loose: bool = False, inlined: str = "") -> dict[str, Code]:
    """All functions of a module of IR text; what LLVM wants in memory is put into the `pool`. `loose`: they keep their budget in memory.

    `inlined` is the text of a module whose functions are brought into those that call them.
    """
    llvm = _binding()
    module = llvm.parse_assembly(text)
    if inlined:
        _inline(module, llvm.parse_assembly(inlined))
    module.verify()
    machine = _machine()
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    assembly = fold(machine.emit_assembly(module))
    for name in assembly.split("\t.globl\t")[1:]:
        moved = (STATE if loose else CLOBBER).search(name)
        if moved and (".LCPI" in name[moved.end() :] if loose else HAZARD.search(name, moved.end())):
            raise UnfitError(moved[0].strip())
    return assemble(assembly if pool is None else pooled(assembly, pool))


CONSTANT = re.compile(r"(\.LCPI\d+_\d+)([+-]\d+)?\(%rip\)")
DATA = {".quad": 8, ".long": 4, ".short": 2, ".byte": 1}


def pooled(text: str, pool: Pool) -> str:
    """The text with its constants taken out, and addressed where the pool keeps them."""
    if ".LCPI" not in text:
        return text
    constants, kept, name = dict[str, bytearray](), [], ""
    for line in text.splitlines():
        words = line.split(None, 1)
        if re.match(r"\.LCPI\d+_\d+:", line):
            name = line.rstrip(":")
            constants[name] = bytearray()
        elif name and words and words[0] in DATA:
            constants[name] += (int(words[1], 0) & (1 << 8 * DATA[words[0]]) - 1).to_bytes(DATA[words[0]], "little")
        elif name and words and words[0] in (".zero", ".space"):
            constants[name] += bytes([int(words[1].split(",")[-1], 0) if "," in words[1] else 0]) * int(words[1].split(",")[0], 0)
        elif name and words and words[0] in (".ascii", ".asciz"):
            raise UnfitError(line)
        else:
            name = ""
            kept.append(line)
    places = {name: pool(bytes(data)) for name, data in constants.items()}
    return CONSTANT.sub(lambda found: f"{places[found[1]] + int(found[2] or 0)}(%r12)", "\n".join(kept) + "\n")


def _inline(module: Any, other: Any) -> None:
    """Add the functions of `other`, for use in `module` alone."""
    names = {function.name for function in other.functions if not function.is_declaration}
    module.link_in(other)
    for function in module.functions:
        if function.name in names:
            function.linkage = "internal"
            function.add_function_attribute("alwaysinline")


def simplified(text: str, name: str) -> tuple[str, tuple[str, ...]]:
    """A function of a module, with all that it calls there brought into it, and the declarations of LLVM's own that it may use."""
    llvm = _binding()
    module = llvm.parse_assembly(text)
    for function in module.functions:
        if not function.is_declaration and function.name != name:
            function.linkage = "internal"
            function.add_function_attribute("alwaysinline")
    passes = llvm.create_pass_builder(_machine(), llvm.create_pipeline_tuning_options(speed_level=2))
    passes.getModulePassManager().run(module, passes)
    declared = tuple(re.sub(r" #\d+", "", line) for line in str(module).splitlines() if line.startswith("declare") and "@llvm." in line)
    written = str(module.get_function(name))
    return written[written.index("define ") :], declared


def _quoted(line: str) -> str:
    return line.replace("\\", "\\\\").replace('"', "\\22")


def assemble(text: str) -> dict[str, Code]:
    """The functions of AT&T assembler text."""
    llvm = _binding()
    quoted = "".join(f'module asm "{line}"\n' for line in map(_quoted, text.splitlines()) if line.strip())
    return cut(_machine().emit_object(llvm.parse_assembly(quoted)))


JUMP = re.compile(r"\tj(\w+)\t(\S+)$")
INVERSE = {a: b for pair in ("o no", "b ae", "e ne", "be a", "s ns", "p np", "l ge", "le g") for a, b in (pair.split(), pair.split()[::-1])}


def fold(text: str) -> str:
    """Conditional jumps over or to a lone jump to a symbol go to the symbol themselves."""
    lines = [line for line in text.splitlines() if not re.match(r"\s*(#|\.(cfi|p2align|ident|addrsig))", line)]
    lines = [line.split("#")[0].rstrip() if "#" in line else line for line in lines]
    lonely = _lonely(lines)
    out: list[str] = []
    for number, line in enumerate(lines):
        jump = JUMP.match(line)
        if jump and jump[1] != "mp" and jump[2] in lonely:
            line = f"\tj{jump[1]}\t{lonely[jump[2]]}"
        before = JUMP.match(out[-1]) if out else None
        following = lines[number + 1].rstrip(":") if number + 1 < len(lines) else ""
        if jump and jump[1] == "mp" and not jump[2].startswith(".L") and before and before[1] in INVERSE and before[2] == following:
            out[-1] = f"\tj{INVERSE[before[1]]}\t{jump[2]}"
            continue
        out.append(line)
    return "\n".join(_without_dead(out)) + "\n"


def _lonely(lines: list[str]) -> dict[str, str]:
    """Local labels whose block is nothing but a jump to a symbol."""
    found = {}
    for number, line in enumerate(lines[:-1]):
        if line.startswith(".LBB") and line.endswith(":"):
            jump = JUMP.match(lines[number + 1])
            if jump and jump[1] == "mp" and not jump[2].startswith(".L"):
                found[line[:-1]] = jump[2]
    return found


def _without_dead(lines: list[str]) -> list[str]:
    """Leave out blocks that nothing jumps to and nothing falls into."""
    used = {jump[2] for line in lines if (jump := JUMP.match(line))}
    out: list[str] = []
    skipping = False
    for line in lines:
        if line.startswith(".LBB") and line.endswith(":"):
            before = JUMP.match(out[-1]) if out else None
            skipping = line[:-1] not in used and bool(skipping or (before and before[1] == "mp"))
            if skipping:
                continue
        elif skipping and (line.startswith(".") or (line.endswith(":") and not line.startswith("\t"))):
            skipping = False
        if not skipping:
            out.append(line)
    return out


def compile_image(texts: list[str], symbols: dict[str, str]) -> tuple[bytes, dict[str, int]]:
    """Modules of IR text as one run of machine code that works at any address, and the offset of each function named in `symbols`."""
    llvm = _binding()
    whole = llvm.parse_assembly(texts[0])
    for text in texts[1:]:
        whole.link_in(llvm.parse_assembly(text))
    for function in whole.functions:
        if not function.is_declaration and function.name not in symbols.values():
            function.linkage = "internal"
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=2, reloc="pic", codemodel="small", jit=True)
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(whole, passes)
    image, offsets = flat(machine.emit_object(whole))
    return image, {name: offsets[symbol] for name, symbol in symbols.items()}


def compile_region(text: str) -> tuple[bytes, int, list[tuple[int, str]], tuple[tuple[int, int], ...]]:
    """A module's function `region`: its machine code with constants, which works at any address; where it begins; the jumps to the outside; marks."""
    llvm = _binding()
    module = llvm.parse_assembly(text)
    module.verify()
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=2, reloc="pic", codemodel="small", jit=True)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    outside: list[tuple[int, str]] = []
    marks: list[tuple[int, str]] = []
    image, offsets = flat(machine.emit_object(module), outside, marks)
    numbers = sorted((at, int(name[len(MARK) :].split(".")[0])) for at, name in marks if name.startswith(MARK))
    return image, offsets["region"], outside, tuple(numbers)


def cut(data: bytes) -> dict[str, Code]:
    """The functions in an object's .text."""
    table, count, names_at = struct.unpack_from("<Q", data, 0x28)[0], *struct.unpack_from("<HH", data, 0x3C)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * number) for number in range(count)]

    def name(section: int, at: int) -> str:
        start = sections[section][4] + at
        return data[start : data.index(b"\0", start)].decode()

    text = next(number for number, s in enumerate(sections) if name(names_at, s[0]) == ".text")
    base, size = sections[text][4:6]
    symbols_section = next(s for s in sections if s[1] == 2)
    symbols = [struct.unpack_from("<IBBHQQ", data, symbols_section[4] + 24 * n) for n in range(symbols_section[5] // 24)]
    symbol_names = [name(symbols_section[6], s[0]) for s in symbols]
    relocations = []
    for section in sections:
        if section[1] == 4 and section[7] == text:
            for n in range(section[5] // 24):
                offset, info, addend = struct.unpack_from("<QQq", data, section[4] + 24 * n)
                relocations.append(Relocation(offset, info & 0xFFFF_FFFF, symbol_names[info >> 32], addend))
    starts = sorted({s[4]: n for s, n in zip(symbols, symbol_names, strict=True) if s[3] == text and n and not n.startswith(".L") and s[1] & 15 != 3}.items())
    found = {}
    for (start, symbol), end in zip(starts, [s for s, _ in starts[1:]] + [size], strict=True):
        holes = tuple(Relocation(r.offset - start, r.type, r.symbol, r.addend) for r in relocations if start <= r.offset < end)
        found[symbol] = Code(data[base + start : base + end], holes)
    return found
