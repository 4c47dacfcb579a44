"""Calls that the host does as they are asked for: numbers, descriptors and paths go in, a number or a new descriptor comes out.

A line of the table says number, name, kinds of the arguments as in `table`, and `-> new` where the answer is a descriptor, with the place of
the argument that has its close-on-exec flag. The man-pages stand in section 2 under the same names.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from tanken.vkernel.calls.table import AT_FDCWD, TABLE, Call
from tanken.vkernel.host import syscall
from tanken.vkernel.process import Process

PASSED = """
41 socket Int Int Int -> new 1
48 shutdown Fd Int
50 listen Fd Int
113 setreuid Int Int
114 setregid Int Int
117 setresuid Int Int Int
119 setresgid Int Int Int
122 setfsuid Int
123 setfsgid Int
145 sched_getscheduler Int
146 sched_get_priority_max Int
147 sched_get_priority_min Int
187 readahead Fd Long Word
197 removexattr Path Path
198 lremovexattr Path Path
199 fremovexattr Fd Path
213 epoll_create Int -> new
251 ioprio_set Int Int Int
252 ioprio_get Int Int
253 inotify_init -> new
254 inotify_add_watch Fd Path Int
255 inotify_rm_watch Fd Int
277 sync_file_range Fd Long Long Int
283 timerfd_create Int Int -> new 1
284 eventfd Int -> new
290 eventfd2 Int Int -> new 1
291 epoll_create1 Int -> new 0
294 inotify_init1 Int -> new 0
306 syncfs Fd
319 memfd_create Path Int -> new 1
434 pidfd_open Int Int -> new
"""
MFD_CLOEXEC = 1
ALWAYS_CLOSED = ("pidfd_open",)


def _function(number: int, name: str, new: bool, flags: int | None) -> Callable[..., int]:
    cloexec = MFD_CLOEXEC if name == "memfd_create" else os.O_CLOEXEC

    def do(process: Process, *words: int | bytes | None) -> int:
        answer = syscall(number, *(AT_FDCWD if word is None else word for word in words))
        if not new:
            return answer
        asked = words[flags] if flags is not None else 0
        os.set_inheritable(answer, False)
        return process.descriptors.add(answer, name in ALWAYS_CLOSED or (isinstance(asked, int) and bool(asked & cloexec)))

    return do


for _line in PASSED.strip().splitlines():
    _left, _, _right = _line.partition("->")
    _number, _name, *_kinds = _left.split()
    _answer = _right.split()
    _call = _function(int(_number), _name, bool(_answer), int(_answer[1]) if len(_answer) > 1 else None)
    assert int(_number) not in TABLE, f"call {_number} twice"
    TABLE[int(_number)] = Call(int(_number), _name, _call, tuple(_kinds), True)
