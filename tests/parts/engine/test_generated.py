"""The generated engine against the reference interpreter: equal states at every exit and every few hundred instructions of real programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tanken.isa.architecture import Budget, Syscall
from tanken.vkernel.calls import serve, table
from tanken.vkernel.engines import factory as engine
from tanken.vkernel.process import Exited, Process, create

BUSYBOX = "/bin/busybox"
pytestmark = pytest.mark.skipif(not os.path.exists(BUSYBOX), reason="needs busybox-static")

COMMANDS = [
    "echo hello",
    "printf %5d|%x|%s|%o 42 255 text 8",
    "expr 12345 * 678",
    "sha256sum input",
    "md5sum input",
    "sort input",
    "sed s/l/L/g input",
    "grep -n in input",
    "awk {print NR,length($0)} input",
    "sh -c for i in 1 2 3; do echo $((i*7)); done",
    "od -c input",
    "gzip -c input",
]


def _spy(process: Process, written: list[tuple[int, bytes]]) -> None:
    """Note what the kernel writes to the process."""
    write = process.memory.write

    def noting(address: int, data: bytes, need: int = 0) -> None:
        write(address, data, need)
        written.append((address, bytes(data)))

    process.memory.write = noting  # type: ignore[method-assign, assignment]


def _serve_both(fast: Process, slow: Process, written: list[tuple[int, bytes]]) -> None:
    """What the host does is done once, and its answer given to both."""
    call = table().get(fast.state.rax)
    written.clear()
    serve(fast)
    if call is not None and call.host:
        slow.state.rax = fast.state.rax
        for address, data in written:
            slow.memory.write(address, data)
    else:
        serve(slow)


@pytest.mark.parametrize("command", COMMANDS)
def test_lockstep(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "input").write_text("a line\nin the file\nlast line\n" * 3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "urandom", lambda count: bytes(count))
    monkeypatch.setattr(os, "write", lambda fd, data: len(data))
    head, _, rest = command.partition(" -c " if command.startswith("sh ") else " ")
    words = [head, "-c", rest] if head == "sh" else [head, *(rest.split(" ") if head != "awk" else [rest.rpartition(" ")[0], "input"])]
    arguments = [BUSYBOX.encode(), *(word.encode() for word in words)]
    fast, slow = processes = [create(BUSYBOX, arguments, [b"PATH=/"], engine(name)) for name in ("python", "reference")]
    slow.memory.write(slow.state.rsp, fast.memory.read(fast.state.rsp, 64))
    written: list[tuple[int, bytes]] = []
    _spy(fast, written)
    for _ in range(150):
        exits = fast.engine.run(397), slow.engine.run(397)
        assert exits[0] == exits[1]
        assert fast.instructions == slow.instructions
        assert fast.state == slow.state, fast.state.changes(slow.state)
        if isinstance(exits[0], Syscall):
            try:
                _serve_both(fast, slow, written)
            except Exited:
                break
        else:
            assert isinstance(exits[0], Budget)
    for number in slow.memory.touched():
        assert fast.memory.read(number << 12, 4096) == slow.memory.read(number << 12, 4096), hex(number << 12)
    for process in processes:
        process.descriptors.close_range(iter(process.descriptors.table))
