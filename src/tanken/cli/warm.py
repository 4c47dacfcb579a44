"""`tanken warm`: compiles the native code ahead of time, so that nobody waits for a compiler later.

Each row of WARM names a module and a function that makes its kernels compile; what it leaves behind is in `tanken info`'s cache folder.
"""

from __future__ import annotations

import argparse
import sys
import time

from tanken.base import native, progress
from tanken.base.errors import UsageError
from tanken.base.progress import Event


def _x86_decoder() -> None:
    from tanken.isa.x86 import bulk

    bulk.decode_array(b"\x90" * bulk.SMALL)


def _x86_text() -> None:
    from tanken.isa.x86 import bulk

    for syntax in ("intel", "att"):
        for _ in bulk.text_lines(b"\x90" * bulk.SMALL, syntax=syntax):
            pass


def _font_machines() -> None:
    """The executor, the proof and the filling of charstrings, by a font that is nothing but large enough."""
    from tanken.font import builder, hostile, outlines, program, raster, verifier
    from tanken.font.cff import Cff

    recipe = hostile.glyph("100 hmoveto 5 5 rlineto endchar")
    table = Cff(builder.cff(recipe) + bytes(program.SMALL))
    made = program.arrays(table)
    verifier.Proof(made)
    raster.Rasteriser(16, 1000).fill(outlines.Executor(made).outlines(0, made.glyphs))


def _telnet_ciphers() -> None:
    from tanken.telnet import feedback

    feedback.warm()


def _disc_codes() -> None:
    """Both discs' decoders and modulations, on a few damaged blocks and frames."""
    import numpy as np

    from tanken.disc import damage, press
    from tanken.disc.cd import circ, efm
    from tanken.disc.dvd import block, decode, modulation

    blocks = np.frombuffer(b"".join(press.press_dvd(bytes(32768), damages=[damage.parse("jitter:level=0.04")])), dtype=np.uint8).reshape(-1, 13, 182)
    modulation.decode(modulation.encode(blocks))
    decode.decode(block.from_recorded(blocks))
    symbols, _ = efm.decode(efm.from_runs(np.frombuffer(b"".join(press.press_cd(bytes(4096), [damage.parse("jitter:level=0.02")])), dtype=np.uint8)))
    circ.decode((symbols[:, 1:] & 255).astype(np.uint8), symbols[:, 1:] < 0)


def _x86_engine() -> None:
    """The translator, then the stencils of the code that nearly every program runs."""
    from tanken.vkernel import engines

    if engines.possible():
        from tanken.vkernel import stencils

        stencils.make(*engines.parts())


def _machine_engine() -> None:
    """The translator of whole processors, and the stencils of a boot of Linux and of the guest that comes with tanken."""
    from tanken.hypervisor import making, own
    from tanken.machine.console import Memory
    from tanken.machine.pc import Pc

    if own.native_is_possible():
        making.make()
        making.make_stencils(lambda done, total: None)  # where only these were missing
        far = Memory()
        machine = Pc(far=far, cpu="own", clock="instructions")
        far.wrote = lambda data: far.type(b"off\r") if far.output.endswith(b"> ") else None
        machine.run()
        machine.vcpu.close()


WARM = (("disc codes", _disc_codes), ("font machines", _font_machines), ("x86 decoder", _x86_decoder), ("x86 text", _x86_text), ("x86 native engine", _x86_engine),
        ("machines", _machine_engine),
        ("telnet ciphers", _telnet_ciphers))  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="progress as one JSON object a line")
    parser.add_argument("jobs", metavar="JOB", nargs="*", help=f"only these: {', '.join(name for name, _ in WARM)}")


def run(options: argparse.Namespace) -> int:
    if not native.available():
        print(f"nothing to compile: native code is {native.state()}")
        return 0
    tell = progress.to(sys.stdout, options.json)
    unknown = set(options.jobs) - {name for name, _ in WARM}
    if unknown:
        raise UsageError(f"no job {min(unknown)!r}", wanted=", ".join(name for name, _ in WARM))
    for job, compile_it in WARM:
        if options.jobs and job not in options.jobs:
            continue
        start = time.perf_counter()
        tell(Event(job, 0, 1, "compiling"))
        compile_it()
        tell(Event(job, 1, 1, f"ready after {time.perf_counter() - start:.1f} s"))
    return 0
