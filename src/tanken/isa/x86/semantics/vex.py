"""VEX forms of what SSE has: the function written for SSE does each 128-bit half.

Intel SDM volume 1, 14.1 to 14.4: three operands, no alignment, everything above the result cleared. A function sees one `Half` of the
instruction, whose first operand is read from the first source and written to the target; results are put in place when all halves are done.
"""

from __future__ import annotations

from collections.abc import Callable

from tanken.base.errors import InternalError
from tanken.isa.architecture import Machine, Value
from tanken.isa.x86.inst import Inst, Memory, Operand, Register
from tanken.isa.x86.semantics import crypto, sse4, sse42, sse_float, sse_integer, sse_move  # noqa: F401  (they enter what is looked up below)
from tanken.isa.x86.semantics.execution import Execution, Location, MemoryOperand, VexRegister
from tanken.isa.x86.semantics.registry import SEMANTICS, Semantic, semantic
from tanken.isa.x86.semantics.vectors import join
from tanken.isa.x86.state import UPPER, XMM

# immediate bits that each half has of its own
OWN_IMMEDIATE = {"blendps": 4, "blendpd": 2, "shufpd": 2, "permilpd": 2, "mpsadbw": 3}
CHUNKED = ("pmovsx", "pmovzx", "cvtps2pd", "cvtdq2pd", "cvtph2ps")  # read as many bits as they need, the second half the next ones


class HalfRegister:
    """`width` bits of a half of a vector register, from bit `low` on."""

    def __init__(self, machine: Machine, number: int, half: int, width: int, low: int = 0) -> None:
        self.machine, self.place, self.width, self.low = machine, (UPPER if half else XMM)[number], width, low

    def read(self) -> Value:
        return self.machine.get(self.place).bits(self.low, self.width)

    def write(self, value: Value) -> None:
        raise InternalError("a source was written to")


class Target:
    """The first operand: read from the first source, a written value is kept; what it does not cover is the source's."""

    def __init__(self, half: Half, width: int) -> None:
        self.half, self.width = half, width

    def read(self) -> Value:
        return self.half.first.trunc(self.width)

    def write(self, value: Value) -> None:
        if value.width < 128:
            value = self.half.first & ~((1 << value.width) - 1) | value.zext(128)
        self.half.result = value


class Half(Execution):
    """One 128-bit half of a VEX instruction with the operands that the SSE form would have."""

    def __init__(self, machine: Machine, inst: Inst, half: int) -> None:
        super().__init__(machine, inst)
        self.mnemonic, self.half = inst.mnemonic[1:], half
        self.all: tuple[Operand, ...] = inst.operands
        form = inst.form
        assert form is not None
        self.merges = len(self.all) > 2 and "H" in (form.operands[0].text[0], form.operands[1].text[0])
        self.operands = (self.all[0], *self.all[2:]) if self.merges else self.all
        self.chunked = self.mnemonic.startswith(CHUNKED)
        self.result: Value | None = None

    @property
    def first(self) -> Value:
        return self.source(1 if self.merges else 0)

    def source(self, number: int, width: int = 128) -> Value:
        """The half of an operand, by its place in the VEX instruction."""
        return self._at(self.all[number], width).read()

    def location(self, number: int, width: int = 0) -> Location:
        return Target(self, width or 128) if number == 0 else self._at(self.operands[number], width)

    def _at(self, operand: Operand, width: int) -> Location:
        if isinstance(operand, Register) and operand.file == "xmm":
            low = self.half * width if self.chunked else 0
            return HalfRegister(self.machine, operand.number, self.half if operand.size == 32 else 0, width or 128, low)
        if isinstance(operand, Memory):
            step = width // 8 if self.chunked else 16 if operand.size == 32 else 0
            return MemoryOperand(self.machine, self.address(operand) + step * self.half, width or min(operand.size * 8, 128))
        return super().location(self.operands.index(operand), width)

    def immediate(self, number: int) -> int | None:
        value = super().immediate(number)
        return None if value is None else value >> OWN_IMMEDIATE.get(self.mnemonic, 0) * self.half

    def mask(self) -> Value:
        return self.source(3)


