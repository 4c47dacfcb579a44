"""x87 by the host's own: the instruction behind each pure function, and the register stack in the state block, 16 bytes a register.

Intel SDM volume 1, chapter 8. The host's control word is the guest's with all exceptions masked (instructions of a guest that unmasks one are
the reference's); its status word holds no exception that the guest's does not hold, so that what an instruction adds to both is the same.
LLVM keeps the host's stack, which is empty between instructions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from tanken.isa.x86.native import block as B
from tanken.isa.x86.native.floats import RELATION
from tanken.isa.x86.state import FPU_CONTROL, FPU_STATUS

WORD, SCRATCH = 1592, 1600  # in the state block: the control word for the host, a memory operand
EXCEPTIONS, C1, C2, CONDITIONS = 63, 1 << 9, 1 << 10, 0x4700
FOUND = 1 << 15  # FPREM's: there is a quotient
SIGN = 1 << 79
SAVE = r"\0Afnstsw %ax"
FRESH = r"fnclex\0A"  # where a single exception decides something

# What `run` does on the way in, %r12 being the state, and on the way out: nothing of the guest's is left in the host's x87.
ENTER = f" movzwl {B.FPU_CONTROL}(%r12), %eax\n orl $63, %eax\n movw %ax, {WORD}(%r12)\n fnclex\n fldcw {WORD}(%r12)\n"
LEAVE = " fninit\n"


class Body(Protocol):
    """The writer of a function, see the engine's."""

    names: dict[Any, str]

    def value(self, text: str) -> str: ...
    def line(self, text: str) -> None: ...
    def use(self, node: Any, width: int) -> str: ...
    def pointer(self, address: Any) -> str: ...


@dataclass(frozen=True, slots=True)
class Operation:
    """Assembler text; `operands`: registers (t) and memory (bits) that go in; `result`: f80, order, none, or bits by memory; condition bits kept."""

    text: str
    operands: tuple[str, ...] = ("t",)
    result: str = "f80"
    keeps: int = EXCEPTIONS | C1
    pops: int = 0  # how many registers the text takes off the stack beyond one that the result replaces
    silent: bool = False


def _operations() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for name in ("add", "mul", "sub", "subr", "div", "divr"):
        for form in ((name, name + "r") if name in ("add", "mul") else (name,)):
            found[f"x87_{form}_f80"] = Operation(f"f{name} %st(1), %st", ("t", "t"))
            for kind, prefix, suffix in (("f32", "f", "s"), ("f64", "f", "l"), ("i16", "fi", "s"), ("i32", "fi", "l")):
                found[f"x87_{form}_{kind}"] = Operation(f"{prefix}{name}{suffix} MEMORY", ("t", kind[1:]))
    found["x87_order_f80"] = Operation("fucom %st(1)", ("t", "t"), "order", EXCEPTIONS)
    for kind, text in (("f32", "fcoms"), ("f64", "fcoml"), ("i16", "ficoms"), ("i32", "ficoml")):
        found[f"x87_order_{kind}"] = Operation(f"{text} MEMORY", ("t", kind[1:]), "order", EXCEPTIONS)
    for kind, text in (("f32", "flds"), ("f64", "fldl"), ("i16", "filds"), ("i32", "fildl"), ("i64", "fildll")):
        found[f"x87_load_{kind}"] = Operation(f"{text} MEMORY", (kind[1:],), "f80", EXCEPTIONS, silent=kind[0] == "i")
    found["x87_load_decimal"] = Operation("fbld MEMORY", ("80",), silent=True)
    for name, text, size, pops in (("store_f32", "fsts", 32, 0), ("store_f64", "fstl", 64, 0), ("store_i16", "fists", 16, 0), ("store_i32", "fistl", 32, 0),
                                   ("store_i64", "fistpll", 64, 1), ("cut_i16", "fisttps", 16, 1), ("cut_i32", "fisttpl", 32, 1),
                                   ("cut_i64", "fisttpll", 64, 1), ("store_decimal", "fbstp", 80, 1)):  # fmt: skip
        found["x87_" + name] = Operation(f"{text} MEMORY", ("t",), str(size), pops=pops)
    for name, text in (("sqrt", "fsqrt"), ("integral", "frndint"), ("f2xm1", FRESH + "f2xm1")):
        found["x87_" + name] = Operation(text)
    for name in ("sin", "cos"):
        found["x87_" + name] = Operation(f"{FRESH}f{name}", keeps=EXCEPTIONS | C1 | C2)
    found["x87_scale"] = Operation("fscale", ("t", "t"))
    for name in ("prem", "prem1"):
        found["x87_" + name] = Operation(f"f{name}", ("t", "t"), keeps=EXCEPTIONS | CONDITIONS)
    for name, text in (("atan", "fpatan"), ("yl2x", "fyl2x"), ("yl2xp1", "fyl2xp1")):
        found["x87_" + name] = Operation(text, ("t", "t"), pops=1)
    only = r"\0Atestw $$0x400, %ax\0Ajne 1f\0Afstp %st(0)\0A1:"  # a result and a one, if there is any
    found["x87_tan"] = Operation(f"{FRESH}fptan{SAVE}{only}", keeps=EXCEPTIONS | C1 | C2)
    for name in ("fld1", "fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2", "fldz"):
        found["x87_" + name] = Operation(name, (), "f80", silent=True)
    found["x87_class"] = Operation("fxam", ("t",), "none", CONDITIONS)
    return found


