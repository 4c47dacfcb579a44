"""What is no program for us, and programs that come to a bad end: one clear line each, and a status that is not zero."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.parts.cli.command import python, tanken_command

BUSYBOX = "/bin/busybox"
ELSEWHERE = not sys.platform.startswith("linux") or os.uname().machine != "x86_64" or not os.path.exists(BUSYBOX)
pytestmark = pytest.mark.skipif(ELSEWHERE, reason="needs busybox-static on x86-64 Linux")
PROGRAM = Path(BUSYBOX).read_bytes() if not ELSEWHERE else b""


def patched(offset: int, *values: int) -> bytes:
    return PROGRAM[:offset] + bytes(values) + PROGRAM[offset + len(values) :]


BAD = {
    "empty": (b"", "an empty file"),
    "text": (b"hello, I am text\n", "begins with 68 65 6c 6c"),
    "header cut off": (PROGRAM[:30], "inside the file"),
    "segments cut off": (PROGRAM[:1000], "truncated?"),
    "other processor": (patched(18, 183), "AArch64"),
    "32 bits": (patched(4, 1), "32 bits"),
    "relocatable": (patched(16, 1), "an ELF of type 1"),
    "endless segment": (patched(64 + 40, 0, 0, 0, 0, 0, 0, 0, 127), "wanted"),
    "script without interpreter": (b"#!\n", "without an interpreter"),
    "script with a missing one": (b"#!/nowhere/to/be/found\n", "/nowhere/to/be/found"),
    "script of itself": (b"", "begins with 23 21"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_line(name: str, tmp_path: Path) -> None:
    content, words = BAD[name]
    path = tmp_path / "program"
    path.write_bytes(content if name != "script of itself" else f"#!{path}\n".encode())
    done = tanken_command("run", str(path))
    error = done.stderr.decode()
    assert done.returncode == 1
    assert error.count("\n") == 1 and error.startswith("tanken run: ") and words in error


def test_directory_and_missing(tmp_path: Path) -> None:
    assert b"a directory" in tanken_command("run", str(tmp_path)).stderr
    assert b"No such file" in tanken_command("run", str(tmp_path / "nothing")).stderr
    assert tanken_command("run", "no-such-program-anywhere").returncode == 2


def test_script(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!{BUSYBOX} sh\necho $1 and $2\nexit 9\n")
    done = tanken_command("run", str(script), "one", "two")
    assert (done.stdout, done.returncode) == (b"one and two\n", 9)


def assembled(place: Path, *source: str) -> Path:
    (place / "a.s").write_text(".globl _start\n_start:\n" + "\n".join(source) + "\n")
    subprocess.run(["gcc", "-nostdlib", "-static", "-o", place / "a", place / "a.s"], check=True)
    return place / "a"


needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


@needs_gcc
@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        (".byte 0x0f, 0x04", 132, "0f 04: opcode 0f 04 is not defined"),
        ("vaddps %zmm0, %zmm1, %zmm2", 132, "62 f1 74 48 58 d0: vaddps zmm2,zmm1,zmm0 belongs to AVX512F, which CPUID does not announce (opcodes.map:"),
        ("hlt", 139, "f4"),
        ("mov 0x10, %eax", 139, "no reading at 0x10"),
        ("jmp 0x10", 139, "no code there"),
        ("xor %ecx, %ecx\ndiv %ecx", 136, "div"),
        ("int $0x80", 139, "system calls by int80"),
        ("ud2", 132, "0f 0b"),
        ("push %rax\njmp _start", 139, "no writing at"),
    ],
)
def test_bad_end(source: str, status: int, words: str, tmp_path: Path) -> None:
    done = tanken_command("run", str(assembled(tmp_path, source)))
    error = done.stderr.decode()
    assert done.returncode == status
    assert error.count("\n") == 1 and words in error and " at 0x" in error


@needs_gcc
def test_budget(tmp_path: Path) -> None:
    """Exactly so many: the status says that they are used up."""
    program = assembled(tmp_path, "jmp _start")
    done = tanken_command("run", "--budget", "12345", "--stats", str(program))
    assert done.returncode == 124
    assert b"12345 instructions" in done.stderr and b"the budget of 12345 instructions is used up" in done.stderr


@needs_gcc
@pytest.mark.parametrize("engine", ["python", "reference"])
def test_static_position_independent(engine: str, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text('#include <stdio.h>\nint main(int n, char **words) { printf("%s %d\\n", words[1], n); return 5; }\n')
    subprocess.run(["gcc", "-static-pie", "-O1", "-o", tmp_path / "a", tmp_path / "a.c"], check=True)
    done = tanken_command("run", "--engine", engine, str(tmp_path / "a"), "word")
    assert (done.stdout, done.returncode) == (b"word 2\n", 5)


@needs_gcc
def test_trace(tmp_path: Path) -> None:
    """Text, and JSON with what each instruction changed and stored; the program's own output stays apart."""
    source = ["mov $7, %eax", "push %rax", "lea text(%rip), %rsi", "mov $1, %edi", "mov $3, %edx", "mov $1, %eax", "syscall"]
    program = assembled(tmp_path, *source, "mov $60, %eax", "syscall", 'text: .ascii "abc"')
    done = tanken_command("run", "--trace", str(program))
    assert done.stdout == b"abc" and b"rax=0x7" in done.stderr and b"= write(1, " in done.stderr
    done = tanken_command("run", "--trace", "--json", "--to", str(tmp_path / "trace"), str(program))
    lines = [json.loads(line) for line in (tmp_path / "trace").read_text().splitlines()]
    assert (done.stdout, done.stderr) == (b"abc", b"")
    assert lines[0]["text"] == "mov    eax,0x7" and lines[0]["bytes"] == "b807000000" and lines[0]["changes"] == {"rax": 7}
    assert lines[1]["stores"] == [{"address": lines[1]["changes"]["rsp"], "size": 8, "value": 7}]
    call = next(line for line in lines if "call" in line)
    assert (call["call"], call["arguments"][0], call["result"]) == ("write", 1, 3)


@needs_gcc
def test_trace_cannot_be_written(tmp_path: Path) -> None:
    done = tanken_command("run", "--calls", "--to", str(tmp_path / "no/such/place"), BUSYBOX, "true")
    assert done.returncode == 1 and b"cannot be written" in done.stderr


@pytest.mark.parametrize(("engine", "absent"), [("python", ("numba", "llvmlite", "tanken.isa.x86.inst")), ("auto", ("numba", "llvmlite"))])
def test_start_needs_no_compiler(engine: str, absent: tuple[str, ...]) -> None:
    """A second run imports neither Numba nor LLVM; by generated Python not the decoder either."""
    words = f"['run', '--engine', {engine!r}, {BUSYBOX!r}, 'true']"
    code = f"import sys; from tanken.cli.main import main; main({words}); sys.exit(any(name in sys.modules for name in {absent}))"
    python("-c", code)
    assert python("-c", code).returncode == 0
