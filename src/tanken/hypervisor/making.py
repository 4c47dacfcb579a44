"""What our own processor needs before it can run natively, made once by two processes: the translator, and the stencils that a boot of Linux asks for.

`linux.codes` holds shapes of instructions, found by booting Debian's kernel (`python -m benchmarks.codes`): their bytes with
displacement and immediate operand at zero where these do not matter, and behind them those of a branch that is joined to them.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tanken.base.progress import Event, Progress, silent
from tanken.engine.native.machinery import BLOB
from tanken.engine.native.maker import Maker
from tanken.engine.native.paged_ir import PagedBody, PagedRecorder
from tanken.engine.native.store import translator_path
from tanken.engine.native.system import SystemStore
from tanken.isa.x86.kernels.decoder import decode_one
from tanken.isa.x86.kernels.fields import C_FAULT, C_FORM, C_IMMEDIATE
from tanken.isa.x86.native import template as P
from tanken.isa.x86.native.keys import enter_key, find_key, first_key, second_key
from tanken.isa.x86.native.system import SystemX86
from tanken.notation import lines

CODES = Path(__file__).parent / "linux.codes"
EVERY = 50  # stencils between two words of progress
JOB = "making our own processor"
Shape = tuple[bytes, ...]  # an instruction, and perhaps the branch behind it


class StencilStore(SystemStore):
    """What is kept for whole processors, without the translator."""

    signatures: dict[str, str] = {}

    def _translator(self) -> tuple[bytes, dict[str, int]]:
        return bytes(4096), {}


class Stencils:
    """Tables of stencils without an engine around them."""

    def __init__(self) -> None:
        self.target = SystemX86()
        self.store = StencilStore(self.target)
        N = self.N = self.target.tables
        self.rows = self.target.decoder_tables()
        self.tab: Any = memoryview(bytearray(N.END * 8)).cast("q")
        self.blob = memoryview(bytearray(BLOB))
        self.store.load(self.tab, self.blob)
        block = memoryview(ctypes.create_string_buffer(self.target.block_size)).cast("B")
        self.maker = Maker(self.target, self.tab, self.blob, block, self._enter)
        self.maker.new_body = lambda lowering, loose: PagedBody(lowering, N, loose)
        self.maker.new_recorder = PagedRecorder

    def _enter(self, k0: int, k1: int, k2: int, number: int) -> None:
        enter_key(self.tab, k0, k1, k2, number)

    def _decode(self, code: bytes, row: int) -> int:
        """Decode into a row of the table; what is known of the form, which is learnt if need be."""
        N, tab = self.N, self.tab
        decode_one(self.rows, code, 0, len(code), 8, 0, tab, row)
        form = tab[row + C_FORM]
        if tab[row + C_FAULT] == 0 and not tab[N.FORMS + form]:
            self.maker.analyse(form, code, 0)
        return int(tab[N.FORMS + form])

    def key(self, shape: Shape) -> tuple[int, int, int] | None:
        """As the translator makes it (`native.paged.choose`, `native.choice.fuse`); None for what native code leaves out."""
        N, tab = self.N, self.tab
        condition = self._decode(shape[1], N.ROWS) >> P.CONDITION_SHIFT & 31 if len(shape) > 1 else 0
        known = self._decode(shape[0], N.ROWS)
        if tab[N.ROWS + C_FAULT] or known & P.PYTHON:
            return None
        k0, k1 = first_key(self.rows, tab, N.ROWS, known) | condition << 38, second_key(self.rows, tab, N.ROWS, known)
        return k0, k1, tab[N.ROWS + C_IMMEDIATE] if known & P.IMMEDIATE_MATTERS else 0

    def make(self, shape: Shape) -> None:
        """The stencil of this shape, unless it is there."""
        at = 0
        codes = [(code, at := at + before) for code, before in zip(shape, (0, len(shape[0])), strict=False)]
        while (key := self.key(shape)) is not None and find_key(self.tab, *key) < 0:
            self.maker.make(self.tab[self.N.ROWS + C_FORM], key, codes)

    def save(self) -> None:
        self.store.save(self.tab, self.blob)


def shapes() -> list[Shape]:
    """Those of `linux.codes`."""
    return [tuple(bytes.fromhex(word) for word in line.text.split()) for line in lines.read(CODES.read_text(), CODES.name)]


def make_stencils(tell: Callable[[int, int], None]) -> None:
    """Make, and keep, those of `linux.codes`; `tell` is told how many of how many are done."""
    made, wanted = Stencils(), shapes()
    for again in (False, True):  # what is learnt of a form later lengthens the keys of its earlier shapes
        for number, shape in enumerate(wanted):
            made.make(shape)
            if not again and number % EVERY == 0:
                tell(number, len(wanted))
    made.save()


# -- all of it


def is_made() -> bool:
    """Whether our own processor can start at once."""
    return translator_path(SystemX86(), SystemStore).exists()


def make(tell: Progress = silent) -> None:
    """Make what is missing: the stencils by a second process meanwhile. Nothing where all is there."""
    if is_made():
        return
    from tanken.hypervisor import compiled

    began, done = time.monotonic(), [0, 1]
    tell(Event(JOB, 0, 1))
    over = threading.Event()

    def draw() -> None:
        while not over.wait(0.5):
            tell(Event(JOB, min(done[0], done[1] - 1), done[1], f"instructions {done[0]} of {done[1]}, and the translator: {time.monotonic() - began:.0f} s"))

    def listen() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            done[:] = map(int, line.split())

    child = subprocess.Popen([sys.executable, "-c", "from tanken.hypervisor.making import main; main()"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    threads = [threading.Thread(target=draw, daemon=True), threading.Thread(target=listen, daemon=True)]
    for thread in threads:
        thread.start()
    try:
        compiled.store()
        child.wait()
    except BaseException:
        child.kill()
        raise
    finally:
        over.set()
        child.wait()
        for thread in threads:
            thread.join()
        if child.stdout is not None:
            child.stdout.close()
    tell(Event(JOB, 1, 1, f"ready after {time.monotonic() - began:.0f} s"))


def main() -> None:
    """The second process: the stencils."""
    make_stencils(lambda done, total: print(done, total, flush=True))

