"""The command from outside: help, errors, things, rows, hexdumps; each in a process of its own.

Exit statuses: `tanken.cli.main.main`.
"""

import json
import resource
import sys

import pytest
from tests.parts.cli.command import python, tanken_command

from tanken import __version__

HELP_MILLISECONDS = 150


def test_version_and_help() -> None:
    assert tanken_command("--version").stdout.decode() == f"tanken {__version__}\n"
    for words in ((), ("--help",), ("show", "--help")):
        result = tanken_command(*words)
        assert result.returncode == 0 and result.stdout.startswith(b"usage: tanken")


def test_help_imports_neither_numpy_nor_numba() -> None:
    program = "import sys\nfrom tanken.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    modules = set(python("-c", program).stdout.decode().splitlines()[-1].split())
    assert "tanken.cli.main" in modules
    assert not modules & {"numpy", "numba", "llvmlite", "msgspec", "tanken.isa", "tanken.engine"}


def test_help_takes_less_than_promised() -> None:
    def milliseconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        tanken_command("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert min(milliseconds() for _ in range(4)) < HELP_MILLISECONDS


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("shwo",), 2, "tanken: no verb and no file 'shwo'; wanted show"),
        (("/nothing/here",), 1, "tanken: /nothing/here: No such file or directory; wanted a file"),
        (("show", "/nothing/here"), 1, "tanken show: /nothing/here: No such file"),
        (("show", "/"), 2, "tanken show: /: a directory has no bytes to show"),
        (("show", "x86:cmpxhg"), 1, "did you mean cmpxchg"),
        (("show", "x86:"), 1, "no mnemonic ''"),
        (("show", "--as", "elff", "/bin/sh"), 2, "no kind 'elff'"),
        (("show", "--offset", "99999999999", "/bin/sh"), 2, "offset 0x"),
    ],
)
def test_errors_are_one_line(words: tuple[str, ...], status: int, message: str) -> None:
    result = tanken_command(*words)
    assert result.returncode == status and result.stdout == b""
    assert message in result.stderr.decode() and result.stderr.count(b"\n") == 1


def test_a_thing_says_what_it_is() -> None:
    text = tanken_command(sys.executable).stdout.decode()
    assert "an ELF file" in text and "begins with 7f 45 4c 46" in text and "tanken show" in text
    as_json = json.loads(tanken_command("--json", "--as", "text", "-", stdin=b"\x7fELF").stdout)
    assert as_json["kind"]["name"] == "text" and as_json["commands"] == ["tanken show -"]


def test_show_rows_in_words() -> None:
    text = tanken_command("show", "x86:cmpxchg").stdout.decode()
    for part in ("cmpxchg  0f b1", "at        opcodes.map:", "Ev: general register or memory in ModRM.rm, operand size, read and written",
                 "implicit  rAX read and written", "flags     writes OF SF ZF AF PF CF", "may be locked", "cite      SDM Vol. 2D"):  # fmt: skip
        assert part in text
    rows = [json.loads(line) for line in tanken_command("show", "--json", "x86:lret").stdout.splitlines()]
    assert {row["mnemonic"] for row in rows} == {"retf"}


def test_show_decodes_bytes() -> None:
    text = tanken_command("show", "x86:48 0f b1 0b 90").stdout.decode()
    assert "cmpxchg QWORD PTR [rbx],rcx" in text and "cmpxchg %rcx,(%rbx)" in text and "0x4: 90" in text
    assert "the bytes end inside" in tanken_command("show", "x86:0f").stdout.decode()
    first = json.loads(tanken_command("show", "--json", "--mode", "16", "x86:0xfadd").stdout.splitlines()[0])
    assert first["bytes"] == "fa" and first["row"]["mnemonic"] == "cli"
    assert tanken_command("show", "x86:fadd").stdout.startswith(b"fadd")


def test_show_bytes_of_the_standard_input() -> None:
    result = tanken_command("show", "-", "--offset", "1", "--length", "2", stdin=b"abcdef")
    assert result.stdout == b"00000001  62 63                                             |bc|\n00000003\n"
    line = json.loads(tanken_command("show", "--json", "-", stdin=b"abc").stdout)
    assert line == {"offset": 0, "data": "616263", "repeats": 0}


def test_info_and_warm_without_native_code() -> None:
    info = json.loads(tanken_command("info", "--json", TANKEN_NATIVE="off").stdout)
    assert info["tanken"] == __version__ and info["native"] == "off (TANKEN_NATIVE=off)" and "isa" in info["parts"]
    assert tanken_command("warm", TANKEN_NATIVE="off").stdout == b"nothing to compile: native code is off (TANKEN_NATIVE=off)\n"


def test_tour_ends_with_a_summary() -> None:
    result = tanken_command("tour")
    text = result.stdout.decode()
    assert result.returncode == 0, text + result.stderr.decode()
    assert "cmpxchg QWORD PTR [rbx],rcx" in text and "== Summary" in text and "0 failed" in text.splitlines()[-1]
