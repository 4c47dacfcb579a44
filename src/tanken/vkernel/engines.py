"""The engines that a guest process can be run by, by name, and the memory that each works on.

native     stencils made by LLVM, memory mapped directly; made once by `tanken warm`, or at the first run that asks for it
python     generated Python, needs nothing
reference  the slow, obvious interpreter
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from tanken.base import native as gate
from tanken.base.errors import UnsupportedError
from tanken.engine.generated import Generated
from tanken.engine.memory import AddressSpace
from tanken.engine.reference import Interpreter
from tanken.isa.x86.processor import Processor
from tanken.isa.x86.state import AF, CF, OF, PF, SF, ZF, State
from tanken.vkernel.process import Engine, EngineFactory

if TYPE_CHECKING:
    from tanken.engine.native.store import Store
    from tanken.isa.x86.native.target import X86

NAMES = ("native", "python", "reference")


def possible() -> bool:
    """Whether this host can run native code, and may (TANKEN_NATIVE)."""
    return gate.available() and platform.machine() == "x86_64" and platform.system() == "Linux"


@cache
def parts() -> tuple[X86, Store]:
    """What all native engines of this host process share; makes what was not made before."""
    from tanken.engine.native.store import Store
    from tanken.isa.x86.native.target import X86

    if not possible():
        raise UnsupportedError(f"the native engine on {platform.machine()} {platform.system()}", wanted="Linux on x86_64, with Numba and TANKEN_NATIVE on")
    target = X86()
    return target, Store(target)


def _native(state: State, memory: AddressSpace) -> Engine:
    from tanken.engine.native.engine import Native
    from tanken.engine.native.space import DirectSpace

    assert isinstance(memory, DirectSpace), "the native engine needs directly mapped memory"
    return Native(state, memory, *parts())


def factory(name: str) -> EngineFactory:
    """How engines of this name are made."""
    if name == "native":
        return _native
    if name == "reference":
        return lambda state, memory: Interpreter(state, memory, Processor())
    return lambda state, memory: Generated(state, memory, Processor(), (CF, PF, AF, ZF, SF, OF))


def space(name: str) -> Callable[[], AddressSpace]:
    """How the memory for engines of this name is made."""
    if name != "native":
        return AddressSpace
    from tanken.engine.native.space import DirectSpace

    return DirectSpace
