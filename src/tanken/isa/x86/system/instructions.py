"""The instructions that mean more to a whole processor than to a user program; all others are those of `isa.x86.semantics`.

Intel SDM volume 2. Short ones are written for the abstract machine, so that they run natively too; long ones are procedures of this package.
"""

from __future__ import annotations

from tanken.isa.architecture import Value
from tanken.isa.x86.inst import Memory, Register
from tanken.isa.x86.semantics import legacy, move
from tanken.isa.x86.semantics.execution import GP, UD
from tanken.isa.x86.semantics.flags import packed_flags
from tanken.isa.x86.semantics.system import read_base, write_base
from tanken.isa.x86.semantics.xsave import _in_use
from tanken.isa.x86.state import RAX, RCX, RDX, SYSTEM_FLAGS, ZF
from tanken.isa.x86.system import control as C
from tanken.isa.x86.system import descriptors as D
from tanken.isa.x86.system import state as S
from tanken.isa.x86.system import virtual
from tanken.isa.x86.system.core import Core
from tanken.isa.x86.system.execution import SystemExecution, system
from tanken.isa.x86.system.returns import restore_flags
from tanken.isa.x86.system.state import CPL, CR0, CR4, PKRU, SHADOW, WINDOW, XCR0

# -- flags


def _iopl_too_low(x: SystemExecution) -> Value:
    return x.get(SYSTEM_FLAGS).bits(12, 2).below(x.get(CPL).trunc(2))


def _is_virtual(x: SystemExecution) -> bool:
    """Whether the interrupt flag may be the program's own (`virtual`); what native code meets of it faults, and comes again."""
    return not x.translating and (x.context.virtual or bool(x.context.cr4 & S.PVI and x.context.cpl == 3))


@system("cli")
def cli(x: SystemExecution) -> None:
    if _is_virtual(x):
        return x.do(lambda core: virtual.set_interrupt_flag(core, False))
    x.fault(GP, "CLI above IOPL", _iopl_too_low(x), 0)
    x.set(SYSTEM_FLAGS, x.get(SYSTEM_FLAGS) & ~S.IF)


@system("sti")
def sti(x: SystemExecution) -> None:
    """No interrupt comes before the next instruction has run."""
    if _is_virtual(x):
        return x.do(lambda core: virtual.set_interrupt_flag(core, True))
    x.fault(GP, "STI above IOPL", _iopl_too_low(x), 0)
    if x.translating:
        x.fault(GP, "somebody waits for it: the slow engine tells him", ~x.get(WINDOW).is_zero())
    flags = x.get(SYSTEM_FLAGS)
    x.set(SHADOW, flags.bit(9).select(x.get(SHADOW), x.constant(x.next, 64)))
    x.set(SYSTEM_FLAGS, flags | S.IF)


@system("pushf")
def pushf(x: SystemExecution) -> None:
    if x.context.virtual:
        size = x.inst.operand_size
        return x.push(x.constant(x.ask(lambda core: virtual.pushed_flags(core, size)) & (1 << x.width) - 1, x.width))
    x.push((packed_flags(x) & ~(S.RF | S.VM)).trunc(x.width))


@system("popf")
def popf(x: SystemExecution) -> None:
    size, value = x.inst.operand_size, x.pop(x.width)

    def restore(core: Core, flags: int) -> None:
        if not core.state.virtual or not virtual.restores_flags(core, flags, size):
            restore_flags(core, flags, size, core.state.cpl, False)
        core.memory.changed()  # AC may be another

    x.ask(restore, value)


@system("clac", "stac")
def access_flag(x: SystemExecution) -> None:
    x.privileged()
    bits = S.AC if x.mnemonic == "stac" else 0

    def change(core: Core) -> None:
        core.state.system_flags = core.state.system_flags & ~S.AC | bits
        core.memory.changed()

    x.ask(change)


# -- control registers and tables


@system("mov")
def mov(x: SystemExecution) -> None:
    """Between general and control, debug or segment registers; else as everywhere."""
    target, source = x.operands[0], x.operands[1]
    files = [operand.file if isinstance(operand, Register) else "" for operand in (target, source)]
    if "cr" in files or "dr" in files:
        return _mov_special(x, files)
    if files[0] == "seg":
        assert isinstance(target, Register)
        number = target.number & 7
        if number == S.CS or number > 5:
            return x.fault(UD, "MOV to CS, or to no segment register")
        return _load(x, number, x.location(1, 16 if isinstance(source, Memory) else 0).read().trunc(16))
    move.mov(x)


