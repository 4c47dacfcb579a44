"""The host processor as an oracle: an instruction run natively from a full user state, in a child process of the caller.

Intel SDM volume 1, 3.4 and 13.4 (the state, its XSAVE image); signal frames as in Linux, arch/x86 `struct sigcontext`. 32-bit code runs in
Linux's compatibility segment, entered and left by the same 64-bit program.
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
# 0x80: flags; 0x88: far pointer to the instruction; 0x90, 0x98, 0xA0: the host's rsp and bases of FS and GS, 0x600: its XSAVE image
BASES, OUT_BASES, IMAGE, OUT, OUT_IMAGE = 0xA8, 0xB8, 0x200, 0x980, 0xA40
IMAGE_SIZE = 832  # legacy, header, upper halves of the vector registers
SELECTORS = {64: 0x33, 32: 0x23}
PRISTINE = random.Random(0xDA7A).randbytes(DATA_SIZE)
POINTERS = 0x123, 0x4567_89AB, 0x1234_5678  # opcode, instruction and operand of an x87 instruction before the case
COMPONENTS = 7  # of an XSAVE image: x87, SSE, upper halves
SIGNAL_ORDER = (13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7)  # rax rcx ... in the frame that begins with r8
TRAP_BREAKPOINT, TRAP_PAGE = 3, 14

# The program: enter with the state at CONTROL; every end of an instruction, good or bad, is a signal (int3 follows it).
PROGRAM = bytes.fromhex(
    "53 55 41 54 41 55 41 56 41 57 9c"  # push rbx, rbp, r12 to r15; pushfq
    "48 89 24 25 90 00 02 10"  # mov [CONTROL+0x90], rsp
    "f3 48 0f ae c0 48 89 04 25 98 00 02 10"  # rdfsbase rax; mov [CONTROL+0x98], rax
    "f3 48 0f ae c8 48 89 04 25 a0 00 02 10"  # rdgsbase rax; mov [CONTROL+0xa0], rax
    "b8 2b 00 00 00 8e d8 8e c0"  # mov eax, 0x2b; mov ds, eax; mov es, eax (32-bit code needs them)
    "b8 07 00 00 00 31 d2"  # mov eax, 7; xor edx, edx
    "48 0f ae 24 25 00 06 02 10"  # xsave64 [CONTROL+0x600]
    "48 0f ae 2c 25 00 02 02 10"  # xrstor64 [CONTROL+0x200]
    "48 8b 04 25 a8 00 02 10 f3 48 0f ae d0"  # mov rax, [CONTROL+0xa8]; wrfsbase rax
    "48 8b 04 25 b0 00 02 10 f3 48 0f ae d8"  # mov rax, [CONTROL+0xb0]; wrgsbase rax
    "ff 34 25 80 00 02 10 9d"  # push [CONTROL+0x80]; popfq
    "48 8b 04 25 00 00 02 10 48 8b 0c 25 08 00 02 10 48 8b 14 25 10 00 02 10 48 8b 1c 25 18 00 02 10"  # mov rax, rcx, rdx, rbx
    "48 8b 2c 25 28 00 02 10 48 8b 34 25 30 00 02 10 48 8b 3c 25 38 00 02 10"  # mov rbp, rsi, rdi
    "4c 8b 04 25 40 00 02 10 4c 8b 0c 25 48 00 02 10 4c 8b 14 25 50 00 02 10 4c 8b 1c 25 58 00 02 10"  # mov r8 to r11
    "4c 8b 24 25 60 00 02 10 4c 8b 2c 25 68 00 02 10 4c 8b 34 25 70 00 02 10 4c 8b 3c 25 78 00 02 10"  # mov r12 to r15
    "48 8b 24 25 20 00 02 10"  # mov rsp, [CONTROL+0x20]
    "ff 2c 25 88 00 02 10"  # jmp far [CONTROL+0x88]
)
# handler(edi signal, rsi siginfo, rdx ucontext): keep the registers and the XSAVE image, then return from PROGRAM.
HANDLER = bytes.fromhex(
    "f3 48 0f ae c0 48 89 04 25 b8 00 02 10"  # rdfsbase rax; mov [CONTROL+0xb8], rax
    "f3 48 0f ae c8 48 89 04 25 c0 00 02 10"  # rdgsbase rax; mov [CONTROL+0xc0], rax
    "8c c0 66 89 04 25 c8 00 02 10 8c d8 66 89 04 25 ca 00 02 10"  # mov eax, es; mov [CONTROL+0xc8], ax; ds to 0xca
    "8c e0 66 89 04 25 cc 00 02 10 8c e8 66 89 04 25 ce 00 02 10"  # fs to 0xcc, gs to 0xce
    "31 c0 8e e0 8e e8"  # xor eax, eax; mov fs, eax; mov gs, eax
    "48 8b 04 25 98 00 02 10 f3 48 0f ae d0"  # mov rax, [CONTROL+0x98]; wrfsbase rax
    "48 8b 04 25 a0 00 02 10 f3 48 0f ae d8"  # mov rax, [CONTROL+0xa0]; wrgsbase rax
    "48 8d 72 28 bf 80 09 02 10 b9 b8 00 00 00 f3 a4"  # lea rsi, [rdx+40]; 184 bytes to CONTROL+0x980
    "48 8b b2 e0 00 00 00 bf 40 0a 02 10 b9 40 03 00 00 f3 a4"  # mov rsi, [rdx+224]; 832 bytes to CONTROL+0xa40
    "b8 07 00 00 00 31 d2 48 0f ae 2c 25 00 06 02 10"  # mov eax, 7; xor edx, edx; xrstor64 [CONTROL+0x600]
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
    upper: list[int] = field(default_factory=lambda: [0] * 16)  # halves of the vector registers
    mode: int = 64
    bases: tuple[int, int] = (0, 0)  # of FS and GS
    after: bytes = b""  # instructions that follow the one

    def wire(self) -> tuple[bytes, bytes, bytes, list[tuple[int, bytes]]]:
        control, status, top, valid = self.fpu
        head = struct.pack("<HHBxHQQII", control, status | top << 11, valid, *POINTERS, self.mxcsr, 0xFFFF)
        st, xmm, upper = (b"".join(value.to_bytes(16, "little") for value in values) for values in (self.st, self.xmm, self.upper))
        image = (head + st + xmm).ljust(512, b"\0") + struct.pack("<Q56x", COMPONENTS) + upper
        registers = struct.pack("<17QIHxx24x2Q", *self.regs, self.flags, CODE, SELECTORS[self.mode], *self.bases)
        return self.code + self.after, registers, image, self.patches


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
    upper: list[int]
    pointers: tuple[int, int, int]  # of the last x87 instruction: its opcode, where it stood, its operand
    error: int
    segments: list[int]
    bases: tuple[int, int]

    @staticmethod
    def of(frame: bytes, image: bytes, data: bytes, selectors: bytes) -> Result:
        words = struct.unpack("<23Q", frame)
        rip, flags, error, number, address = words[16], words[17], words[19], words[20], words[22]
        trap: int | None = number
        if number == TRAP_BREAKPOINT:
            trap, rip = None, rip - 1
        elif number == TRAP_PAGE and error & 16 and address == rip and rip != CODE:
            trap = None  # arrived where no code is
        control, status, valid, opcode, at, operand, mxcsr = struct.unpack_from("<HHBxHQQI", image)
        st = [int.from_bytes(image[at : at + 10], "little") for at in range(32, 160, 16)]
        xmm, upper = ([int.from_bytes(image[at : at + 16], "little") for at in range(start, start + 256, 16)] for start in (160, 576))
        fpu = (control, status & ~0x3800, status >> 11 & 7, valid)
        regs = [words[n] for n in SIGNAL_ORDER]
        *bases, es, ds, fs, gs = struct.unpack("<2Q4H", selectors)
        segments = [es, words[18] & 0xFFFF, words[18] >> 48, ds, fs, gs]
        return Result(trap, rip, regs, flags, xmm, mxcsr, st, fpu, data, address, upper, (opcode, at, operand), error, segments, (bases[0], bases[1]))


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
    program, handler = CONTROL + 4096, CONTROL + 4096 + 1024
    ctypes.memmove(program, PROGRAM, len(PROGRAM))
    ctypes.memmove(handler, HANDLER, len(HANDLER))
    stack = _Stack(ctypes.cast(ctypes.create_string_buffer(1 << 16), ctypes.c_void_p), 0, 1 << 16)
    libc.sigaltstack(ctypes.byref(stack), None)
    action = _Action(handler=handler, flags=SA_SIGINFO | SA_ONSTACK | SA_NODEFER)
    for number in CAUGHT:
        libc.sigaction(int(number), ctypes.byref(action), None)
    return stack, ctypes.CFUNCTYPE(None)(program)


def _run(program: Any, code: bytes, registers: bytes, image: bytes, patches: list[tuple[int, bytes]]) -> tuple[bytes, ...]:
    ctypes.memmove(DATA, PRISTINE, DATA_SIZE)
    for address, data in patches:
        ctypes.memmove(address, data, len(data))
    ctypes.memmove(CODE, code, len(code))
    ctypes.memmove(CONTROL, registers[: 0x90], 0x90)
    ctypes.memmove(CONTROL + BASES, registers[BASES:], 16)
    ctypes.memmove(CONTROL + IMAGE, image, len(image))
    program()
    ctypes.memset(CODE, 0xCC, len(code))
    answer = ((CONTROL + OUT, 184), (CONTROL + OUT_IMAGE, IMAGE_SIZE), (DATA, DATA_SIZE), (CONTROL + OUT_BASES, 24))
    return tuple(ctypes.string_at(address, size) for address, size in answer)


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
