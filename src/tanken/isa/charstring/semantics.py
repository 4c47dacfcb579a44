"""What each operator does: small functions of the machine that runs it, named as in `type2.map`. The slow, obvious ones.

Adobe Technical Note 5177, section 4. A function finds its operands in `m.stack` (16.16, bottom first) and calls `move`, `line`, `curve`,
`stems`, `mask`, `call`, `leave`, `end`, `note` and `fail` of the machine; that it clears the stack stands in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tanken.isa.charstring import results
from tanken.isa.charstring.fixed import ONE, divide, multiply, square_root, wrap
from tanken.isa.charstring.results import DIVIDED, INDEX, NOT_INTEGER, RANDOM, ROLL, STORAGE, UNDERFLOW, UNSET

if TYPE_CHECKING:
    from tanken.isa.charstring.machine import Machine

Semantics = Callable[["Machine"], None]
SEMANTICS: dict[str, Semantics] = {}


def means(*names: str) -> Callable[[Semantics], Semantics]:
    """Registers a function as the meaning of operators."""

    def register(function: Semantics) -> Semantics:
        SEMANTICS.update(dict.fromkeys(names, function))
        return function

    return register


# -- moves, lines, curves: 5177 section 4.1


@means("rmoveto")
def rmoveto(m: Machine) -> None:
    m.width(2)
    m.move(*m.stack[-2:])


@means("hmoveto")
def hmoveto(m: Machine) -> None:
    m.width(1)
    m.move(m.stack[-1], 0)


@means("vmoveto")
def vmoveto(m: Machine) -> None:
    m.width(1)
    m.move(0, m.stack[-1])


@means("rlineto")
def rlineto(m: Machine) -> None:
    if len(m.stack) % 2:
        m.fail(UNDERFLOW)
    m.lines(m.stack)


@means("hlineto", "vlineto")
def alternating_lines(m: Machine) -> None:
    across = m.mnemonic == "hlineto"
    for value in m.stack:
        m.line(value if across else 0, 0 if across else value)
        across = not across


@means("rrcurveto")
def rrcurveto(m: Machine) -> None:
    m.surplus(len(m.stack) % 6)
    m.curves(m.stack)


@means("rcurveline")
def rcurveline(m: Machine) -> None:
    count = (len(m.stack) - 2) // 6 * 6
    m.surplus(len(m.stack) - 2 - count)
    m.curves(m.stack[:count])
    m.line(*m.stack[count : count + 2])


@means("rlinecurve")
def rlinecurve(m: Machine) -> None:
    if len(m.stack) % 2:
        m.fail(UNDERFLOW)
    m.lines(m.stack[:-6])
    m.curves(m.stack[-6:])


@means("hhcurveto", "vvcurveto")
def flat_curves(m: Machine) -> None:
    along = m.mnemonic == "hhcurveto"
    m.surplus(len(m.stack) & 2)
    side, values = (m.stack[0], m.stack[1:]) if len(m.stack) % 2 else (0, m.stack)
    for i in range(0, len(values) - 3, 4):
        a, bx, by, c = values[i : i + 4]
        m.curve(*((a, side, bx, by, c, 0) if along else (side, a, bx, by, 0, c)))
        side = 0


@means("hvcurveto", "vhcurveto")
def turning_curves(m: Machine) -> None:
    across = m.mnemonic == "hvcurveto"
    m.surplus(len(m.stack) & 2)
    for i in range(0, len(m.stack) - 3, 4):
        a, bx, by, c = m.stack[i : i + 4]
        last = m.stack[i + 4] if len(m.stack) - i == 5 else 0
        m.curve(*((a, 0, bx, by, last, c) if across else (0, a, bx, by, c, last)))
        across = not across


@means("flex")
def flex(m: Machine) -> None:
    m.surplus(len(m.stack) - 13)
    m.curves(m.stack[:12])


@means("hflex")
def hflex(m: Machine) -> None:
    m.surplus(len(m.stack) - 7)
    a, bx, by, c, d, e, f = m.stack[:7]
    m.curves([a, 0, bx, by, c, 0, d, 0, e, -by, f, 0])


@means("hflex1")
def hflex1(m: Machine) -> None:
    m.surplus(len(m.stack) - 9)
    ax, ay, bx, by, c, d, ex, ey, f = m.stack[:9]
    m.curves([ax, ay, bx, by, c, 0, d, 0, ex, ey, f, -(ay + by + ey)])


@means("flex1")
def flex1(m: Machine) -> None:
    m.surplus(len(m.stack) - 11)
    dx, dy = sum(m.stack[0:10:2]), sum(m.stack[1:10:2])
    last = (m.stack[10], -dy) if abs(dx) > abs(dy) else (-dx, m.stack[10])
    m.curves([*m.stack[:10], *last])


@means("endchar")
def endchar(m: Machine) -> None:
    m.width(4 if len(m.stack) >= 4 else 0)
    m.end(m.stack[-4:] if len(m.stack) >= 4 else [])


# -- hints: 5177 section 4.3


@means("hstem", "hstemhm", "vstem", "vstemhm")
def stems(m: Machine) -> None:
    m.width(len(m.stack) - len(m.stack) % 2)
    m.stems("h" if m.mnemonic[0] == "h" else "v", m.stack[len(m.stack) % 2 :])


@means("hintmask", "cntrmask")
def mask(m: Machine) -> None:
    m.width(len(m.stack) - len(m.stack) % 2)
    m.stems("v", m.stack[len(m.stack) % 2 :])
    m.mask()


@means("dotsection")
def dotsection(m: Machine) -> None:
    m.surplus(len(m.stack))


# -- subroutines: 5177 section 4.7


@means("callsubr", "callgsubr")
def call(m: Machine) -> None:
    m.call("local" if m.mnemonic == "callsubr" else "global", integer(m, m.stack.pop()))


@means("return")
def leave(m: Machine) -> None:
    m.leave()


# -- arithmetic, storage, conditionals: 5177 sections 4.4 to 4.6


def integer(m: Machine, value: int) -> int:
    """A whole number, or a fault."""
    if value & 0xFFFF:
        m.fail(NOT_INTEGER)
    return value >> 16


PURE: dict[str, Callable[..., int]] = {
    "abs": lambda a: wrap(abs(a)), "neg": lambda a: wrap(-a), "not": lambda a: ONE if a == 0 else 0, "sqrt": square_root,
    "add": lambda a, b: wrap(a + b), "sub": lambda a, b: wrap(a - b), "mul": multiply, "div": divide,
    "and": lambda a, b: ONE if a and b else 0, "or": lambda a, b: ONE if a or b else 0, "eq": lambda a, b: ONE if a == b else 0,
    "ifelse": lambda a, b, v1, v2: a if v1 <= v2 else b,
}  # fmt: skip


@means(*PURE)
def pure(m: Machine) -> None:
    function = PURE[m.mnemonic]
    count = m.operator.takes
    operands = m.stack[-count:]
    if (m.mnemonic == "div" and operands[1] == 0) or (m.mnemonic == "sqrt" and operands[0] < 0):
        m.note(DIVIDED)
    m.stack[-count:] = [function(*operands)]


@means("drop")
def drop(m: Machine) -> None:
    m.stack.pop()


@means("exch")
def exch(m: Machine) -> None:
    m.stack[-2:] = m.stack[:-3:-1]


@means("dup")
def dup(m: Machine) -> None:
    m.push(m.stack[-1])


@means("index")
def index(m: Machine) -> None:
    place = max(integer(m, m.stack[-1]), 0)
    if place > len(m.stack) - 2:
        m.fail(INDEX)
    m.stack[-1] = m.stack[-2 - place]


@means("roll")
def roll(m: Machine) -> None:
    turn, count = m.stack.pop(), m.stack.pop()
    turn, count = integer(m, turn), integer(m, count)
    if not 0 <= count <= len(m.stack):
        m.fail(ROLL)
    if count > 1:
        turn %= count
        part = m.stack[-count:]
        m.stack[-count:] = part[-turn:] + part[:-turn] if turn else part


@means("random")
def random(m: Machine) -> None:
    m.note(RANDOM)
    m.seed = (m.seed * 1103515245 + 12345) & 0x7FFFFFFF
    m.push((m.seed >> 15) % ONE + 1)


@means("put", "get")
def storage(m: Machine) -> None:
    place = integer(m, m.stack[-1])
    if not 0 <= place < 32:
        m.fail(STORAGE)
    m.stack.pop()
    if m.mnemonic == "put":
        m.storage[place] = m.stack.pop()
        return
    if place not in m.storage:
        m.note(UNSET)
    m.stack.append(m.storage.get(place, 0))


# -- CFF2


@means("vsindex")
def vsindex(m: Machine) -> None:
    number = m.stack[-1] >> 16
    if not 0 <= number < len(m.program.region_base) - 1:
        m.fail(results.BLEND)
    m.vsindex = number


@means("blend")
def blend(m: Machine) -> None:
    count = m.stack.pop() >> 16
    if count < 0 or m.vsindex >= len(m.program.region_base) - 1:
        m.fail(results.BLEND)
    scalars = m.program.weights[m.program.region_base[m.vsindex] : m.program.region_base[m.vsindex + 1]]
    regions = len(scalars)
    if len(m.stack) < count * (regions + 1):
        m.fail(UNDERFLOW)
    first = len(m.stack) - count * (regions + 1)
    values, deltas = m.stack[first : first + count], m.stack[first + count :]
    for i in range(count):
        steps = deltas[i * regions : (i + 1) * regions]
        values[i] = wrap(values[i] + sum(multiply(scalar, delta) for scalar, delta in zip(scalars, steps, strict=True)))
    m.stack[first:] = values


__all__ = ["SEMANTICS", "means"]