def _mov_special(x: SystemExecution, files: list[str]) -> None:
    x.privileged()
    wide = 64 if x.inst.mode == 64 else 32
    is_write = files[0] in ("cr", "dr")
    special, general = (x.operands[0], x.operands[1]) if is_write else (x.operands[1], x.operands[0])
    assert isinstance(special, Register) and isinstance(general, Register)
    number = special.number
    register = x.register(general.number, wide)
    debug = "dr" in files
    if debug and number > 7:
        return x.fault(UD, f"there is no DR{number}")
    if is_write:
        procedure = C.write_dr if debug else C.write_cr
        x.ask(lambda core, value: procedure(core, number, value), register.read())
    else:
        reader = C.read_dr if debug else C.read_cr
        register.write(x.constant(x.ask(lambda core: reader(core, number)), wide))


def _load(x: SystemExecution, number: int, selector: Value) -> None:
    """A selector into a segment register; after SS the next instruction is not interrupted."""

    def load(core: Core, value: int) -> None:
        D.load_segment(core, number, value)
        if number == S.SS:
            core.state.shadow = core.following

    x.ask(load, selector)


@system("pop")
def pop(x: SystemExecution) -> None:
    value, target = x.pop(x.width), x.operands[0]
    if isinstance(target, Register) and target.file == "seg":
        _load(x, target.number, value.trunc(16))
    else:
        x.location(0).write(value)


@system("lss", "lds", "les", "lfs", "lgs")
def load_far(x: SystemExecution) -> None:
    target, number = x.location(0), {"e": 0, "s": 2, "d": 3, "f": 4, "g": 5}[x.mnemonic[1]]
    pointer = x.location(1, target.width + 16).read()
    _load(x, number, pointer.bits(target.width, 16))
    x.ask(lambda core: _no_shadow(core))
    target.write(pointer.trunc(target.width))


def _no_shadow(core: Core) -> None:
    core.state.shadow = S.NOWHERE - 1


def _table_operand(x: SystemExecution) -> Value:
    operand = x.operands[0]
    assert isinstance(operand, Memory)
    return x.address(operand)


@system("lgdt", "lgdtw", "lgdtd", "lidt", "lidtw", "lidtd")
def load_table(x: SystemExecution) -> None:
    x.privileged()
    address, long = _table_operand(x), x.inst.mode == 64
    limit, base = x.machine.load(address, 2), x.machine.load(address + 2, 8 if long else 4)
    if not long and x.inst.operand_size == 2:
        base = base & 0xFF_FFFF
    name = x.mnemonic[1:4] + "r"

    def load(core: Core, limit: int, base: int) -> None:
        if not core.is_canonical(base):
            core.fault(GP, 0, "a table at no canonical address")
        setattr(core.state, name + "_limit", limit)
        setattr(core.state, name + "_base", base)

    x.ask(load, limit, base)


def _umip(x: SystemExecution) -> None:
    x.fault(GP, "hidden by UMIP", x.get(CR4).bit(11) & ~x.get(CPL).is_zero(), 0)


@system("sgdt", "sgdtw", "sgdtd", "sidt", "sidtw", "sidtd")
def store_table(x: SystemExecution) -> None:
    _umip(x)
    address, name, wide = _table_operand(x), x.mnemonic[1:4] + "r", 64 if x.inst.mode == 64 else 32
    limit, base = x.ask(lambda core: (getattr(core.state, name + "_limit"), getattr(core.state, name + "_base")))
    x.machine.store(address, x.constant(limit, 16))
    x.machine.store(address + 2, x.constant(base, wide))


def _protected(x: SystemExecution) -> None:
    x.fault(UD, "no protected mode, or a virtual 8086", x.get(CR0).bit(0).is_zero() | x.get(SYSTEM_FLAGS).bit(17))


@system("arpl")
def arpl(x: SystemExecution) -> None:
    _protected(x)
    legacy.arpl(x)


@system("sldt", "str")
def store_selector(x: SystemExecution) -> None:
    _umip(x)
    _protected(x)
    target = x.location(0)
    target.write(x.constant(x.ask(lambda core: core.state.ldtr if x.mnemonic == "sldt" else core.state.tr), target.width))


@system("lldt", "ltr")
def load_selector(x: SystemExecution) -> None:
    _protected(x)
    x.privileged()
    x.ask(D.lldt if x.mnemonic == "lldt" else D.ltr, x.location(0, 16).read())


