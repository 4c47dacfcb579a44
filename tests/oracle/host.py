"""The host processor as an oracle: an instruction run natively from a full user state, in a child process of the caller.

Intel SDM volume 1, 3.4 and 10.5 (the state, its FXSAVE image); signal frames as in Linux, arch/x86 `struct sigcontext`.
"""

from __future__ import annotations

import ctypes
import mmap
import pickle
import random
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

DATA, DATA_SIZE = 0x1000_0000, 4096
CODE_PAGE, CODE = 0x1001_0000, 0x1001_0800
CONTROL = 0x1002_0000  # what the trampoline reads and the signal handler writes; offsets below
FLAGS, TARGET, FX, OUT, OUT_FX = 0x80, 0x88, 0x200, 0x800, 0xA00  # 0x90: the host's rsp, 0x400: its FXSAVE image
PRISTINE = random.Random(0xDA7A).randbytes(DATA_SIZE)
SIGNAL_ORDER = (13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7)  # rax rcx ... in the frame that begins with r8
TRAP_BREAKPOINT, TRAP_PAGE = 3, 14

# The program: enter with the state at CONTROL; every end of an instruction, good or bad, is a signal (int3 follows it).
PROGRAM = bytes.fromhex(
    "53 55 41 54 41 55 41 56 41 57 9c"  # push rbx, rbp, r12 to r15; pushfq
    "48 89 24 25 90 00 02 10"  # mov [CONTROL+0x90], rsp
    "48 0f ae 04 25 00 04 02 10"  # fxsave64 [CONTROL+0x400]
    "48 0f ae 0c 25 00 02 02 10"  # fxrstor64 [CONTROL+0x200]
    "ff 34 25 80 00 02 10 9d"  # push [CONTROL+0x80]; popfq
    "48 8b 04 25 00 00 02 10 48 8b 0c 25 08 00 02 10 48 8b 14 25 10 00 02 10 48 8b 1c 25 18 00 02 10"  # mov rax, rcx, rdx, rbx
    "48 8b 2c 25 28 00 02 10 48 8b 34 25 30 00 02 10 48 8b 3c 25 38 00 02 10"  # mov rbp, rsi, rdi
    "4c 8b 04 25 40 00 02 10 4c 8b 0c 25 48 00 02 10 4c 8b 14 25 50 00 02 10 4c 8b 1c 25 58 00 02 10"  # mov r8 to r11
    "4c 8b 24 25 60 00 02 10 4c 8b 2c 25 68 00 02 10 4c 8b 34 25 70 00 02 10 4c 8b 3c 25 78 00 02 10"  # mov r12 to r15
    "48 8b 24 25 20 00 02 10"  # mov rsp, [CONTROL+0x20]
    "ff 24 25 88 00 02 10"  # jmp [CONTROL+0x88]
)
# handler(edi signal, rsi siginfo, rdx ucontext): keep the registers and the FXSAVE image, then return from PROGRAM.
HANDLER = bytes.fromhex(
    "48 8d 72 28 bf 00 08 02 10 b9 b8 00 00 00 f3 a4"  # lea rsi, [rdx+40]; 184 bytes to CONTROL+0x800
    "48 8b b2 e0 00 00 00 bf 00 0a 02 10 b9 00 02 00 00 f3 a4"  # mov rsi, [rdx+224]; 512 bytes to CONTROL+0xa00
    "48 0f ae 0c 25 00 04 02 10"  # fxrstor64 [CONTROL+0x400]
    "48 8b 24 25 90 00 02 10 9d"  # mov rsp, [CONTROL+0x90]; popfq
    "41 5f 41 5e 41 5d 41 5c 5d 5b c3"  # pop r15 to r12, rbp, rbx; ret
)


@dataclass(slots=True)
class Case:
    """An instruction at CODE and the state it begins in; `patches` are (address, bytes) over PRISTINE."""

    code: bytes
    regs: list[int]
    flags: int = 0x202
    xmm: list[int] = field(default_factory=lambda: [0] * 16)
    mxcsr: int = 0x1F80
    patches: list[tuple[int, bytes]] = field(default_factory=list)
    st: list[int] = field(default_factory=lambda: [0] * 8)  # ST(0) first
    fpu: tuple[int, int, int, int] = (0x37F, 0, 0, 0)  # control, status without TOP, TOP, valid registers

    def wire(self) -> tuple[bytes, bytes, bytes, list[tuple[int, bytes]]]:
        control, status, top, valid = self.fpu
        head = struct.pack("<HHBxHQQII", control, status | top << 11, valid, 0, 0, 0, self.mxcsr, 0xFFFF)
        st = b"".join(value.to_bytes(16, "little") for value in self.st)
        xmm = b"".join(value.to_bytes(16, "little") for value in self.xmm)
        image = (head + st + xmm).ljust(512, b"\0")
        return self.code, struct.pack("<18Q", *self.regs, self.flags, CODE), image, self.patches


