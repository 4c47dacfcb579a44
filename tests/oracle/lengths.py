"""Lengths of x86 instructions against iced-x86 and Capstone: random bytes, counted where both other decoders see an instruction.

`python -m tests.oracle.lengths --mode 64 --count 100000`; where the two disagree with each other, ours must match one of them.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator

import capstone
import iced_x86

from tanken.isa import x86

CAPSTONE_MODES = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}
LengthDifference = tuple[bytes, int, int, int]
PREFIXES = bytes.fromhex("26 2e 36 3e 64 65 66 67 f0 f2 f3")


def _prefixes(code: bytes, mode: int) -> bytes:
    """The prefixes, REX and FWAIT at the beginning."""
    count = 0
    while count < len(code) and (code[count] in PREFIXES or code[count] == 0x9B or mode == 64 and 0x40 <= code[count] < 0x50):
        count += 1
    return code[:count]


def _rex_not_last(code: bytes, mode: int) -> bool:
    return mode == 64 and any(0x40 <= byte < 0x50 for byte in _prefixes(code, mode)[:-1])


def _wait(code: bytes, mode: int) -> bool:
    return 0x9B in _prefixes(code, mode)


def _ud0(code: bytes, mode: int) -> bool:
    return code[len(_prefixes(code, mode)) :][:2] == b"\x0f\xff"


def _mpx16(code: bytes, mode: int) -> bool:
    prefixes = _prefixes(code, mode)
    return code[len(prefixes) :][:2] in (b"\x0f\x1a", b"\x0f\x1b") and (mode == 16) != (mode != 64 and 0x67 in prefixes)


# class -> whether bytes belong to it; objdump's way is ours
LISTED: dict[str, Callable[[bytes, int], bool]] = {
    "REX before another prefix: objdump prints it as a line of its own": _rex_not_last,
    "0f ff (ud0): with operands, as Intel and objdump have it; the others take it without": _ud0,
    "0f 1a, 0f 1b with a 16-bit address: (bad) for objdump, which reads no displacement": _mpx16,
    "9b before an x87 instruction or another prefix: objdump joins them": _wait,
}


def differences(count: int, seed: int, mode: int) -> Iterator[LengthDifference]:
    """(bytes, our length, iced-x86's, Capstone's) for every string both others accept and ours matches neither."""
    rng = random.Random(seed)
    engine = capstone.Cs(capstone.CS_ARCH_X86, CAPSTONE_MODES[mode])
    for _ in range(count):
        code = rng.randbytes(15)
        iced = iced_x86.Decoder(mode, code, options=iced_x86.DecoderOptions.AMD).decode()
        lite = next(iter(engine.disasm_lite(code, 0, 1)), None)
        if iced.is_invalid or lite is None:
            continue
        ours = x86.decode(code, 0, mode).length
        if ours not in (iced.len, lite[1]):
            yield code, ours, iced.len, lite[1]


def listed(difference: LengthDifference, mode: int) -> str:
    """The listed class that a difference belongs to, "" for none."""
    return next((name for name, fits in LISTED.items() if fits(difference[0], mode)), "")


def show(found: list[LengthDifference], mode: int) -> None:
    """Prints the first differences."""
    for code, ours, iced, lite in found[:25]:
        print(f"{code.hex(' ')}  tanken {ours}, iced-x86 {iced}, Capstone {lite}: {x86.decode(code, 0, mode).text()}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare tanken's x86 lengths with those of iced-x86 and Capstone.")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", type=int, choices=(16, 32, 64), default=64)
    options = parser.parse_args()
    found = list(differences(options.count, options.seed, options.mode))
    show(found, options.mode)
    print(f"{len(found)} of {options.count} differ, mode {options.mode}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
