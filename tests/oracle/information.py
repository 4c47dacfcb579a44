"""What instructions read, write, do to the flags and need of the processor, against iced-x86's instruction information.

`python -m tests.oracle.information --count 200000`; compared are encodings that both decode with one length. Reasons for what differs stand in EXPECTED.
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

import iced_x86
from iced_x86 import OpAccess, RflagsBits

from tanken.isa import x86
from tanken.isa.x86.inst import Inst, Memory, Register
from tests.oracle.objdump import random_strings

FLAGS = {RflagsBits.OF: "o", RflagsBits.SF: "s", RflagsBits.ZF: "z", RflagsBits.AF: "a", RflagsBits.CF: "c", RflagsBits.PF: "p", RflagsBits.DF: "d",
         RflagsBits.IF: "i"}  # fmt: skip
READS = {OpAccess.READ, OpAccess.COND_READ, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE}
WRITES = {OpAccess.WRITE, OpAccess.COND_WRITE, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE}
NAMES = {value: name.lower() for name, value in vars(iced_x86.Register).items() if isinstance(value, int)}
HEADS = [b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a", b"\x66\x0f", b"\xf3\x0f", b"\xf2\x0f", b"\x66\x0f\x38", b"\x66\x0f\x3a", b"\xc4", b"\xc5", b"\x62", b"\x8f"]


# (what is compared, mnemonics as a pattern, why both may stand)
EXPECTED = (
    ("memory", r"nop|prefetch\w*|cldemote|ud1|ud0|invlpg|lea|bnd\w*|umonitor", "a memory operand is counted as read; iced-x86 leaves out what only names an address"),
    (".*", r"bnd\w+", "iced-x86 takes MPX as AMD's processors do: nop"),
    ("features", r"fwait|\w+wide\w+|clac|stac|vbroadcasts\w|paddq|psubq|pmuludq|movntq",
     "wide Key Locker has a bit of its own; clac is erets with F2; MMX forms that came with SSE2"),
    (".*", r"x(store|crypt|sha)\S*|montmul", "rows of PadLock name no operands"),
    ("memory", r"enter", "what nested frames copy"),
    ("registers read", r"nop|ud1|ud0", "the registers of the operand, which iced-x86 leaves out"),
    ("registers read", r"f?cmov\w+|bsf|bsr|insertq|ffree\w*", "what a condition may keep is counted as read"),
    ("registers read", r"v?p?(xor|sub|cmp|andn)\w*|sbb", "iced-x86 knows that equal sources clear the register"),
    ("flags changed|flags cleared|flags read|flags undefined", r"sub|xor|sbb", "the same"),
    ("registers read", r"v?(movss|movsd|sqrts[sd]|rcpss|rsqrtss|cvt\w+2s[sd])", "the upper part of the destination that is kept is not counted as read"),
    ("registers \\w+|memory|flags \\w+", r"clac|stac|skinit|rsm|int|int1|int3|into|uiret|sysret\w|wrmsrlist|rdmsrlist|rmp\w+|call|jmp|seam\w+",
     "events that replace much of the "
     "state: rows name the operands, not the whole state; clac with F2 or F3 is erets, eretu"),
    ("registers \\w+", r"fnsave|frstor|fx\w+|x?save\w*|xrstor\w*|v4f\w+|vp4dp\w+|vp2intersect\w|f\w*env|enter|leave|pusha|popa",
     "blocks of registers, of which rows name the first"),
    ("flags \\w+", r"rcl|rcr|rol|ror|sar|shl|shr|shld|shrd|vmfunc|vmrun|enc\w+", "iced-x86 knows counts that do nothing; SVM's host state"),
)


def expected(difference: Difference) -> str:
    """Why both answers may stand, "" where there is no reason."""
    return next((why for what, names, why in EXPECTED if re.fullmatch(what, difference.what) and re.fullmatch(names, difference.inst.mnemonic)), "")


# iced-x86's name of a CPUID feature where it is not ours; names are compared in capitals without _ - and .
ALIASES = {"D3NOW": "3DNOW", "D3NOWEXT": "3DNOWEXT", "AESKLE": "KL", "SEVSNP": "SNP", "RMPQUERY": "SNP", "SKINITORSVM": "SVM", "SGX1": "SGX", "HLEORRTM": "RTM", "FPU": "X87",
           "FPU287": "X87", "FPU387": "X87", "PADLOCKRNG": "PADLOCK", "PADLOCKACE": "PADLOCK", "PADLOCKPHE": "PADLOCK", "PADLOCKPMM": "PADLOCK"}  # fmt: skip
FEATURES = {value: name for name, value in vars(iced_x86.CpuidFeature).items() if isinstance(value, int)}


class Difference(NamedTuple):
    """What was compared, the instruction, iced-x86's answer and ours."""

    what: str
    inst: Inst
    theirs: str
    ours: str


def _letters(bits: int) -> str:
    return "".join(sorted(letter for flag, letter in FLAGS.items() if bits & flag))


def _known(text: str) -> str:
    return "".join(sorted(letter for letter in text if letter in FLAGS.values()))


def _file(register: Register) -> str:
    """The whole register that one is part of."""
    if register.file == "gpr":
        return f"g{register.number}"
    return f"{register.file}{register.number}"