@dataclass(frozen=True, slots=True)
class Result:
    """What the host did: `trap` is the vector of its exception, None where it came to an end at `rip`."""

    trap: int | None
    rip: int
    regs: list[int]
    flags: int
    xmm: list[int]
    mxcsr: int
    st: list[int]
    fpu: tuple[int, int, int, int]
    data: bytes
    fault_address: int

    @staticmethod
    def of(frame: bytes, image: bytes, data: bytes) -> Result:
        words = struct.unpack("<23Q", frame)
        rip, flags, error, number, address = words[16], words[17], words[19], words[20], words[22]
        trap: int | None = number
        if number == TRAP_BREAKPOINT:
            trap, rip = None, rip - 1
        elif number == TRAP_PAGE and error & 16 and address == rip and rip != CODE:
            trap = None  # arrived where no code is
        control, status, valid, mxcsr = struct.unpack_from("<HHB", image) + struct.unpack_from("<I", image, 24)
        st = [int.from_bytes(image[at : at + 10], "little") for at in range(32, 160, 16)]
        xmm = [int.from_bytes(image[at : at + 16], "little") for at in range(160, 416, 16)]
        fpu = (control, status & ~0x3800, status >> 11 & 7, valid)
        return Result(trap, rip, [words[n] for n in SIGNAL_ORDER], flags, xmm, mxcsr, st, fpu, data, address)


class Host:
    """The child; `run` gives one Result a case."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.oracle.host"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, cases: Sequence[Case]) -> list[Result]:
        """Run each case from its own state; raises EOFError where the child dies, which no case should bring about."""
        assert self._child.stdin is not None and self._child.stdout is not None
        pickle.dump([case.wire() for case in cases], self._child.stdin)
        self._child.stdin.flush()
        return [Result.of(*answer) for answer in pickle.load(self._child.stdout)]

    def close(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# -- the child ---------------------------------------------------------------------------------------------------------------


class _Action(ctypes.Structure):
    _fields_ = (("handler", ctypes.c_void_p), ("mask", ctypes.c_ulong * 16), ("flags", ctypes.c_int), ("restorer", ctypes.c_void_p))


class _Stack(ctypes.Structure):
    _fields_ = (("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


SA_SIGINFO, SA_ONSTACK, SA_NODEFER = 4, 0x0800_0000, 0x4000_0000
CAUGHT = (signal.SIGILL, signal.SIGTRAP, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV)


def _map_fixed(libc: Any, address: int, size: int, protection: int) -> None:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10  # MAP_FIXED
    got = libc.mmap(ctypes.c_void_p(address), ctypes.c_size_t(size), protection, flags, -1, ctypes.c_long(0))
    if got != address:
        raise OSError(f"mmap gave {got:#x} for {address:#x}")


def _prepare() -> Any:
    """Map the pages, put the program there and let the five signals come to its handler; gives the program as a function."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_size_t
    _map_fixed(libc, DATA, DATA_SIZE, mmap.PROT_READ | mmap.PROT_WRITE)
    _map_fixed(libc, CODE_PAGE, 4096, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    _map_fixed(libc, CONTROL, 8192, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    ctypes.memset(CODE_PAGE, 0xCC, 4096)
    program, handler = CONTROL + 4096, CONTROL + 4096 + 512
    ctypes.memmove(program, PROGRAM, len(PROGRAM))
    ctypes.memmove(handler, HANDLER, len(HANDLER))
    stack = _Stack(ctypes.cast(ctypes.create_string_buffer(1 << 16), ctypes.c_void_p), 0, 1 << 16)
    libc.sigaltstack(ctypes.byref(stack), None)
    action = _Action(handler=handler, flags=SA_SIGINFO | SA_ONSTACK | SA_NODEFER)
    for number in CAUGHT:
        libc.sigaction(int(number), ctypes.byref(action), None)
    return stack, ctypes.CFUNCTYPE(None)(program)


def _run(program: Any, code: bytes, registers: bytes, image: bytes, patches: list[tuple[int, bytes]]) -> tuple[bytes, bytes, bytes]:
    ctypes.memmove(DATA, PRISTINE, DATA_SIZE)
    for address, data in patches:
        ctypes.memmove(address, data, len(data))
    ctypes.memmove(CODE, code, len(code))
    ctypes.memmove(CONTROL, registers, len(registers))
    ctypes.memmove(CONTROL + FX, image, len(image))
    program()
    ctypes.memset(CODE, 0xCC, len(code))
    return ctypes.string_at(CONTROL + OUT, 184), ctypes.string_at(CONTROL + OUT_FX, 512), ctypes.string_at(DATA, DATA_SIZE)


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer batches of cases until the parent closes its end; a batch that runs for half a minute ends the child."""
    _kept, program = _prepare()
    while True:
        try:
            batch = pickle.load(source)
        except EOFError:
            return
        signal.alarm(30)
        answers = [_run(program, *case) for case in batch]
        signal.alarm(0)
        pickle.dump(answers, sink)
        sink.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
