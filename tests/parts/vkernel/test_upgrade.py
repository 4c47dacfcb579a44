"""A first run goes over to native code in the middle of a program, which notices nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tanken.engine.generated import Generated
from tanken.engine.memory import PAGE, READ, WRITE, AddressSpace
from tanken.engine.native.engine import Native
from tanken.engine.shared import Shared
from tanken.vkernel import engines, upgrade
from tanken.vkernel.process import Ended, create

pytestmark = pytest.mark.skipif(not engines.possible(), reason="the native engine needs Linux on x86-64, with Numba")
BUSYBOX = "/bin/busybox"
SCRIPT = b"i=0; s=0; while [ $i -lt 400 ]; do i=$((i+1)); s=$((s+i*i)); done; echo $s; echo a b c | while read x y z; do echo $z; done; exit 3"


def test_a_program_goes_on_in_native_code(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(engines, "made", lambda: False)
    monkeypatch.setattr(upgrade, "EVERY", 0.0)
    process = create(BUSYBOX, [b"sh", b"-c", SCRIPT], [b"PATH=/bin"], engines.factory("auto"), space=engines.space("auto"), between=upgrade.Upgrade())
    assert isinstance(process.engine, Generated)
    monkeypatch.setattr(engines, "made", lambda: True)
    assert process.run() == Ended(3)
    assert isinstance(process.engine, Native) and process.executed > 0 and process.engine.executed > 0
    assert capfd.readouterr().out == "21413400\nc\n"


def test_the_same_instructions_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for when in (False, True):
        monkeypatch.setattr(engines, "made", lambda: False)
        process = create(BUSYBOX, [b"expr", b"6", b"*", b"7"], [], engines.factory("auto"), space=engines.space("auto"))
        if when:
            process.run(5000)
            assert upgrade.become_native(process)
        process.run()
        counts.append(process.instructions)
    assert counts[0] == counts[1]


def test_memory_shared_with_others_stays_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "made", lambda: False)
    process = create(BUSYBOX, [b"true"], [], engines.factory("auto"), space=engines.space("auto"))
    shared, at = Shared.anonymous(4 * PAGE), 0x5000_0000
    process.memory.map(at, 2 * PAGE, READ | WRITE, shared=shared, offset=PAGE)
    process.memory.store(at, 8, 5)
    other = AddressSpace()
    other.map(at, 4 * PAGE, READ | WRITE, shared=shared)
    assert upgrade.become_native(process)
    process.memory.store(at + 8, 8, 6)
    other.store(at + PAGE + 16, 8, 7)
    assert [process.memory.load(at + n, 8) for n in (0, 8, 16)] == [other.load(at + PAGE + n, 8) for n in (0, 8, 16)] == [5, 6, 7]


def test_a_first_run_starts_at_once_and_the_rest_is_made_behind_it(tmp_path: Path) -> None:
    environment = {"TANKEN_CACHE": str(tmp_path), "PYTHONPATH": str(Path(upgrade.__file__).parents[2]), "PATH": "/bin:/usr/bin"}
    command = [sys.executable, "-c", "import subprocess, sys; from tanken.vkernel import upgrade; "
               "subprocess.run = lambda *w, **k: print(w[0][0] == sys.executable, k['start_new_session']); upgrade.begin(); "
               "open(upgrade.engines.lock_path()).close()"]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