OPERATIONS = _operations()
PLAIN = frozenset({"x87_load_f80", "x87_tag", "x87_extract"})  # those of more or fewer results


def known(function: str) -> tuple[str, tuple[int, ...]] | None:
    """The operation for a function, and which of its results are always 0."""
    if function in PLAIN:
        return function, (1,) if function == "x87_load_f80" else ()
    operation = OPERATIONS.get(function)
    if operation is None:
        return None
    return function, (1,) if operation.silent and operation.result == "f80" else ()


class Stack:
    """Lowers the elements of `st` and the functions of their numbers; a value of 80 bits has a second name, as a number of that format."""

    def event(self, body: Body, event: Any) -> bool:
        """The list's elements, and memory operands of 80 bits."""
        if event.kind == "get_at":
            self._born(body, event.results[0], body.value(f"load x86_fp80, ptr {self._slot(body, event.nodes[0])}"))
        elif event.kind == "set_at":
            body.line(f"store x86_fp80 {self.number(body, event.nodes[1])}, ptr {self._slot(body, event.nodes[0])}")
        elif event.kind == "load" and event.extra == 10:
            self._born(body, event.results[0], body.value(f"load volatile x86_fp80, ptr {body.pointer(event.nodes[0])}, align 1"))
        elif event.kind == "store" and event.extra == 10:
            number = self.number(body, event.nodes[1])
            body.line(f"store x86_fp80 {number}, ptr {body.pointer(event.nodes[0])}, align 1")
        else:
            return False
        return True

    @staticmethod
    def _slot(body: Body, index: Any) -> str:
        number = body.value(f"zext i3 {body.use(index, 3)} to i64")
        at = body.value(f"getelementptr i8, ptr %S, i64 {B.ST}")
        return body.value(f"getelementptr [16 x i8], ptr {at}, i64 {number}")

    @staticmethod
    def _born(body: Body, node: Any, name: str) -> None:
        body.names[node, "f80"] = name
        body.names[node] = body.value(f"bitcast x86_fp80 {name} to i80")

    def number(self, body: Body, node: Any) -> str:
        """A value of 80 bits as a number: where it came from one, without leaving the host's registers."""
        found = body.names.get((node, "f80"))
        if found is None:
            found = body.names[node, "f80"] = self._number(body, node)
        return found

    def _number(self, body: Body, node: Any) -> str:
        if node.op == "select" and node.result == 80:
            condition, then, other = node.args
            return body.value(f"select i1 {body.use(condition, 1)}, x86_fp80 {self.number(body, then)}, x86_fp80 {self.number(body, other)}")
        last = node.args[1].constant if len(node.args) == 2 else None
        if node.width == 80 and (node.op, last) in (("xor", SIGN), ("and", SIGN - 1)):
            text = "fchs" if node.op == "xor" else "fabs"
            return body.value(f'call x86_fp80 asm "{text}", "={{st}},0"(x86_fp80 {self.number(body, node.args[0])})')
        if node.constant == 0:
            return "0xK00000000000000000000"
        return body.value(f"bitcast i80 {body.use(node, 80)} to x86_fp80")

    # -- functions

    def x87(self, body: Body, event: Any) -> None:
        """The operation that the event asks for."""
        name, nodes, results = event.extra, event.nodes, event.results
        if name == "x87_load_f80":
            return self._born(body, results[0], self.number(body, nodes[0]))
        if name == "x87_tag":
            body.names[results[0]] = self._tag(body, nodes[0])
            return None
        if name == "x87_extract":
            text = f'{{x86_fp80, x86_fp80, i16}} asm sideeffect "fxtract{SAVE}", "={{st}},={{st(1)}},={{ax}},0"(x86_fp80 {self.number(body, nodes[0])})'
            three = body.value("call " + text)
            for number, node in ((0, results[1]), (1, results[0])):
                self._born(body, node, body.value(f"extractvalue {{x86_fp80, x86_fp80, i16}} {three}, {number}"))
            told = body.value(f"extractvalue {{x86_fp80, x86_fp80, i16}} {three}, 2")
            body.names[results[2]] = body.value(f"and i16 {told}, {EXCEPTIONS | C1}")
            return None
        return self._operate(body, OPERATIONS[name], nodes, results)

    def _operate(self, body: Body, operation: Operation, nodes: tuple[Any, ...], results: tuple[Any, ...]) -> None:
        scratch = body.value(f"getelementptr i8, ptr %S, i64 {SCRATCH}")
        outputs, inputs, arguments, kinds = [], [], [], []
        if operation.result == "f80":
            outputs.append("={st}")
            kinds.append("x86_fp80")
        elif operation.result.isdigit():
            outputs.append("=*m")
            arguments.append(f"ptr elementtype(i{operation.result}) {scratch}")
        memory = len(outputs) - 1 if operation.result.isdigit() else None
        told = not operation.silent
        if told:
            outputs.append("={ax}")
            kinds.append("i16")
        registers = 0
        for operand, node in zip(operation.operands, nodes, strict=False):
            if operand == "t":
                inputs.append("{st(1)}" if registers else "0" if operation.result == "f80" else "{st}")
                registers += 1
                arguments.append(f"x86_fp80 {self.number(body, node)}")
            else:
                bits = int(operand)
                body.line(f"store i{bits} {body.use(node, bits)}, ptr {scratch}")
                memory = len(outputs) + len(inputs)
                inputs.append("*m")
                arguments.append(f"ptr elementtype(i{operand}) {scratch}")
        gone = ["~{st(1)}" if registers > 1 else "~{st}"] if operation.pops else []
        text = operation.text.replace("MEMORY", f"${memory}")
        text += SAVE if told and SAVE not in text else ""
        kind = kinds[0] if len(kinds) == 1 else f"{{{', '.join(kinds)}}}"
        constraints = ",".join((*outputs, *inputs, *gone, "~{flags}"))
        answer = body.value(f'call {kind} asm sideeffect "{text}", "{constraints}"({", ".join(arguments)})')
        parts = [answer] if len(kinds) == 1 else [body.value(f"extractvalue {kind} {answer}, {number}") for number in range(len(kinds))]
        self._results(body, operation, scratch, parts, results)

    def _results(self, body: Body, operation: Operation, scratch: str, parts: list[str], results: tuple[Any, ...]) -> None:
        status = parts[-1] if not operation.silent else ""
        if operation.result == "f80":
            self._born(body, results[0], parts[0])
        elif operation.result.isdigit():
            body.names[results[0]] = body.value(f"load i{operation.result}, ptr {scratch}")
        elif operation.result == "order":
            body.names[results[0]] = RELATION(body, status)
        if status:
            flags = body.value(f"and i16 {status}, {operation.keeps}")
            if operation.text.startswith("fprem"):
                flags = self._found(body, flags, body.names[results[0]])
            body.names[results[-1]] = flags

    @staticmethod
    def _found(body: Body, flags: str, rest: str) -> str:
        """There is a quotient where the remainder is a number."""
        exponent = body.value(f"trunc i80 {body.value(f'lshr i80 {rest}, 64')} to i15")
        number = body.value(f"select i1 {body.value(f'icmp eq i15 {exponent}, -1')}, i16 0, i16 {FOUND - 65536}")
        return body.value(f"or i16 {flags}, {number}")

    @staticmethod
    def _tag(body: Body, node: Any) -> str:
        """0 a number, 1 zero, 2 anything else."""
        bits = body.use(node, 80)
        exponent = body.value(f"trunc i80 {body.value(f'lshr i80 {bits}, 64')} to i15")
        fraction = body.value(f"trunc i80 {bits} to i64")
        least = body.value(f"icmp eq i15 {exponent}, 0")
        zero = body.value(f"and i1 {least}, {body.value(f'icmp eq i64 {fraction}, 0')}")
        odd = body.value(f"or i1 {least}, {body.value(f'icmp eq i15 {exponent}, -1')}")
        other = body.value(f"or i1 {odd}, {body.value(f'icmp sgt i64 {fraction}, -1')}")
        return body.value(f"select i1 {zero}, i16 1, i16 {body.value(f'select i1 {other}, i16 2, i16 0')}")


def follow(body: Body, values: dict[Any, Any]) -> None:
    """Behind an instruction that changed the control word or took exceptions away: the host's follows."""
    status = values.get(FPU_STATUS)
    cleared = status is not None and status.op == "and" and status.args[1].constant is not None and not status.args[1].constant & EXCEPTIONS
    if FPU_CONTROL in values:
        word, place = (body.value(f"getelementptr i8, ptr %S, i64 {at}") for at in (WORD, B.FPU_CONTROL))
        control = body.value(f"load i16, ptr {place}")
        body.line(f"store i16 {body.value(f'or i16 {control}, 63')}, ptr {word}")
        body.line(f'call void asm sideeffect "fnclex\\0Afldcw ($0)", "r,~{{memory}}"(ptr {word})')
    elif cleared:
        body.line('call void asm sideeffect "fnclex", "~{memory}"()')
