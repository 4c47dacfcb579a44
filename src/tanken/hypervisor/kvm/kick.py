"""Making KVM_RUN return: a signal that is blocked everywhere but inside of it, so that no kick is lost between a look and the entry.

linux/Documentation/virt/kvm/api.rst, KVM_SET_SIGNAL_MASK; timer_create(2) with SIGEV_THREAD_ID. No handler is installed: the signal
stays pending, KVM_RUN ends with EINTR, and it is taken off afterwards.
"""

from __future__ import annotations

import ctypes
import signal
import struct
import threading
from collections import Counter

from tanken.base.errors import InternalError
from tanken.hypervisor.kvm import abi
from tanken.hypervisor.kvm.system import buffer, call

SIGNAL = signal.SIGRTMIN + 9
SIGEV_THREAD_ID, CLOCK_MONOTONIC = 4, 1
_libc = ctypes.CDLL(None, use_errno=True)
_blocking: Counter[int] = Counter()  # by thread: how many of its kicks want the signal blocked


class Kick:
    """Of one vcpu; made in the thread that runs it."""

    def __init__(self, vcpu: int) -> None:
        self._thread = threading.get_ident()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})
        _blocking[self._thread] += SIGNAL not in before or _blocking[self._thread] > 0
        inside = sum(1 << number - 1 for number in before if number != SIGNAL)
        call(vcpu, abi.SET_SIGNAL_MASK, buffer(struct.pack("<IQ", 8, inside)), what="KVM_SET_SIGNAL_MASK")
        event = buffer(struct.pack("<QiiI44x", 0, SIGNAL, SIGEV_THREAD_ID, threading.get_native_id()))
        self._timer = ctypes.c_void_p()
        if _libc.timer_create(CLOCK_MONOTONIC, event, ctypes.byref(self._timer)):
            raise InternalError("timer_create failed", wanted="a timer of the host for the vcpu")
        self._armed = False
        self._value = ctypes.create_string_buffer(32)

    def after(self, nanoseconds: int | None) -> None:
        """Kick in so long; None: not by time."""
        if nanoseconds is None:
            if not self._armed:
                return
            nanoseconds = 0
        else:
            nanoseconds = max(nanoseconds, 1)
        struct.pack_into("<QQQQ", self._value, 0, 0, 0, nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000)
        _libc.timer_settime(self._timer, 0, self._value, None)
        self._armed = nanoseconds != 0

    def now(self) -> None:
        """From any thread."""
        signal.pthread_kill(self._thread, SIGNAL)

    def taken(self) -> None:
        """Take the signal off after KVM_RUN said EINTR."""
        while signal.sigtimedwait({SIGNAL}, 0) is not None:
            pass
        self._armed = False

    def close(self) -> None:
        """No kicks any more; the thread's signals are as they were before its first one."""
        _libc.timer_delete(self._timer)
        if threading.get_ident() == self._thread and _blocking[self._thread] > 0:
            _blocking[self._thread] -= 1
            if not _blocking[self._thread]:
                self.taken()
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {SIGNAL})
