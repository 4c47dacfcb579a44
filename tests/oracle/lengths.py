"""Lengths of x86 instructions against iced-x86 and Capstone: random bytes, counted where both other decoders see an instruction.

`python -m tests.oracle.lengths --mode 64 --count 100000`; where the two disagree with each other, ours must match one of them.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator

import capstone
import iced_x86

from tanken.isa import x86

CAPSTONE_MODES = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}


def differences(count: int, seed: int, mode: int) -> Iterator[tuple[bytes, int, int, int]]:
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


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare tanken's x86 lengths with those of iced-x86 and Capstone.")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", type=int, choices=(16, 32, 64), default=64)
    options = parser.parse_args()
    found = list(differences(options.count, options.seed, options.mode))
    for code, ours, iced, lite in found[:25]:
        print(f"{code.hex(' ')}  tanken {ours}, iced-x86 {iced}, Capstone {lite}: {x86.decode(code, 0, options.mode).text()}")
    print(f"{len(found)} of {options.count} differ, mode {options.mode}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
