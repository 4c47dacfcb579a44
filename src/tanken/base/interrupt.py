"""Signals that wait for a place where a job can be taken up again: Ctrl-C for long jobs, and all that Python has handlers for.

signal(7); of SIGINT for a long job the first one is kept until the job asks, a second one stops it at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any

NUMBERS = tuple(map(int, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGUSR1,
                          signal.SIGUSR2, signal.SIGCHLD, signal.SIGWINCH, signal.SIGTSTP, signal.SIGIO)))  # fmt: skip
python_handler: Callable[[int], Any] = import_module("_signal").getsignal  # without making an enum of it


@contextmanager
def held() -> Iterator[Callable[[], None]]:
    """Within it SIGINT waits; the function that is given raises KeyboardInterrupt where there was one. Elsewhere than in the main thread nothing is held."""
    seen = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        if seen:
            raise KeyboardInterrupt
        seen = True

    def ask() -> None:
        if seen:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield ask
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield ask
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def deferred(now: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    """Within it the signals that Python has handlers for wait, unless `now()`; the function that is given calls the handlers of those that came.

    Those that came last are handled at the end. Elsewhere than in the main thread, which alone has Python's handlers called, nothing waits.
    """
    came: list[int] = []
    handlers = {number: handler for number in NUMBERS if callable(handler := python_handler(number))}

    def note(number: int, frame: FrameType | None) -> None:
        if now():
            handlers[number](number, frame)
        else:
            came.append(number)

    def handle() -> None:
        while came:
            number = came.pop(0)
            handlers[number](number, None)

    if threading.current_thread() is not threading.main_thread():
        yield handle
        return
    for number in handlers:
        signal.signal(number, note)
    try:
        yield handle
    finally:
        for number, handler in handlers.items():
            if python_handler(number) is note:  # no handler has put another in its place
                signal.signal(number, handler)
        handle()
