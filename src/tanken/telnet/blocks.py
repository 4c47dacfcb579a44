"""The block ciphers of ENCRYPT in feedback modes: DES, triple DES and CAST-128 as kernels over 64-bit blocks; plain Python and Numba read this source.

DES: FIPS 46-3; CAST-128: RFC 2144; cipher feedback and output feedback of 64 bits: FIPS 81 as RFC 2952 and 2953 section 2 use them.

A block is two 32-bit halves. In DES each half of a round key holds six bits for every second S-box, in the upper six bits of a byte, so that
one rotation of R (right by 1, left by 3) lays the expansion E over it; the tables join each S-box with the permutation P. Feedback decryption
knows the input of every block beforehand: four blocks at a time keep the processor busy.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from tanken.base.native import kernel

M32 = 0xFFFFFFFF
CAST_SHORT = 12  # rounds for keys of at most 80 bits (RFC 2144 section 2.5)


@kernel
def des_initial(left: int, right: int) -> tuple[int, int]:
    """IP: five exchanges of bits between the halves."""
    t = ((left >> 4) ^ right) & 0x0F0F0F0F
    left, right = left ^ (t << 4), right ^ t
    t = ((left >> 16) ^ right) & 0x0000FFFF
    left, right = left ^ (t << 16), right ^ t
    t = ((right >> 2) ^ left) & 0x33333333
    left, right = left ^ t, right ^ (t << 2)
    t = ((right >> 8) ^ left) & 0x00FF00FF
    left, right = left ^ t, right ^ (t << 8)
    t = ((left >> 1) ^ right) & 0x55555555
    return left ^ (t << 1), right ^ t


@kernel
def des_final(left: int, right: int) -> tuple[int, int]:
    """The inverse of IP."""
    t = ((left >> 1) ^ right) & 0x55555555
    left, right = left ^ (t << 1), right ^ t
    t = ((right >> 8) ^ left) & 0x00FF00FF
    left, right = left ^ t, right ^ (t << 8)
    t = ((right >> 2) ^ left) & 0x33333333
    left, right = left ^ t, right ^ (t << 2)
    t = ((left >> 16) ^ right) & 0x0000FFFF
    left, right = left ^ (t << 16), right ^ t
    t = ((left >> 4) ^ right) & 0x0F0F0F0F
    return left ^ (t << 4), right ^ t


@kernel
def des_round(boxes: Sequence[int], right: int, even: int, odd: int) -> int:
    """The function f of one round."""
    u = ((right >> 1) | (right << 31)) ^ even
    v = ((right << 3) | (right >> 29)) ^ odd
    return (
        boxes[(u >> 26) & 63] ^ boxes[64 + ((v >> 26) & 63)] ^ boxes[128 + ((u >> 18) & 63)] ^ boxes[192 + ((v >> 18) & 63)]
        ^ boxes[256 + ((u >> 10) & 63)] ^ boxes[320 + ((v >> 10) & 63)] ^ boxes[384 + ((u >> 2) & 63)] ^ boxes[448 + ((v >> 2) & 63)]
    )  # fmt: skip


@kernel
def des_block(boxes: Sequence[int], keys: Sequence[int], left: int, right: int) -> tuple[int, int]:
    """One block through all passes of the key (one of 32 numbers for DES, three for triple DES)."""
    left, right = des_initial(left, right)
    for start in range(0, len(keys), 32):
        for i in range(start, start + 32, 4):
            left ^= des_round(boxes, right, keys[i], keys[i + 1])
            right ^= des_round(boxes, left, keys[i + 2], keys[i + 3])
        left, right = right, left
    return des_final(left, right)


@kernel
def des_cfb_decrypt(boxes: Sequence[int], keys: Sequence[int], first: int, blocks: Sequence[int], out: MutableSequence[int]) -> None:
    """out = blocks xor E(block before), the one before the first being `first`; four at a time."""
    n = len(blocks)
    k = 0
    while k + 4 <= n:
        a = first if k == 0 else blocks[k - 1]
        b, c, d = blocks[k], blocks[k + 1], blocks[k + 2]
        al, ar = des_initial((a >> 32) & M32, a & M32)
        bl, br = des_initial((b >> 32) & M32, b & M32)
        cl, cr = des_initial((c >> 32) & M32, c & M32)
        dl, dr = des_initial((d >> 32) & M32, d & M32)
        for start in range(0, len(keys), 32):
            for i in range(start, start + 32, 4):
                e, o = keys[i], keys[i + 1]
                al ^= des_round(boxes, ar, e, o)
                bl ^= des_round(boxes, br, e, o)
                cl ^= des_round(boxes, cr, e, o)
                dl ^= des_round(boxes, dr, e, o)
                e, o = keys[i + 2], keys[i + 3]
                ar ^= des_round(boxes, al, e, o)
                br ^= des_round(boxes, bl, e, o)
                cr ^= des_round(boxes, cl, e, o)
                dr ^= des_round(boxes, dl, e, o)
            al, ar, bl, br, cl, cr, dl, dr = ar, al, br, bl, cr, cl, dr, dl
        al, ar = des_final(al, ar)
        bl, br = des_final(bl, br)
        cl, cr = des_final(cl, cr)
        dl, dr = des_final(dl, dr)
        out[k] = blocks[k] ^ ((al << 32) | ar)
        out[k + 1] = blocks[k + 1] ^ ((bl << 32) | br)
        out[k + 2] = blocks[k + 2] ^ ((cl << 32) | cr)
        out[k + 3] = blocks[k + 3] ^ ((dl << 32) | dr)
        k += 4
    while k < n:
        a = first if k == 0 else blocks[k - 1]
        al, ar = des_block(boxes, keys, (a >> 32) & M32, a & M32)
        out[k] = blocks[k] ^ ((al << 32) | ar)
        k += 1


@kernel
def des_cfb_encrypt(boxes: Sequence[int], keys: Sequence[int], first: int, blocks: Sequence[int], out: MutableSequence[int]) -> None:
    """out = blocks xor E(output before)."""
    last = first
    for k in range(len(blocks)):
        left, right = des_block(boxes, keys, (last >> 32) & M32, last & M32)
        last = blocks[k] ^ ((left << 32) | right)
        out[k] = last


@kernel
def des_ofb(boxes: Sequence[int], keys: Sequence[int], first: int, out: MutableSequence[int]) -> None:
    """The key stream: E(first), E(E(first)), ..."""
    left, right = (first >> 32) & M32, first & M32
    for k in range(len(out)):
        left, right = des_block(boxes, keys, left, right)
        out[k] = (left << 32) | right


@kernel
def cast_block(boxes: Sequence[int], keys: Sequence[int], left: int, right: int) -> tuple[int, int]:
    """One block; `keys` are pairs of masking and rotation keys, one pair a round (RFC 2144 section 2.1, 2.2)."""
    for i in range(0, len(keys), 2):
        kind = (i >> 1) % 3
        mask, turn = keys[i], keys[i + 1]
        if kind == 0:
            x = (mask + right) & M32
        elif kind == 1:
            x = mask ^ right
        else:
            x = (mask - right) & M32
        x = (x << turn) | (x >> (32 - turn))
        a, b, c, d = boxes[(x >> 24) & 255], boxes[256 + ((x >> 16) & 255)], boxes[512 + ((x >> 8) & 255)], boxes[768 + (x & 255)]
        if kind == 0:
            f = ((a ^ b) - c) + d
        elif kind == 1:
            f = ((a - b) + c) ^ d
        else:
            f = ((a + b) ^ c) - d
        left, right = right, (left ^ f) & M32
    return right, left


@kernel
def cast_cfb_decrypt(boxes: Sequence[int], keys: Sequence[int], first: int, blocks: Sequence[int], out: MutableSequence[int]) -> None:
    """As des_cfb_decrypt."""
    last = first
    for k in range(len(blocks)):
        left, right = cast_block(boxes, keys, (last >> 32) & M32, last & M32)
        last = blocks[k]
        out[k] = last ^ ((left << 32) | right)


@kernel
def cast_cfb_encrypt(boxes: Sequence[int], keys: Sequence[int], first: int, blocks: Sequence[int], out: MutableSequence[int]) -> None:
    """As des_cfb_encrypt."""
    last = first
    for k in range(len(blocks)):
        left, right = cast_block(boxes, keys, (last >> 32) & M32, last & M32)
        last = blocks[k] ^ ((left << 32) | right)
        out[k] = last


@kernel
def cast_ofb(boxes: Sequence[int], keys: Sequence[int], first: int, out: MutableSequence[int]) -> None:
    """As des_ofb."""
    left, right = (first >> 32) & M32, first & M32
    for k in range(len(out)):
        left, right = cast_block(boxes, keys, left, right)
        out[k] = (left << 32) | right
