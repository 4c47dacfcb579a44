"""What joins an instruction set and the engines: the native engine's parts for x86-64, made once for all that use it.

See `engine.native`; whoever runs guest code on this host asks here.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from tanken.base import native as gate
from tanken.base.errors import UnsupportedError

if TYPE_CHECKING:
    from tanken.engine.native.store import Store
    from tanken.isa.x86.native.target import X86


def possible() -> bool:
    """Whether this host can run native code, and may (TANKEN_NATIVE)."""
    return gate.available() and sys.platform == "linux" and os.uname().machine == "x86_64"


@cache
def parts() -> tuple[X86, Store]:
    """What all native engines of this host process share; makes what was not made before."""
    from tanken.engine.native.store import Store
    from tanken.isa.x86.native.target import X86

    if not possible():
        raise UnsupportedError(f"the native engine on {sys.platform}", wanted="Linux on x86_64, with Numba and TANKEN_NATIVE on")
    target = X86()
    return target, Store(target)
