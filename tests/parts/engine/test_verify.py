"""Two engines in lockstep: real programs agree, and a planted fault is found at its instruction."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.oracle.native import copy

from tanken import engines
from tanken.engine.memory import EXEC, READ, WRITE
from tanken.engine.reference import Interpreter
from tanken.engine.verify import DifferenceError, Lockstep, mirrored
from tanken.isa.architecture import Debug, Machine
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.state import State
from tanken.vkernel.engines import describe, factory, space

ROOT = Path(__file__).parents[3]
CODE, DATA = 0x40_0000, 0x60_0000
# again: lea rbx, [rbx+rcx*2]; rol rbx, 5; add rax, rbx; adc rdx, rcx; mov [rdi], rdx; dec ecx; jnz again; int3
LOOP = bytes.fromhex("48 8d 1c 4b  48 c1 c3 05  48 01 d8  48 11 ca  48 89 17  ff c9  75 eb  cc")


class Wrong(Processor):
    """Rotates the other way."""

    def execute(self, machine: Machine, instruction: Any) -> None:
        if instruction.mnemonic == "rol":
            code = bytearray(instruction.code)
            code[2] += 8  # ror
            other = self.decode(bytes(code), instruction.columns[0])
            other.__dict__["operands"] = instruction.operands
            instruction = other
        super().execute(machine, instruction)


def pair(name: str) -> tuple[Lockstep, Any]:
    """The lockstep of an engine with LOOP ready to run, and that engine."""
    kind = space(name)
    assert isinstance(kind, type)
    memory = mirrored(kind)()
    memory.map(CODE, 4096, READ | EXEC)
    memory.write(CODE, LOOP)
    memory.map(DATA, 4096, READ | WRITE)
    state = State()
    first: Any = factory(name)(state, memory)
    state.rip, state.regs[1], state.regs[7] = CODE, 50, DATA
    copy(state, first.state)
    second = Interpreter(State(), memory.twin, Processor())  # type: ignore[attr-defined]
    return Lockstep(first, second, describe), first


@pytest.mark.parametrize("name", ["python", *(["native"] if engines.possible() else [])])
def test_engines_that_agree(name: str) -> None:
    both, _ = pair(name)
    assert both.run() == Debug("int3")
    assert both.executed == 50 * 7 + 1


@pytest.mark.skipif(not engines.possible(), reason="the native engine needs Linux on x86-64, with Numba")
class TestPlanted:
    def test_wrong_semantics(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from tanken.engine.native.store import Store
        from tanken.isa.x86.native.target import X86
        from tanken.vkernel import engines as composed

        monkeypatch.setattr(Store, "load", lambda *_: None)
        monkeypatch.setattr(Store, "save", lambda *_: None)
        target = X86()
        target.isa = Wrong()
        monkeypatch.setattr(composed, "parts", lambda: (target, Store(target)))
        both, _ = pair("native")
        with pytest.raises(DifferenceError) as caught:
            both.run()
        difference = caught.value.difference
        assert difference.alone and difference.executed == 1
        assert difference.instruction.startswith("0x400004: 48 c1 c3 05  rol rbx,0x5  (opcodes.map:")
        assert [what for what, _, _ in difference.wrong][0] == "rbx"

    def test_flags_thought_dead_show_in_the_block_alone(self) -> None:
        both, engine = pair("native")
        N, tab = engine.N, engine.tab
        both.run(14)
        for number in range(tab[N.STENCIL_COUNT]):  # nobody is said to read flags any more
            entry = N.STENCILS + number * N.STENCIL_FIELDS
            tab[entry + N.READS_LIVE] = tab[entry + N.READS_DEAD] = tab[entry + N.FAULTS] = 0
        engine.flush()
        with pytest.raises(DifferenceError) as caught:
            both.run()
        difference = caught.value.difference
        assert not difference.alone
        assert " adc rdx,rcx " in difference.instruction and "in a block" in difference.lines()[0]


@pytest.mark.skipif(not os.path.exists("/bin/busybox") or not engines.possible(), reason="needs busybox-static and the native engine")
def test_real_programs_from_the_command_line(tmp_path: Path) -> None:
    source = tmp_path / "p.c"
    source.write_text("#include <stdio.h>\nint main(void) { printf(\"%.3f\\n\", 22 / 7.0); return 3; }\n")
    subprocess.run(["gcc", "-O1", "-static", "-o", str(tmp_path / "p"), str(source)], check=True)
    for command, out, status in (([str(tmp_path / "p")], "3.143\n", 3), (["/bin/busybox", "sh", "-c", "echo $((6 * 7)) | /bin/busybox rev"], "24\n", 0)):
        done = subprocess.run([sys.executable, "-m", "tanken", "run", "--verify", "--engine", "native", *command], capture_output=True, text=True,
                              env=os.environ | {"PYTHONPATH": str(ROOT / "src")})  # fmt: skip
        assert (done.stdout, done.returncode) == (out, status), done.stderr
        assert "the engines agree" in done.stderr