def results(x: Execution, function: Semantic) -> list[Value]:
    """What `function` gives for each half that there is."""
    wide = x.inst.mnemonic not in ("vmovss", "vmovsd") and any(isinstance(o, Register | Memory) and o.size == 32 for o in x.operands)
    found: list[Value] = []
    exceptions = None
    for number in range(1 + wide):
        half = Half(x.machine, x.inst, number)
        half.exceptions, half.is_followed = exceptions, number < wide
        function(half)
        exceptions = half.exceptions
        assert half.result is not None, f"{x.mnemonic} gave no result"
        found.append(half.result)
    return found


def _target(x: Execution) -> VexRegister:
    target = x.operands[0]
    assert isinstance(target, Register)
    return VexRegister(x.machine, target.number, target.size * 8)


def halved(function: Semantic) -> Semantic:
    def run(x: Execution) -> None:
        _target(x).write(join(results(x, function)))

    return run


def narrowed(function: Semantic) -> Semantic:
    """Each half gives 64 bits."""

    def run(x: Execution) -> None:
        _target(x).write(join([part.trunc(64) for part in results(x, function)]))

    return run


def halved_unless_memory(function: Semantic) -> Semantic:
    """A form that stores, or that loads without merging, is what it is in SSE."""

    def run(x: Execution) -> None:
        (function if len(x.operands) < 3 else halved(function))(Plain(x.machine, x.inst))

    return run


class Plain(Execution):
    """A VEX instruction whose operands are those of the SSE form."""

    def __init__(self, machine: Machine, inst: Inst) -> None:
        super().__init__(machine, inst)
        self.mnemonic = inst.mnemonic[1:]


def plain(function: Semantic) -> Semantic:
    def run(x: Execution) -> None:
        function(Plain(x.machine, x.inst))

    return run


HALVED = """
    addps addpd addss addsd subps subpd subss subsd mulps mulpd mulss mulsd divps divpd divss divsd minps minpd minss minsd maxps maxpd maxss maxsd
    sqrtps sqrtpd sqrtss sqrtsd rcpps rcpss rsqrtps rsqrtss haddps haddpd hsubps hsubpd addsubps addsubpd cmpps cmppd cmpss cmpsd
    andps andpd andnps andnpd orps orpd xorps xorpd unpcklps unpcklpd unpckhps unpckhpd shufps shufpd movsldup movshdup movddup movlhps movhlps
    cvtsi2ss cvtsi2sd cvtss2sd cvtsd2ss cvtps2pd cvtdq2ps cvtdq2pd cvtps2dq cvttps2dq roundps roundpd roundss roundsd dpps dppd insertps
    pshufd pshufhw pshuflw pshufb palignr pabsb pabsw pabsd pand pandn por pxor pmuludq pmuldq pmaddwd psadbw pmaddubsw pmulhrsw
    packsswb packssdw packuswb packusdw punpcklbw punpcklwd punpckldq punpcklqdq punpckhbw punpckhwd punpckhdq punpckhqdq
    psllw pslld psllq psrlw psrld psrlq psraw psrad pslldq psrldq pinsrb pinsrw pinsrd pinsrq
    phaddw phaddd phaddsw phsubw phsubd phsubsw psignb psignw psignd pblendvb blendvps blendvpd pblendw blendps blendpd phminposuw mpsadbw
    pmovsxbw pmovsxbd pmovsxbq pmovsxwd pmovsxwq pmovsxdq pmovzxbw pmovzxbd pmovzxbq pmovzxwd pmovzxwq pmovzxdq
    aesenc aesenclast aesdec aesdeclast aesimc aeskeygenassist pclmuldq gf2p8mulb gf2p8affineqb gf2p8affineinvqb
    """.split() + list(sse_integer.LANEWISE)
PLAIN = """
    movups movupd movaps movapd movdqa movdqu lddqu movntps movntpd movntdq movntdqa movd movq movmskps movmskpd pmovmskb
    pextrb pextrw pextrd pextrq extractps ptest pcmpestri pcmpestrm pcmpistri pcmpistrm ucomiss ucomisd comiss comisd
    cvtss2si cvtsd2si cvttss2si cvttsd2si ldmxcsr stmxcsr maskmovdqu
    """.split()
WAYS: tuple[tuple[list[str], Callable[[Semantic], Semantic]], ...] = (
    (HALVED, halved), (PLAIN, plain), (["cvtpd2ps", "cvtpd2dq", "cvttpd2dq"], narrowed),
    (["movss", "movsd", "movlps", "movlpd", "movhps", "movhpd"], halved_unless_memory),
)  # fmt: skip
for _names, _way in WAYS:
    for _name in _names:
        semantic("v" + _name)(_way(SEMANTICS[_name]))
