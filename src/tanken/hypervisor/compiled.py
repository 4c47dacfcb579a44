"""The native engine of our own vcpu, imported where it is asked for: it loads NumPy and the translator.

Our own; `engine.native.system` runs it, `making` makes what it needs ahead of time.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tanken.isa.x86.system.core import Core
from tanken.isa.x86.system.processor import SystemProcessor


@cache
def store() -> Any:
    """What all native engines of this host process share."""
    from tanken.engine.native.system import SystemStore
    from tanken.isa.x86.native.system import SystemX86

    return SystemStore(SystemX86())


def native_engine(core: Core, processor: SystemProcessor) -> Any:
    """The native engine on this processor."""
    from tanken.engine.native.system import SystemNative

    return SystemNative(core, processor, store().target, store())
