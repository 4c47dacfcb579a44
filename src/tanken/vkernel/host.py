"""System calls of the host that Python has no function for, with buffers in place of the guest's pointers.

syscalls(2); the numbers are those of the Linux x86-64 ABI, for guest and host alike.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any


@cache
def _library() -> tuple[Any, Any]:
    """ctypes, which takes its time to be imported, and the C library's `syscall`."""
    import ctypes

    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    return ctypes, function


def syscall(number: int, *words: int | bytes | bytearray) -> int:
    """Its answer, or OSError; a bytearray is filled in by the host, bytes are only read."""
    ctypes, function = _library()
    arguments: list[Any] = []
    for word in words:
        if isinstance(word, bytearray):
            arguments.append((ctypes.c_char * len(word)).from_buffer(word))
        else:
            arguments.append(ctypes.c_char_p(word) if isinstance(word, bytes) else ctypes.c_long(word))
    answer = function(ctypes.c_long(number), *arguments)
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(answer)
