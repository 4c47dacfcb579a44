"""`tanken dis` as a user calls it: objects, bytes, Oopses, and wrong input.

docs/dis.md; the oracle is GNU objdump 2.40.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.oracle import agreement

from tanken.cli.main import main
from tanken.isa import x86

SOURCE = """
    .text
    .globl f
    .type f, @function
f:  mov $5, %eax
    cmpb $1, (%rdi)
    je g
    call f
    .zero 21
    nop
    .type table, @object
table: .byte 1,2,3,4,5,6,7,8,9,0,0,0,0,0,0,0,0,0,0,0
    .type g, @function
g:  lea table(%rip), %rax
    ret
    .zero 2
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dis") / "a.o"
    subprocess.run(["as", "-o", str(path), "-"], input=SOURCE.encode(), check=True)
    return path


def tanken(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["dis", *words])
    out, err = capfd.readouterr()
    return status, out, err


@pytest.mark.parametrize("syntax", ["intel", "att"])
def test_plain_equals_objdump(made: Path, capfd: pytest.CaptureFixture[str], syntax: str) -> None:
    status, out, _ = tanken(capfd, "--plain", "--syntax", syntax, str(made))
    assert status == 0
    wanted = agreement.theirs(made, agreement.read(made.read_bytes()), syntax)
    assert out.splitlines() == [f"{line.address:x}:\t{line.text}" for line in wanted]


def test_listing_names_targets(made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, out, _ = tanken(capfd, str(made))
    assert "<g>" in out and "<table>" in out and "Disassembly of section .text:" in out and "\x1b" not in out


def test_function(made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, out, _ = tanken(capfd, "--plain", "--function", "g", str(made))
    assert [line.split("\t")[1].split(" ")[0] for line in out.splitlines()] == ["lea", "ret"]


def test_hex_explain_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert tanken(capfd, "--plain", "--hex", "48 89 e5")[1] == "0:\tmov    rbp,rsp\n"
    assert "opcodes.map:" in tanken(capfd, "--explain", "--hex", "f0 89 c1")[1]
    record = json.loads(tanken(capfd, "--json", "--hex", "90")[1])
    assert (record["mnemonic"], record["length"], record["bytes"]) == ("nop", 1, "90")


def test_oops(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "oops"
    report.write_text("RIP: 0010:sysrq_handle_crash+0x12/0x20\nCode: 48 89 e5 b8 01 00 00 00 <c6> 04 25 00 00 00 00 01 5d c3\n")
    status, out, _ = tanken(capfd, "--oops", str(report))
    assert status == 0
    assert [line for line in out.splitlines() if "trapping" in line][0].count("mov    BYTE PTR ds:0x0,0x1") == 1
    assert "mov    rbp,rsp" in out


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x7fELF\x02\x01\x01" + bytes(57), b"\x7fELF", None])
def test_wrong_input(tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes | None) -> None:
    path = tmp_path / "file"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    status, out, err = tanken(capfd, str(path))
    assert status != 0 and out == "" and err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("/bin/true", "--start", "9", "--stop", "5"), ("/bin/true", "--start", "0x7000000"), ("/bin/true", "--section", ".nope"), ("/bin/true", "--function", "nope"),
        ("--hex", "zz"), ("--hex", ""), ("--hex", "90", "/bin/true"), (), ("--hex", "90", "--base", "-1"), ("--hex", "90", "--start", "7"), ("/nowhere",),
        ("--hex", "90", "--mode", "8"), ("--hex", "90", "--syntax", "masm"), ("--hex", "90", "--start", "x"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_words(capfd: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    try:
        status = main(["dis", *words])
    except SystemExit as exit:
        status = int(exit.code or 0)
    out, err = capfd.readouterr()
    assert status != 0 and out == "" and err.count("\n") == 1 and err.startswith("tanken dis: ")


@pytest.mark.parametrize("offset, value", [(18, 183), (5, 2), (4, 7)], ids=["machine", "byte order", "class"])
def test_other_objects(tmp_path: Path, capfd: pytest.CaptureFixture[str], offset: int, value: int) -> None:
    data = bytearray(Path("/bin/true").read_bytes())
    data[offset] = value
    (tmp_path / "other").write_bytes(data)
    status, out, err = tanken(capfd, str(tmp_path / "other"))
    assert status == 1 and out == "" and err.count("\n") == 1


@pytest.mark.parametrize("at", [0, 0x1000, 0xFFFFFFFF81000000])
def test_compiled_text_equals_plain(at: int) -> None:
    code = Path("/bin/busybox").read_bytes()[0x2000:0x4000]
    whole = b"".join(x86.text_lines(code, at, likely=1 << 20))
    assert whole == b"".join(x86.text_lines(code, at))
    assert len(x86.decode_array(code * 9, at)) and int(x86.decode_array(code * 9, at)[0, 0]) & (1 << 64) - 1 == at


def test_quick_agreement() -> None:
    path = Path("/bin/busybox")
    found = agreement.compare(path, agreement.read(path.read_bytes(), "busybox"), "intel")
    assert found.lines > 100_000
    assert found.differing == 0, found.examples[:5]