@system("smsw")
def smsw(x: SystemExecution) -> None:
    _umip(x)
    target = x.location(0)
    target.write(x.get(CR0).trunc(target.width))


@system("lmsw")
def lmsw(x: SystemExecution) -> None:
    x.privileged()
    x.ask(C.load_machine_status, x.location(0, 16).read())


@system("clts")
def clts(x: SystemExecution) -> None:
    x.privileged()
    x.ask(lambda core: C.write_cr0(core, core.state.cr0 & ~S.TS))


@system("invlpg")
def invlpg(x: SystemExecution) -> None:
    x.privileged()
    operand = x.operands[0]
    assert isinstance(operand, Memory)
    offset = x.offset(operand)
    if x.inst.mode != 64 or operand.segment >= S.FS:
        offset = offset + x.get(S.BASE[operand.segment])
    x.ask(C.invalidate_page, offset)


@system("invpcid")
def invpcid(x: SystemExecution) -> None:
    x.privileged()
    operand = x.operands[1]
    assert isinstance(operand, Memory)
    x.ask(C.invalidate_pcid, x.location(0).read(), x.address(operand))


@system("invd", "wbinvd", "wbnoinvd")
def write_back(x: SystemExecution) -> None:
    """There are no caches to empty."""
    x.privileged()


@system("xsetbv")
def xsetbv(x: SystemExecution) -> None:
    x.no_operand_prefix()
    x.fault(UD, "XSETBV without OSXSAVE", x.get(CR4).bit(18).is_zero())
    x.privileged()
    x.ask(C.set_xcr, x.register(RCX, 32).read(), x.register(RAX, 32).read().below_high(x.register(RDX, 32).read()))


@system("xgetbv")
def xgetbv(x: SystemExecution) -> None:
    x.no_operand_prefix()
    x.fault(UD, "XGETBV without OSXSAVE", x.get(CR4).bit(18).is_zero())
    which = x.register(RCX, 32).read()
    x.fault(GP, "there are extended control registers 0 and 1", ~which.below(2), 0)
    enabled = x.get(XCR0)
    value = which.is_zero().select(enabled, enabled & _in_use(x))
    x.register(RAX, 32).write(value.trunc(32))
    x.register(RDX, 32).write(value.bits(32, 32))


@system("swapgs")
def swapgs(x: SystemExecution) -> None:
    if x.inst.mode != 64:
        return x.fault(UD, "SWAPGS outside 64-bit mode")
    x.privileged()
    x.ask(C.swap_gs)


@system("rdfsbase", "rdgsbase")
def read_base_(x: SystemExecution) -> None:
    x.fault(UD, "FSGSBASE is off", x.get(CR4).bit(16).is_zero())
    read_base(x)


@system("wrfsbase", "wrgsbase")
def write_base_(x: SystemExecution) -> None:
    x.fault(UD, "FSGSBASE is off", x.get(CR4).bit(16).is_zero())
    write_base(x)


@system("rdpkru", "wrpkru")
def protection_keys(x: SystemExecution) -> None:
    x.fault(UD, "protection keys are off", x.get(CR4).bit(22).is_zero())
    x.fault(GP, "ECX is not 0", ~x.register(RCX, 32).read().is_zero(), 0)
    if x.mnemonic == "rdpkru":
        x.register(RAX, 32).write(x.get(PKRU))
        return x.register(RDX, 32).write(x.constant(0, 32))
    x.fault(GP, "EDX is not 0", ~x.register(RDX, 32).read().is_zero(), 0)

    def write(core: Core, value: int) -> None:
        core.state.pkru = value
        core.memory.flush()

    x.ask(write, x.register(RAX, 32).read())


# -- what may be asked about descriptors


@system("lar", "lsl")
def describe(x: SystemExecution) -> None:
    _protected(x)
    target, selector = x.location(0), x.location(1, 16).read()
    types = D.LAR_TYPES if x.mnemonic == "lar" else D.LSL_TYPES
    descriptor = x.ask(lambda core, value: D.seen(core, value, types), selector)
    x.set(ZF, x.constant(descriptor is not None, 1))
    if descriptor is not None:
        value = descriptor.raw >> 32 & 0xFF_FF00 if x.mnemonic == "lar" else descriptor.limit
        target.write(x.constant(value, target.width))


@system("verr", "verw")
def verify(x: SystemExecution) -> None:
    _protected(x)
    allowed = x.ask(lambda core, selector: D.may_access(core, selector, x.mnemonic == "verw"), x.location(0, 16).read())
    x.set(ZF, x.constant(allowed, 1))
