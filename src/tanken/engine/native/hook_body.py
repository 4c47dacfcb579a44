"""What Numba made of a hook, as a piece of IR that stands alone: for regions, which it becomes part of, and what it does to registers.

LLVM Language Reference (parameter attributes, which LLVM has found by itself; type-based alias metadata, as `region` names it).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tanken.base.native import CompiledFunction
from tanken.engine.native.assemble import simplified

NAME = re.compile(r'@(?:"[^"]*"|[^\s("]+)\(')  # of the function that is defined
LONGEST = 48  # instructions of IR that are worth a copy at each instruction of the guest


@dataclass(frozen=True, slots=True)
class HookBody:
    """A compiled hook: whether it reads registers, or may change them; computes with floats; its text, NAME its name, empty where it is to be called."""

    reads: bool
    changes: bool
    floats: bool
    void: bool
    text: str
    declared: tuple[str, ...]


def hook_body(function: CompiledFunction) -> HookBody:
    """Look at what was compiled."""
    floats = re.search(r"\b(double|float|half)\b", function.text) is not None
    text, declared = simplified(function.text.replace("noinline", "nounwind"), function.symbol)
    head = text.partition("\n")[0]
    parameters = _parameters(NAME.split(head, maxsplit=1)[1])
    registers = parameters[1]
    changes = not re.search(r"\b(readnone|readonly)\b", registers)
    reads = changes or "readnone" not in registers
    void = re.search(r"\bvoid @", head) is not None
    alone = all(name.startswith("llvm.") for name in re.findall(r"@\"?([\w.$]+)", text.partition("\n")[2]))
    fits = alone and not floats and (void or re.search(r"\bi64 @", head) is not None) and text.count("\n") <= LONGEST
    return HookBody(reads, changes, floats, void, _alone(text, parameters[2].split()[-1]) if fits else "", declared)


def _parameters(text: str) -> list[str]:
    """The parameters in front of the closing parenthesis."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            break
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return found


def _alone(text: str, data: str) -> str:
    """Without what refers to its module; accesses by the pointer `data` are known to be none to the guest's memory or state."""
    head, _, rest = text.partition("\n")
    kind = "void" if re.search(r"\bvoid @", head) else "i64"
    behind = NAME.split(head, maxsplit=1)[1]
    lines = [f"define internal {kind} @NAME({','.join(_parameters(behind))}) alwaysinline nounwind {{"]
    pointers = {data}
    for line in rest.splitlines():
        line = re.sub(r"(, ![\w.]+ !\d+)+$", "", line.split(" ;")[0].rstrip())
        line = re.sub(r" #\d+$", "", line)
        derived = re.match(r"\s+(%\S+) = getelementptr .*?ptr (%[^\s,]+),", line)
        if derived and derived[2] in pointers:
            pointers.add(derived[1])
        access = re.match(r"\s+(?:store .*?|%\S+ = load \w+), ptr (%[^\s,]+)", line)
        if access and access[1] in pointers:
            line += ", !tbaa !24"
        lines.append(line)
    return "\n".join(lines) + "\n"
