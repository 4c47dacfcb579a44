"""The state of an x86-64 processor as a user program sees it: registers, flags, SSE and x87 state, and their names as Places.

Intel SDM volume 1, 3.4 (registers, RFLAGS), 8.1 (x87), 10.2.3 (MXCSR); every number is a non-negative int. The initial values are those of
a fresh Linux process.
"""

from __future__ import annotations

from tanken.isa.architecture import Place

GPR_NAMES = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)))
RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)
SEGMENT_NAMES = ("es", "cs", "ss", "ds", "fs", "gs")

GPR = tuple(Place("regs", 64, n) for n in range(16))
RIP = Place("rip", 64)
CF, PF, AF, ZF, SF, DF, OF = (Place(name, 1) for name in ("cf", "pf", "af", "zf", "sf", "df", "of"))
SYSTEM_FLAGS = Place("system_flags", 32)  # the bits of RFLAGS that are not one of the seven above
FS_BASE, GS_BASE = Place("fs_base", 64), Place("gs_base", 64)
SEGMENT = tuple(Place("segments", 16, n) for n in range(6))
XMM = tuple(Place("xmm", 128, n) for n in range(16))
UPPER = tuple(Place("upper", 128, n) for n in range(16))  # bits 128 to 255 of the vector registers
MXCSR = Place("mxcsr", 32)
FPU_CONTROL, FPU_STATUS, FPU_TOP = Place("fpu_control", 16), Place("fpu_status", 16), Place("fpu_top", 3)
FPU_VALID = Place("fpu_valid", 8)  # bit n: physical register n holds something (FXSAVE's abridged tag word)
FPU_OPCODE, FPU_IP, FPU_CS = Place("fpu_opcode", 16), Place("fpu_ip", 64), Place("fpu_cs", 16)  # of the last x87 instruction
FPU_DP, FPU_DS = Place("fpu_dp", 64), Place("fpu_ds", 16)  # of its last memory operand
ENTROPY = Place("entropy", 64)  # what the next RDRAND gives follows from it
PLACES = (*GPR, RIP, CF, PF, AF, ZF, SF, DF, OF, SYSTEM_FLAGS, FS_BASE, GS_BASE, *SEGMENT, *XMM, *UPPER, MXCSR, FPU_CONTROL, FPU_STATUS, FPU_TOP, FPU_VALID, FPU_OPCODE,
          FPU_IP, FPU_CS, FPU_DP, FPU_DS, ENTROPY)  # fmt: skip

FLAG_BITS = {"cf": 0, "pf": 2, "af": 4, "zf": 6, "sf": 7, "df": 10, "of": 11}
FIXED = 0x202  # bit 1 always reads one; interrupts are on
CHANGEABLE = 1 << 8 | 1 << 14 | 1 << 18 | 1 << 21  # TF NT AC ID: what a user program's POPF changes beside the seven


class Register:
    """A general register as an attribute of the state: `state.rax`."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __get__(self, state: State, owner: type | None = None) -> int:
        return state.regs[self.number]

    def __set__(self, state: State, value: int) -> None:
        state.regs[self.number] = value


class State:
    """One processor's registers; `copy()` is independent, equality is by value."""

    __slots__ = (  # noqa: RUF023  (in a reader's order)
        "regs", "rip", "cf", "pf", "af", "zf", "sf", "df", "of", "system_flags", "fs_base", "gs_base", "segments", "xmm", "upper", "mxcsr",
        "st", "fpu_control", "fpu_status", "fpu_top", "fpu_valid", "fpu_opcode", "fpu_ip", "fpu_cs", "fpu_dp", "fpu_ds", "entropy",
    )  # fmt: skip

    rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 = (Register(number) for number in range(16))

    def __init__(self) -> None:
        self.regs = [0] * 16
        self.rip = 0
        self.cf = self.pf = self.af = self.zf = self.sf = self.df = self.of = 0
        self.system_flags = FIXED
        self.fs_base = self.gs_base = 0
        self.segments = [0, 0x33, 0x2B, 0, 0, 0]  # Linux's user CS and SS
        self.xmm = [0] * 16
        self.upper = [0] * 16
        self.mxcsr = 0x1F80
        self.st = [0] * 8  # physical registers R0..R7, 80 bits; ST(i) is R((TOP + i) mod 8)
        self.fpu_control = 0x37F
        self.fpu_status = 0  # without TOP, which stands apart
        self.fpu_top = 0
        self.fpu_valid = 0
        self.fpu_opcode = self.fpu_ip = self.fpu_cs = self.fpu_dp = self.fpu_ds = 0
        self.entropy = 0

    def copy(self) -> State:
        """An equal state that shares nothing."""
        new = State.__new__(State)
        for name in State.__slots__:
            value = getattr(self, name)
            setattr(new, name, value if isinstance(value, int) else list(value))
        return new

    def assign(self, other: State) -> None:
        """Take the values of `other`; lists, which may be views of an engine's memory, stay the objects that they are."""
        for name in State.__slots__:
            value = getattr(other, name)
            if isinstance(value, int):
                setattr(self, name, value)
            else:
                mine = getattr(self, name)
                for number, element in enumerate(value):
                    mine[number] = element

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and all(getattr(self, name) == getattr(other, name) for name in State.__slots__)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        registers = " ".join(f"{name}={value:#x}" for name, value in zip(GPR_NAMES, self.regs, strict=True))
        flags = "".join(name[0] for name in FLAG_BITS if getattr(self, name))
        return f"<State rip={self.rip:#x} {registers} flags={flags or '-'}>"

    @property
    def rflags(self) -> int:
        """The packed word, bit 1 and IF set."""
        value = self.system_flags
        for name, bit in FLAG_BITS.items():
            value |= getattr(self, name) << bit
        return value

    @rflags.setter
    def rflags(self, value: int) -> None:
        for name, bit in FLAG_BITS.items():
            setattr(self, name, value >> bit & 1)
        self.system_flags = value & CHANGEABLE | FIXED

    def changes(self, before: State) -> list[tuple[str, int, int]]:
        """(name, old, new) of everything that differs from `before`, rip apart; what `run --trace` prints."""
        found = [(place_name(place), old, new) for place in PLACES[:16] + PLACES[17:] if (old := _of(before, place)) != (new := _of(self, place))]
        return found + [(f"st{n}", before.st[n], self.st[n]) for n in range(8) if before.st[n] != self.st[n]]


def _of(state: State, place: Place) -> int:
    value = getattr(state, place.field)
    return int(value if place.index is None else value[place.index])


def place_name(place: Place) -> str:
    """The name a reader knows: "rax", "xmm3", "fs", "cf"."""
    if place.index is None:
        return place.field
    if place.field == "regs":
        return GPR_NAMES[place.index]
    return SEGMENT_NAMES[place.index] if place.field == "segments" else f"{place.field}{place.index}"
