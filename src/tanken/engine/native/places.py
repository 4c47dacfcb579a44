"""Where the native engine keeps what it shares with guest code: offsets into the state block, whatever the instruction set.

Our own; registers and flags of an instruction set stand in its own part of the block.
"""

from __future__ import annotations

from typing import NamedTuple

LIMIT_BITS = 44  # guest addresses below 2**44 are mapped directly; the others fault
RIP_AT, BUDGET_AT, REASON_AT, HOST_AT = 136, 144, 152, 160
MXCSR, HOST_MXCSR, SAVED_STACK, ANSWER, ANSWER_ARGUMENTS = 168, 172, 248, 1024, 1032  # the arguments: six words
FAULT_ADDRESS, FAULT_SIGNAL, FAULT_CODE, FAULT_HOST, FAULT_REGISTERS = 216, 224, 232, 240, 1536  # rdi rsi rcx
KEPT_BUDGET, KEEPS_BUDGET = 1576, 1584  # of stencils that want its register
JUMP_CACHE, JUMP_CACHE_AT = 4096, 8192  # pairs of guest address and code
REGION_AT, SITE_AT, REGION_BUDGET_AT = 1792, 1800, 1808  # of a region: where its code begins, where in it, instructions left
REGION_STRAIGHT = 1840  # 1 where its block was come to without a branch
WATCHED_VALUE = 2112  # the value of an access that is told: 32 bytes
KICKED, KICK_SAVED, KICK_STEPS = 2220, 2224, 2232  # a signal came; the budget that was taken away; until when to step
OLD_HANDLERS = 3072  # what took each signal before, by number
UNDER_WAY = 1560  # not zero while the host repeats a copying instruction for the guest

ARRIVED, BRANCHED, STRAIGHT, EITHER = range(4)  # of a site: before the hooks there; behind them, where a branch led there, none did, or the state tells


class Site(NamedTuple):
    """A place where a region may stop: guest address, instructions left in its block (0 where the budget ends), what its flags are, how it is come to."""

    pc: int
    left: int
    recipe: tuple[int, ...] | None
    how: int
