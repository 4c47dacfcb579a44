"""What `make run` does: Debian's kernel where its package can be had (TANKEN_BOOT=1), else the guest that comes with tanken; with nobody at the keyboard.

The command in a process of its own.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.parts.cli.command import SOURCE

from tanken.machine.console import Prompted


def make_run(environment: dict[str, str], stdin: bytes | None, *words: str) -> subprocess.CompletedProcess[bytes]:
    """With these lines in a pipe, or with standard input closed."""
    close: Callable[[], None] | None = None if stdin is not None else lambda: os.close(0)
    program = "import sys; from tanken.cli.debian import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", program, *words], env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
                          input=stdin, capture_output=True, preexec_fn=close, timeout=300)  # fmt: skip


@pytest.mark.parametrize(("stdin", "shown"), [(None, b"> off"), (b"echo some words\nhelp", b"some words\r\n> help\r\n")])
def test_without_a_package_the_own_guest_boots_and_turns_itself_off(stdin: bytes | None, shown: bytes, tmp_path: Path) -> None:
    told = make_run({"PATH": str(tmp_path), "TANKEN_NATIVE": "off"}, stdin)
    assert told.returncode == 0 and shown in told.stdout, told
    assert told.stderr.startswith(b"make run: the package of Debian's kernel cannot be had: ") and b"booting the guest that comes with tanken" in told.stderr


def test_a_wrong_option_is_one_line() -> None:
    told = make_run({"PATH": "/nowhere"}, b"", "--memory", "lots")
    assert told.returncode == 2 and b"make run: memory 'lots'; wanted" in told.stderr.splitlines()[-1], told.stderr


@pytest.mark.skipif("TANKEN_BOOT" not in os.environ, reason="a boot takes minutes: TANKEN_BOOT=1 runs it")
@pytest.mark.parametrize("stdin", [None, b"uname -r\n"])
def test_debian_boots_and_turns_itself_off(stdin: bytes | None) -> None:
    told = make_run({}, stdin)
    assert told.returncode == 0 and b"tanken: init runs" in told.stdout and b"Power down" in told.stdout, told
    assert stdin is None or b"-cloud-amd64\r\n/ # " in told.stdout


def test_lines_are_typed_when_the_shell_prompts() -> None:
    far, nothing = Prompted(b"> ", b"bye\r"), os.open(os.devnull, os.O_WRONLY)
    far._sink = nothing
    far.typed(b"one\ntw")
    far.write(b"hello\n")
    assert far.read(99) == b""
    far.write(b"> ")
    assert far.read(99) == b"one\r"
    far.typed(b"o\nthree")
    far.write(b">")
    assert far.read(99) == b""
    far.write(b" ")
    assert far.read(99) == b"two\r"
    far.write(b"> ")
    assert far.read(99) == b""  # the line is not whole
    far.typed(b"")
    assert far.read(99) == b"three\r"
    far.write(b"> ")
    assert far.read(99) == b"bye\r"
    os.close(nothing)
