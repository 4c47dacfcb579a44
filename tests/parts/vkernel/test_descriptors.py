"""A guest's descriptors are its own numbers: the caller's are neither closed nor moved, and what the caller has is as it was after a run."""

from __future__ import annotations

import errno
import gc
import os
import signal
from pathlib import Path

import pytest

from tanken.vkernel.descriptors import Descriptor, Descriptors
from tanken.vkernel.engines import factory as engine
from tanken.vkernel.process import Ended, create

BUSYBOX = "/bin/busybox"


@pytest.fixture
def descriptors() -> Descriptors:
    new = Descriptors({}, 8)
    for _ in range(3):
        new.add(os.open("/dev/null", os.O_RDWR))
    return new


def test_lowest_free(descriptors: Descriptors) -> None:
    assert sorted(descriptors.table) == [0, 1, 2]
    descriptors.close(1)
    assert descriptors.duplicate(0) == 1
    assert descriptors.duplicate(0, lowest=5) == 5
    assert descriptors.duplicate(0) == 3


def test_replace_closes_what_was_there(descriptors: Descriptors) -> None:
    before = descriptors.host(2)
    assert descriptors.replace(0, 2, close_on_exec=True) == 2
    with pytest.raises(OSError):
        os.fstat(before)
    descriptors.on_exec()
    assert sorted(descriptors.table) == [0, 1]


@pytest.mark.parametrize("number", [-1, 3, 1000])
def test_unknown(descriptors: Descriptors, number: int) -> None:
    with pytest.raises(OSError) as caught:
        descriptors.host(number)
    assert caught.value.errno == errno.EBADF


def test_limit(descriptors: Descriptors) -> None:
    while len(descriptors.table) < 8:
        descriptors.duplicate(0)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError) as caught:
        descriptors.duplicate(0)
    assert caught.value.errno == errno.EMFILE
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(not os.path.exists(BUSYBOX), reason="needs busybox-static")
def test_an_embedder_keeps_its_own(tmp_path: Path) -> None:
    """The guest closes 0, 1 and 2, changes directory, umask and signals, and ends; nothing of it is seen here."""
    script = 'exec 0<&- 1>&- 2>&-; cd /; umask 0; trap "" INT TERM; trap : USR1; exit 5'
    read, write = os.pipe()
    gc.collect()  # what earlier tests left open would be closed in between
    before = len(os.listdir("/proc/self/fd")), os.getcwd(), signal.getsignal(signal.SIGUSR1)
    process = create(BUSYBOX, [b"sh", b"-c", b"echo hello; " + script.encode()], [b"PATH=/"], engine("python"), descriptors=Descriptors({1: Descriptor(write)}))
    assert process.run() == Ended(5)
    assert os.read(read, 100) == b"hello\n"
    assert os.read(read, 100) == b""
    os.close(read)
    assert before == (len(os.listdir("/proc/self/fd")) + 2, os.getcwd(), signal.getsignal(signal.SIGUSR1))
    mode = os.umask(0)
    os.umask(mode)
    assert mode != 0
