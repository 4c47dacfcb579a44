"""Byte streams under 64-bit cipher and output feedback: the six ciphers of ENCRYPT as objects that take any number of octets at a time.

RFC 2952, 2953, 2947, 2948, 2950, 2949, each section 2: the position inside a block is kept from one segment to the next.
Small inputs are done in plain Python, so that nobody waits for a compiler; large ones by the same source under Numba.
"""

from __future__ import annotations

import copy
from typing import Any

from tanken.base import native
from tanken.telnet import blocks, schedule

SMALL = 4096  # octets below which no compiler is started
CHUNK = 1 << 16  # octets at a time, which stay in the cache


def _kernels(size: int) -> Any:
    """The compiled kernels where they are worth it, else None."""
    return native.twin(blocks.__name__) if size >= SMALL or _loaded() else None


def _loaded() -> bool:
    return blocks.__name__ in native._twins and native.available()


class Feedback:
    """One direction: `family` "des" or "cast", `mode` "cfb" or "ofb", the round keys, and the register."""

    def __init__(self, family: str, mode: str, keys: list[int], iv: bytes) -> None:
        self.family = family
        self.mode = mode
        self.keys = keys
        self.boxes = schedule.des_boxes() if family == "des" else schedule.cast_boxes()
        self._arrays: Any = None  # the same two for the kernels
        self.restart(iv)

    def restart(self, iv: bytes) -> None:
        """Begins anew with the register `iv`, 8 octets."""
        self._register = int.from_bytes(iv, "big")  # the input of the next block
        self._stream = b""  # key octets made and not yet used
        self._past = b""  # cipher octets of the block that is under way (CFB)

    def saved(self) -> Feedback:
        """A copy of the present state."""
        return copy.copy(self)

    def encrypt(self, data: bytes) -> bytes:
        """The cipher text of the next octets."""
        return self._apply(data, True)

    def decrypt(self, data: bytes) -> bytes:
        """The clear text of the next octets."""
        return self._apply(data, False)

    def _apply(self, data: bytes, encrypting: bool) -> bytes:
        head = self._partial(data[: len(self._stream)], encrypting) if self._stream else b""
        rest = data[len(head) :]
        whole = len(rest) & ~7
        body = self._blocks(rest[:whole], encrypting) if whole else b""
        tail = rest[whole:]
        if tail:
            self._next()
            return head + body + self._partial(tail, encrypting)
        return head + body if head else body

    def _partial(self, data: bytes, encrypting: bool) -> bytes:
        out = bytes(a ^ b for a, b in zip(data, self._stream, strict=False))
        self._stream = self._stream[len(data) :]
        if self.mode == "cfb":
            self._past += out if encrypting else data
            if len(self._past) == 8:
                self._register, self._past = int.from_bytes(self._past, "big"), b""
        return out

    def _next(self) -> None:
        """Makes the key octets of the next block."""
        block = blocks.des_block if self.family == "des" else blocks.cast_block
        left, right = block(self.boxes, self.keys, self._register >> 32, self._register & blocks.M32)
        value = left << 32 | right
        self._stream = value.to_bytes(8, "big")
        if self.mode == "ofb":
            self._register = value

    def _blocks(self, data: bytes, encrypting: bool) -> bytes:
        kernels = _kernels(len(data))
        if kernels is None:
            return self._plain(data, encrypting)
        return b"".join(self._compiled(kernels, data[i : i + CHUNK], encrypting) for i in range(0, len(data), CHUNK))

    def _compiled(self, kernels: Any, data: bytes, encrypting: bool) -> bytes:
        import numpy as np

        text = np.frombuffer(data, dtype=">i8").astype(np.int64)
        if self._arrays is None:
            self._arrays = np.array(self.boxes, dtype=np.int64), np.array(self.keys, dtype=np.int64)
        boxes, keys = self._arrays
        first = self._register - (1 << 64) if self._register >> 63 else self._register
        out = np.empty_like(text)
        if self.mode == "ofb":
            getattr(kernels, f"{self.family}_ofb")(boxes, keys, first, out)
            self._register = int(out[-1]) & (1 << 64) - 1
            out ^= text
        else:
            getattr(kernels, f"{self.family}_cfb_{'encrypt' if encrypting else 'decrypt'}")(boxes, keys, first, text, out)
            self._register = int((out if encrypting else text)[-1]) & (1 << 64) - 1
        return out.astype(">i8").tobytes()

    def _plain(self, data: bytes, encrypting: bool) -> bytes:
        text = [int.from_bytes(data[i : i + 8], "big") for i in range(0, len(data), 8)]
        out = [0] * len(text)
        if self.mode == "ofb":
            (blocks.des_ofb if self.family == "des" else blocks.cast_ofb)(self.boxes, self.keys, self._register, out)
            self._register = out[-1]
            out = [a ^ b for a, b in zip(out, text, strict=True)]
        else:
            if self.family == "des":
                run = blocks.des_cfb_encrypt if encrypting else blocks.des_cfb_decrypt
            else:
                run = blocks.cast_cfb_encrypt if encrypting else blocks.cast_cfb_decrypt
            run(self.boxes, self.keys, self._register, text, out)
            self._register = (out if encrypting else text)[-1]
        return b"".join(value.to_bytes(8, "big") for value in out)


def warm() -> None:
    """Compiles the kernels."""
    for family, keys in (("des", schedule.des_keys(bytes(8))), ("cast", schedule.cast_keys(bytes(16)))):
        for mode in ("cfb", "ofb"):
            cipher = Feedback(family, mode, keys, bytes(8))
            cipher.encrypt(bytes(SMALL))
            cipher.decrypt(bytes(SMALL))