def _their_file(register: int) -> str:
    name = NAMES[iced_x86.RegisterExt.full_register(register)]
    number = iced_x86.RegisterExt.number(register) if not iced_x86.RegisterExt.is_gpr8(register) else iced_x86.RegisterExt.number(iced_x86.RegisterExt.full_register(register))
    if iced_x86.RegisterExt.is_gpr(register):
        return f"g{number}"
    for prefix, file in (("zmm", "xmm"), ("ymm", "xmm"), ("xmm", "xmm"), ("mm", "mm"), ("st", "st"), ("k", "k"), ("tmm", "tmm"), ("cr", "cr"), ("dr", "dr"), ("bnd", "bnd")):
        if name.startswith(prefix) and name[len(prefix) :].isdigit():
            return f"{file}{number}"
    return name


def _features(inst: Inst, theirs: iced_x86.Instruction) -> tuple[set[str], set[str]]:
    """The CPUID features that iced-x86 and the row name; of `A/B` the second stands for vectors beyond 128 bits."""
    wanted = {FEATURES[number].replace("_", "") for number in theirs.cpuid_features()}
    assert inst.row is not None
    pair = inst.row.feature.upper().replace("_", "").replace("-", "").replace(".", "").split("/")
    return {ALIASES.get(name, name) for name in wanted}, {pair[-1 if inst.vector_length > 16 else 0]} - {""}


def _sets(inst: Inst) -> tuple[set[str], set[str]]:
    reads = {_file(o) for o in inst.reads if isinstance(o, Register) and o.file != "seg"}
    writes = {_file(o) for o in inst.writes if isinstance(o, Register) and o.file != "seg"}
    return reads, writes


def compare(code: bytes, mode: int, factory: iced_x86.InstructionInfoFactory) -> Iterator[Difference]:
    """The differences of the instruction at the beginning of `code`; none where either does not decode it."""
    theirs = iced_x86.Decoder(mode, code, options=iced_x86.DecoderOptions.AMD).decode()
    inst = x86.decode(code, 0, mode)
    if theirs.is_invalid or inst.fault or theirs.len != inst.length or inst.row is None:
        return
    flags = inst.flags
    written = flags.get("written", "") + flags.get("cleared", "") + flags.get("set", "")
    for what, wanted, met in (
        ("flags read", theirs.rflags_read, flags.get("read", "")), ("flags changed", theirs.rflags_modified, written + flags.get("undefined", "")),
        ("flags undefined", theirs.rflags_undefined, flags.get("undefined", "")), ("flags cleared", theirs.rflags_cleared, flags.get("cleared", "")),
    ):  # fmt: skip
        if _letters(wanted) != _known(met):
            yield Difference(what, inst, _letters(wanted), _known(met))
    needed, named = _features(inst, theirs)
    if named and not named & needed:
        yield Difference("features", inst, " ".join(sorted(needed)), " ".join(named))
    info = factory.info(theirs)
    reads, writes = _sets(inst)
    used = [u for u in info.used_registers() if not iced_x86.RegisterExt.is_segment_register(u.register)]
    their_reads = {_their_file(u.register) for u in used if u.access in READS}
    their_writes = {_their_file(u.register) for u in used if u.access in WRITES}
    if their_reads != reads:
        yield Difference("registers read", inst, " ".join(sorted(their_reads - reads)) + " not ours", " ".join(sorted(reads - their_reads)) + " only ours")
    if their_writes != writes:
        yield Difference("registers written", inst, " ".join(sorted(their_writes - writes)) + " not ours", " ".join(sorted(writes - their_writes)) + " only ours")
    memory = [m.access for m in info.used_memory()]
    wanted_memory = (any(a in READS for a in memory), any(a in WRITES for a in memory))
    met_memory = (any(isinstance(o, Memory) for o in inst.reads), any(isinstance(o, Memory) for o in inst.writes))
    if wanted_memory != met_memory:
        yield Difference("memory", inst, str(wanted_memory), str(met_memory))


def differences(count: int, seed: int, mode: int) -> Iterator[Difference]:
    """The differences over random strings behind every escape and selecting prefix."""
    factory = iced_x86.InstructionInfoFactory()
    for code in random_strings(count, seed, HEADS):
        yield from compare(code[:15], mode, factory)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare reads, writes and flags with iced-x86's instruction information.")
    parser.add_argument("--count", type=int, default=50000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", type=int, choices=(16, 32, 64), default=64)
    parser.add_argument("--show", type=int, default=40)
    options = parser.parse_args()
    classes: dict[tuple[str, str, str, str], list[Difference]] = collections.defaultdict(list)
    for difference in differences(options.count, options.seed, options.mode):
        if expected(difference):
            continue
        classes[difference.what, difference.inst.mnemonic, difference.theirs, difference.ours].append(difference)
    for (what, name, theirs, ours), found in sorted(classes.items(), key=lambda item: -len(item[1]))[: options.show]:
        print(f"{len(found):6}  {what:17} {name:16} iced-x86 {theirs or '-'} | tanken {ours or '-'} | {found[0].inst!r}")
    print(f"{sum(map(len, classes.values()))} differences without a known reason, {len(classes)} classes, {options.count} strings")
    return int(bool(classes))


if __name__ == "__main__":
    sys.exit(main())
