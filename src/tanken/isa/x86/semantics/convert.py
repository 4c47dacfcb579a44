"""Sign extension inside rAX and rDX: CBW CWDE CDQE CWD CDQ CQO.

Intel SDM volume 2.
"""

from __future__ import annotations

from tanken.isa.x86.semantics.execution import Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.state import RAX, RDX


@semantic("cbw", "cwde", "cdqe")
def widen(x: Execution) -> None:
    x.register(RAX, x.width).write(x.register(RAX, x.width // 2).read().sext(x.width))


@semantic("cwd", "cdq", "cqo")
def spread(x: Execution) -> None:
    x.register(RDX, x.width).write(x.register(RAX, x.width).read().ashr(x.width - 1))
