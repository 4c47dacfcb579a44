"""Ctrl-C that waits for a place where a long job can be taken up again.

signal(7), SIGINT: the first one is kept until the job asks, a second one stops it at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


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
