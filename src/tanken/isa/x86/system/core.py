"""What the long instructions work on: one processor's state and its memory, with the faults they end by.

They are plain Python, as the manuals' own pseudo-code is: read and check first, change the state last, so that a fault leaves it as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from tanken.isa.architecture import Exited, Fault, Faulted
from tanken.isa.x86.paging import IMPLICIT, USER, WRITE
from tanken.isa.x86.system.state import LA57, SystemState

DE, DB, NMI, BP, OF, BR, UD, NM, DF, TS, NP, SS, GP, PF, MF, AC, MC, XM = 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19
HAS_CODE = frozenset((DF, TS, NP, SS, GP, PF, AC))
EXTERNAL = 1  # the bit of an error code
MASK64 = (1 << 64) - 1


class LinearMemory(Protocol):
    """Memory by linear address; an access that paging forbids raises Faulted, one where no memory is, Exited."""

    def load(self, linear: int, size: int) -> int: ...

    def store(self, linear: int, size: int, value: int) -> None: ...

    def load_as(self, linear: int, size: int, access: int) -> int: ...

    def store_as(self, linear: int, size: int, value: int, access: int) -> None: ...

    def probe(self, linear: int, size: int, access: int) -> None: ...

    def flush(self) -> None: ...

    def flush_space(self, space: int | None) -> None: ...

    def flush_page(self, linear: int, space: int | None = None, and_global: bool = True) -> None: ...

    def changed(self) -> None: ...


@dataclass(frozen=True, slots=True)
class PortAccess:
    """IN, OUT, or one element of INS or OUTS, about to happen; the state is that before it. SDM volume 3, 28.2.1, table 28-5."""

    port: int
    size: int
    is_in: bool
    value: int  # what OUT puts out
    string: bool
    repeated: bool
    following: int  # where the program goes on once it is done
    linear: int = 0  # of the element in memory
    address_size: int = 8


@dataclass(frozen=True, slots=True)
class MsrAccess:
    """RDMSR, or WRMSR of `value`, of a register that the processor does not keep itself; the state is that before it."""

    number: int
    value: int | None
    following: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """A triple fault: `first` is what began it."""

    first: Fault


@dataclass(frozen=True, slots=True)
class WindowOpen:
    """Somebody waits for interrupts to be let in, and they are."""


@dataclass(frozen=True, slots=True)
class Vectoring:
    """An event that is being delivered: its vector, the kind of event as VMX numbers them, and its error code if it has one."""

    vector: int
    kind: int  # 0 external interrupt, 2 NMI, 3 exception, 4 INT n, 5 INT1, 6 INT3 and INTO
    code: int | None

    @property
    def word(self) -> int:
        """The IDT-vectoring information field (SDM volume 3, table 25-19)."""
        return self.vector | self.kind << 8 | (0 if self.code is None else 1 << 11) | 1 << 31


class Core:
    """`following` is the address behind the instruction under way, `at` its own; `ticks` is the time stamp without its offset."""

    def __init__(self, state: SystemState, memory: LinearMemory, ticks: Callable[[], int]) -> None:
        self.state, self.memory, self.ticks = state, memory, ticks
        self.at = 0
        self.following = 0
        self.inst: Any = None
        self.vectoring: Vectoring | None = None  # left where a delivery ends by an exit, until the next is done
        self.cpuid: Callable[[int, int], tuple[int, int, int, int]] = lambda leaf, subleaf: (0, 0, 0, 0)

    def fault(self, vector: int, code: int | None, message: str) -> NoReturn:
        raise Faulted(Fault(vector, code, self.state.rip, message))

    def leave(self, exit: object) -> NoReturn:
        """End the run before the instruction has happened."""
        raise Exited(exit)

    # -- memory that the processor looks at by itself, whatever the privilege level

    def load_system(self, linear: int, size: int) -> int:
        return self.memory.load_as(linear, size, IMPLICIT)

    def store_system(self, linear: int, size: int, value: int) -> None:
        self.memory.store_as(linear, size, value, IMPLICIT | WRITE)

    def access(self, cpl: int) -> int:
        """The kind of access of a program at this privilege level."""
        return USER if cpl == 3 else 0

    def is_canonical(self, linear: int) -> bool:
        top = 56 if self.state.cr4 & LA57 else 47
        return linear >> top in (0, (1 << 64 - top) - 1)
