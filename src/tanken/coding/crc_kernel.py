"""Cyclic redundancy checks byte by byte through a table, for many rows at once.

D. V. Sarwate, "Computation of cyclic redundancy checks via table look-up", CACM 31 (8), 1988.
"""

from __future__ import annotations

from typing import Any

from tanken.base.native import kernel


@kernel
def run(rows: Any, count: int, start: int, stop: int, table: Any, bits: int, reflected: bool, registers: Any) -> None:
    """Takes bytes start to stop of each row into its register."""
    mask = (1 << bits) - 1
    for i in range(count):
        register = int(registers[i])
        if reflected:
            for p in range(start, stop):
                register = (register >> 8) ^ table[(register ^ int(rows[i, p])) & 255]
        else:
            for p in range(start, stop):
                register = ((register << 8) & mask) ^ table[((register >> (bits - 8)) ^ int(rows[i, p])) & 255]
        registers[i] = register
