"""The recorded corpus: cases and what a host processor made of them, as lines of text, so that semantics are tested on any host.

`python -m tests.oracle.corpus` records tests/vectors/states-x86.txt anew. A line is mode, bytes, the state before and what is other behind, parted
by tabs. A state is words `name=hexadecimal`; what is not named is as `Case` has it, memory as `host.PRISTINE`, behind as before.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tanken.base.errors import InputError
from tanken.isa.x86 import inst as decoder
from tanken.isa.x86.inst import Inst, Memory, Register
from tanken.isa.x86.state import GPR_NAMES
from tests.oracle.cosim import Ours, adjusted, cases, chosen_forms, compare
from tests.oracle.host import CODE, DATA, DATA_SIZE, PRISTINE, SELECTORS, Case, Host, Result

PATH = Path(__file__).parents[1] / "vectors" / "states-x86.txt"
LISTS = {"xmm": 16, "upper": 16, "st": 8, "seg": 6}
RESUME = 1 << 16  # the flag that an exception leaves set
FPU = ("control", "status", "top", "valid")


def thin(inst: Inst, case: Case) -> Case:
    """The case with zeros in the registers that the instruction does not name."""
    named = {(o.file, o.number) for o in (*inst.operands, *inst.implicit, *inst.reads) if isinstance(o, Register)}
    named |= {(o.index_file, o.index) for o in inst.operands if isinstance(o, Memory) and o.index is not None}
    every = "save" in inst.mnemonic or "rstor" in inst.mnemonic or inst.mnemonic in ("xgetbv", "vzeroupper", "vzeroall")
    vex = every or (inst.row is not None and inst.row.section.startswith("vex"))
    x87 = (inst.row is not None and inst.row.feature == "x87") or any(o[0] in ("mm", "st") for o in named) or every
    addressed = any(isinstance(o, Memory) and o.base in (3, 6, 7) for o in inst.operands) or "mask" in inst.mnemonic
    kept = {n for kind, n in named if kind == "gpr"} | ({0, 1, 2, 3, 6, 7} if addressed or inst.row is None else set())
    regs = [value if n in kept else 0 for n, value in enumerate(case.regs)]
    xmm = [v if every or ("xmm", n) in named else 0 for n, v in enumerate(case.xmm)]
    upper = [v if every or (vex and ("xmm", n) in named) else 0 for n, v in enumerate(case.upper)]
    bases = case.bases if any(byte in inst.code[:4] for byte in b"\x64\x65") or "base" in inst.mnemonic else (0, 0)
    return replace(case, regs=regs, xmm=xmm, upper=upper, bases=bases, **({} if x87 else {"st": [0] * 8, "fpu": (0x37F, 0, 0, 0)}))


# -- writing ---------------------------------------------------------------------------------------------------------------------


def _words(names: Iterable[str], values: Iterable[int], others: Iterable[int]) -> Iterator[str]:
    return (f"{name}={value:x}" for name, value, other in zip(names, values, others, strict=True) if value != other)


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}{n}" for n in range(count)]


def before(case: Case) -> str:
    plain, words = Case(b"", [0] * 16), list(_words(GPR_NAMES, case.regs, [0] * 16))
    words += _words(("flags", "mxcsr", "fs", "gs"), (case.flags, case.mxcsr, *case.bases), (plain.flags, plain.mxcsr, *plain.bases))
    for name in ("xmm", "upper", "st"):
        words += _words(_numbered(name, LISTS[name]), getattr(case, name), [0] * 16 if name != "st" else [0] * 8)
    words += _words(FPU, case.fpu, plain.fpu)
    words += [f"@{address - DATA:x}={data.hex()}" for address, data in case.patches]
    return " ".join([*words, *([f"after={case.after.hex()}"] if case.after else [])])


def _patched(case: Case) -> bytes:
    memory = bytearray(PRISTINE)
    for address, data in case.patches:
        memory[address - DATA : address - DATA + len(data)] = data
    return bytes(memory)


def behind(inst: Inst, case: Case, result: Result) -> str:
    words = list(_words(GPR_NAMES, result.regs, case.regs))
    if result.trap is not None:
        words += _words(("trap", "error", "flags", "mxcsr"), (result.trap, result.error, result.flags & ~RESUME, result.mxcsr), (-1, 0, case.flags, case.mxcsr))
        words += _words((*_numbered("st", 8), *FPU), (*result.st, *result.fpu), (*case.st, *case.fpu))
        return " ".join([*words, *_memory(_patched(case), result.data)])
    following = CODE + inst.length
    words += _words(("rip", "flags", "mxcsr", "fs", "gs"), (result.rip, result.flags, result.mxcsr, *result.bases), (following, case.flags, case.mxcsr, *case.bases))
    for name in ("xmm", "upper", "st"):
        words += _words(_numbered(name, LISTS[name]), getattr(result, name), getattr(case, name))
    words += _words(_numbered("seg", 6), result.segments, _segments(case.mode))
    words += _words(FPU, result.fpu, case.fpu)
    return " ".join([*words, *_memory(_patched(case), result.data)])


def _segments(mode: int) -> list[int]:
    return [0x2B, SELECTORS[mode], 0x2B, 0x2B, 0, 0]


def _memory(old: bytes, new: bytes) -> Iterator[str]:
    """The runs of bytes that changed."""
    at = 0
    while at < DATA_SIZE:
        if old[at] == new[at]:
            at += 1
            continue
        end = at
        while end < DATA_SIZE and old[end] != new[end]:
            end += 1
        yield f"@{at:x}={new[at:end].hex()}"
        at = end


# -- reading ---------------------------------------------------------------------------------------------------------------------


def _read(text: str, where: str) -> Iterator[tuple[str, str]]:
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"{word!r}", where=where, wanted="name=hexadecimal")
        yield name, value


def _put(lists: dict[str, list[int]], name: str, value: str) -> bool:
    """Into the register of that name, if it is one."""
    if name in GPR_NAMES:
        lists["regs"][GPR_NAMES.index(name)] = int(value, 16)
        return True
    for kind in LISTS:
        if name.startswith(kind) and name[len(kind) :].isdigit():
            lists[kind][int(name[len(kind) :])] = int(value, 16)
            return True
    return False


def parse(line: str, where: str) -> tuple[Inst, Case, Result]:
    """One line of the corpus; raises InputError for a word that is none of a state."""
    mode, code, first, second = line.split("\t")
    case = Case(bytes.fromhex(code), [0] * 16, mode=int(mode))
    known = {"flags": case.flags, "mxcsr": case.mxcsr, "fs": 0, "gs": 0, **dict(zip(FPU, case.fpu, strict=True))}
    lists = {"regs": case.regs, "xmm": case.xmm, "upper": case.upper, "st": case.st, "seg": _segments(case.mode)}
    for name, value in _read(first, where):
        if name[0] == "@":
            case.patches.append((DATA + int(name[1:], 16), bytes.fromhex(value)))
        elif name == "after":
            case.after = bytes.fromhex(value)
        elif not _put(lists, name, value):
            known[name] = int(value, 16)
    inst = decoder.decode((case.code + b"\xcc" * 15)[:15], CODE, case.mode)
    case.flags, case.mxcsr, case.bases = known["flags"], known["mxcsr"], (known["fs"], known["gs"])
    case.fpu = known["control"], known["status"], known["top"], known["valid"]
    lists = {name: values.copy() for name, values in lists.items()}
    memory, known["rip"], known["trap"], known["error"] = bytearray(_patched(case)), CODE + inst.length, -1, 0
    for name, value in _read(second, where):
        if name[0] == "@":
            memory[int(name[1:], 16) : int(name[1:], 16) + len(value) // 2] = bytes.fromhex(value)
        elif not _put(lists, name, value):
            known[name] = int(value, 16)
    trap = None if known["trap"] < 0 else known["trap"]
    result = Result(
        trap, known["rip"], lists["regs"], known["flags"], lists["xmm"], known["mxcsr"], lists["st"],
        (known["control"], known["status"], known["top"], known["valid"]), bytes(memory), 0, lists["upper"], (0, 0, 0), known["error"], lists["seg"],
        (known["fs"], known["gs"]),
    )  # fmt: skip
    return inst, case, result


def check(lines: Iterable[str]) -> tuple[int, list[str]]:
    """How many lines there are, and what differs."""
    ours, found, count = Ours(), [], 0
    for number, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip():
            continue
        inst, case, theirs = parse(line.rstrip("\n"), f"line {number}")
        count += 1
        state, exit = ours.run(inst, case)
        adjusted(inst, state, theirs)
        what = compare(inst, case, theirs, state, exit, ours.memory.read(DATA, DATA_SIZE))
        if what:
            found.append(f"line {number}: {inst}: {what}")
    return count, found


def record(encodings: int, states: int, seed: int) -> Iterator[str]:
    """The lines of all forms that the host can run and that agree with it."""
    ours = Ours()
    with Host() as host:
        for mode in (64, 32):
            for form in chosen_forms(mode):
                batch = [(inst, thin(inst, case)) for inst, case in cases(form, encodings, states, seed, mode)]
                for (inst, case), theirs in zip(batch, host.run([case for _, case in batch]) if batch else (), strict=True):
                    state, exit = ours.run(inst, case)
                    line = f"{mode}\t{case.code.hex()}\t{before(case)}\t{behind(inst, case, theirs)}"
                    adjusted(inst, state, theirs)
                    if not compare(inst, case, theirs, state, exit, ours.memory.read(DATA, DATA_SIZE)):
                        yield line


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--encodings", type=int, default=2)
    parser.add_argument("--states", type=int, default=2)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    lines = ["# Recorded by tests/oracle/corpus.py, which says what a line is."]
    lines += record(options.encodings, options.states, options.seed)
    PATH.write_text("\n".join(lines) + "\n")
    print(f"{len(lines) - 1} cases in {PATH}, {PATH.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
