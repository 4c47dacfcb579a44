"""`tanken run` on machines that cannot be: one line that says what was met, and a status; and on the console, as a user types.

The command in a process of its own.
"""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.parts.cli.command import SOURCE, tanken_command

from tanken.hypervisor.kvm.system import missing
from tanken.machine.guest import build
from tanken.machine.initrd import Archive, busybox

needs_kvm = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("machines")
    whole = build.bzimage()
    archive = Archive()
    archive.file("init", b"x" * 10_000, 0o755)
    contents = {
        "bzimage": whole, "cut": whole[:0x3000], "header": whole[:0x210], "old": whole[:0x206] + b"\x05\x02" + whole[0x208:], "elf": build.kernel(),
        "half.elf": build.kernel()[:3000], "text": b"no kernel\n" * 100, "empty": b"", "initrd": gzip.compress(archive.bytes()),
        "half.gz": gzip.compress(archive.bytes())[:-30], "junk": b"\x07" * 600, "half.cpio": archive.bytes()[:5000], "big": archive.bytes()[:-4] + bytes(20 << 20) + b"TRAILER!!!",
        "wrong.toml": b"[machine]\nmemory = 3\n", "typo.toml": b"[machine]\nmemry = '1M'\n", "broken.toml": b"[machine\n", "absent.toml": b"[boot]\nkernel = 'nowhere'\n",
        "good.toml": b"[machine]\nmemory = '48M'\n[boot]\nkernel = 'bzimage'\nappend = 'from a file'\n[devices]\nrtc = false\n",
    }  # fmt: skip
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def signals_as_before() -> Iterator[None]:
    """`run` gives signals back to their defaults, and a closed socket of another test would end the tests by SIGPIPE."""
    before = {number: signal.getsignal(number) for number in (signal.SIGPIPE, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_as_before")
@pytest.mark.parametrize(
    ("words", "message", "status"),
    [
        (["{}/text", "--memory", "64M"], "text: begins with 6e 6f 20 6b; wanted a Linux kernel", 1),
        (["{}/empty", "--memory", "64M"], "empty: begins with nothing", 1),
        (["--memory", "64M", "/bin/true"], "no note of a PVH entry", 1),
        (["{}/header"], "bytes of setup_header at 0x1f1; wanted", 1),
        (["{}/cut"], "bytes of kernel behind the header; wanted [0-9]+: the file is cut off", 1),
        (["{}/old"], "boot protocol 2.05 without a 64-bit entry", 1),
        (["{}/half.elf", "--memory", "64M"], "half.elf", 1),
        (["{}/bzimage", "--memory", "16M"], "16 MiB of memory; wanted 1[0-9] MiB for this kernel alone", 2),
        (["{}/bzimage", "--initrd", "{}/half.gz"], "half.gz: .*ends too early; wanted a whole initrd", 1),
        (["{}/bzimage", "--initrd", "{}/half.cpio"], "half.cpio: .*ends too early", 1),
        (["{}/bzimage", "--initrd", "{}/junk"], "junk: begins with 07 07 07 07 07 07; wanted a cpio archive", 1),
        (["{}/bzimage", "--initrd", "{}/empty"], "an empty initrd", 1),
        (["{}/bzimage", "--initrd", "{}/none"], "none: No such file", 1),
        (["{}/elf", "--memory", "16M", "--initrd", "{}/big"], "no room for the initrd of .* wanted 2[0-9] MiB of memory", 2),
        (["{}/elf", "--memory", "3"], "memory '3'; wanted from 4M to", 2),
        (["{}/elf", "--memory", "lots"], "memory 'lots'; wanted a size such as 256M", 2),
        (["{}/elf", "--cpu", "z80"], "cpu 'z80'; wanted auto, kvm, own", 2),
        (["{}/elf", "--cpu", "kvm", "--clock", "instructions"], "with KVM, which counts none|/dev/kvm", 2),
        (["{}/elf", "--clock", "sundial"], "clock 'sundial'; wanted real, instructions", 2),
        (["{}/elf", "--protocol", "multiboot"], "protocol 'multiboot'", 2),
        (["{}/elf", "--protocol", "linux"], "an ELF file by Linux's protocol", 2),
        (["{}/elf", "--console", "fax"], "console 'fax'; wanted stdio", 2),
        (["{}/elf", "--wrong"], "unrecognized arguments: --wrong", 2),
        (["{}/elf", "--append", "x" * 3000], "a command line of 3000 bytes; wanted at most 2047", 2),
        (["{}/elf", "--exits", "/nowhere/x", "--cpu", "own"], "/nowhere/x: cannot be written", 1),
        (["{}/wrong.toml"], "memory = 3|memory 3", 2),
        (["{}/typo.toml"], "typo.toml: memry in .machine.; wanted memory", 1),
        (["{}/broken.toml"], "broken.toml: .*wanted TOML", 1),
        (["{}/absent.toml"], "nowhere: No such file", 1),
    ],
)  # fmt: skip
def test_one_line(files: Path, words: list[str], message: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    from tanken.cli.main import main

    met = main(["run", *(word.format(files) for word in words)])
    said = capsys.readouterr().err
    assert re.search(message, said) and said.count("\n") == 1 and said.startswith("tanken run: "), said
    assert met == status


@needs_kvm
def test_a_machine_from_a_file_and_the_shell_on_standard_input(files: Path) -> None:
    told = tanken_command("run", str(files / "good.toml"), stdin=b"\rhelp\roff\r")
    text = told.stdout.decode().replace("\r\n", "\n")
    assert told.returncode == 0, told.stderr
    assert "memory: 48767 KiB\ncommand line: from a file\n" in text and "triple reset halt off\n" in text


def test_what_is_typed_before_the_guest_is_ready_is_not_lost() -> None:
    told = tanken_command("run", "--exit-report", stdin=b"echo typed ahead\roff\r", TANKEN_NATIVE="off")
    assert told.returncode == 0 and b"> echo typed ahead\r\ntyped ahead\r\n" in told.stdout and b"uart1     LSR read" in told.stderr, told


def test_a_port_of_the_hosts_choice_is_told(files: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", "tanken", "run", "--console", "tcp:0"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": str(SOURCE), "TANKEN_NATIVE": "off"})  # fmt: skip
    assert process.stderr is not None
    told = re.fullmatch(rb"tanken run: the console is at 127.0.0.1, port (\d+)\n", process.stderr.readline())
    assert told is not None
    with socket.create_connection(("127.0.0.1", int(told[1])), 20) as client:
        client.sendall(b"off\r")
        assert process.wait(30) == 0
    process.stderr.close()


@needs_kvm
def test_standard_input_may_be_closed(files: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", "tanken", "run", "--cpu", "kvm"], env={**os.environ, "PYTHONPATH": str(SOURCE)},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(0))  # fmt: skip
    assert process.stdout is not None
    text = b""
    while not text.endswith(b"> "):
        text += os.read(process.stdout.fileno(), 4096)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130 and process.communicate()[1] == b""


@needs_kvm
def test_ctrl_a_x_ends_the_machine_and_a_crash_is_told(files: Path) -> None:
    told = tanken_command("run", "--cpu", "kvm", stdin=b"\r\x01x")
    assert told.returncode == 0 and not told.stderr
    told = tanken_command("run", "--cpu", "kvm", "--exit-report", stdin=b"\rtriple\r")
    said = told.stderr.decode()
    assert told.returncode == 1 and "triple-fault: the processor shut down" in said and "ud2" in said and "uart1     LSR read" in said


@needs_kvm
def test_the_console_on_a_port(files: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "tanken", "run", "--cpu", "kvm", "--console", f"tcp:{port}"], stdin=subprocess.DEVNULL,
                               env={**os.environ, "PYTHONPATH": str(SOURCE)})  # fmt: skip
    for _ in range(200):
        try:
            client = socket.create_connection(("127.0.0.1", port), 20)
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    text = b""
    while b"> " not in text:
        text += client.recv(4096)
    client.sendall(b"off\r")
    assert process.wait(30) == 0 and text.startswith(b"tanken guest")
    client.close()


def test_an_initrd_of_our_own(files: Path) -> None:
    if not os.path.exists("/bin/busybox"):
        pytest.skip("busybox is not installed: apt-get install busybox-static")
    data = busybox(packed=False)
    (files / "own.cpio").write_bytes(data)
    out = files / "unpacked"
    out.mkdir()
    listed = subprocess.run(["/bin/busybox", "cpio", "-idmv"], cwd=out, input=data, capture_output=True)
    assert listed.returncode == 0 and {b"init", b"bin/busybox", b"dev/console", b"bin/sh"} <= set(listed.stderr.split() + listed.stdout.split())
    assert (out / "init").stat().st_mode & 0o777 == 0o755 and (out / "bin/sh").is_symlink() and b"init runs" in (out / "init").read_bytes()
