"""AES, SHA, products without carries, and GFNI.

Intel SDM volume 2. AES and the polynomials are pure functions of `galois`, which a machine may know by name; SHA (FIPS 180-4) is plain words.
"""

from __future__ import annotations

from collections.abc import Callable

from tanken.isa.architecture import Value
from tanken.isa.x86 import galois
from tanken.isa.x86.semantics.execution import Execution
from tanken.isa.x86.semantics.registry import semantic
from tanken.isa.x86.semantics.vectors import join, split, vector
from tanken.isa.x86.state import XMM

ROUNDS = {function.__name__: function for function in (galois.aesenc, galois.aesenclast, galois.aesdec, galois.aesdeclast)}
BYTES: dict[str, Callable[..., tuple[int]]] = {
    "gf2p8mulb": galois.gf2p8mul, "gf2p8affineqb": galois.gf2p8affine, "gf2p8affineinvqb": galois.gf2p8affineinv,
}  # fmt: skip


@semantic(*ROUNDS)
def aes_round(x: Execution) -> None:
    key = vector(x, 1).read()
    (result,) = x.machine.apply(ROUNDS[x.mnemonic], (128,), x.location(0).read(), key)
    x.location(0).write(result)


@semantic("aesimc")
def aesimc(x: Execution) -> None:
    (result,) = x.machine.apply(galois.aesimc, (128,), vector(x, 1).read())
    x.location(0).write(result)


@semantic("aeskeygenassist")
def aeskeygenassist(x: Execution) -> None:
    (result,) = x.machine.apply(galois.aeskeygenassist, (128,), vector(x, 1).read(), x.constant(x.immediate(2) or 0, 8))
    x.location(0).write(result)


@semantic("pclmuldq")
def pclmuldq(x: Execution) -> None:
    """Bits 0 and 4 of the immediate choose the halves."""
    order = x.immediate(2) or 0
    b = split(vector(x, 1).read(), 64)[order >> 4 & 1]
    (result,) = x.machine.apply(galois.pclmul, (128,), split(x.location(0).read(), 64)[order & 1], b)
    x.location(0).write(result)


@semantic(*BYTES)
def gfni(x: Execution) -> None:
    b = vector(x, 1).read()
    constant = () if x.mnemonic == "gf2p8mulb" else (x.constant(x.immediate(2) or 0, 8),)
    (result,) = x.machine.apply(BYTES[x.mnemonic], (128,), x.location(0).read(), b, *constant)
    x.location(0).write(result)


# -- SHA: words from the highest down, as the manual numbers them ------------------------------------------------------------------


def _words(value: Value) -> list[Value]:
    return split(value, 32)[::-1]


def _put(x: Execution, *words: Value) -> None:
    x.location(0).write(join(words[::-1]))


def _choose(b: Value, c: Value, d: Value) -> Value:
    return b & c ^ ~b & d


def _parity(b: Value, c: Value, d: Value) -> Value:
    return b ^ c ^ d


def _majority(b: Value, c: Value, d: Value) -> Value:
    return b & c ^ b & d ^ c & d


SHA1_ROUNDS = ((_choose, 0x5A827999), (_parity, 0x6ED9EBA1), (_majority, 0x8F1BBCDC), (_parity, 0xCA62C1D6))


@semantic("sha1rnds4")
def sha1rnds4(x: Execution) -> None:
    """E stands in the first message word already."""
    function, constant = SHA1_ROUNDS[(x.immediate(2) or 0) & 3]
    messages = _words(vector(x, 1).read())
    a, b, c, d = _words(x.location(0).read())
    e = x.constant(0, 32)
    for message in messages:
        a, b, c, d, e = function(b, c, d) + a.rotl(5) + message + e + constant, a, b.rotl(30), c, d
    _put(x, a, b, c, d)


@semantic("sha1nexte")
def sha1nexte(x: Execution) -> None:
    source = _words(vector(x, 1).read())
    _put(x, source[0] + _words(x.location(0).read())[0].rotl(30), *source[1:])


@semantic("sha1msg1")
def sha1msg1(x: Execution) -> None:
    words = _words(x.location(0).read()) + _words(vector(x, 1).read())
    _put(x, *(words[n] ^ words[n + 2] for n in range(4)))


@semantic("sha1msg2")
def sha1msg2(x: Execution) -> None:
    a, b = _words(x.location(0).read()), _words(vector(x, 1).read())
    first = (a[0] ^ b[1]).rotl(1)
    _put(x, first, (a[1] ^ b[2]).rotl(1), (a[2] ^ b[3]).rotl(1), (a[3] ^ first).rotl(1))


@semantic("sha256rnds2")
def sha256rnds2(x: Execution) -> None:
    a, b, e, f = _words(vector(x, 1).read())
    c, d, g, h = _words(x.location(0).read())
    for message in split(x.get(XMM[0]), 32)[:2]:
        first = _choose(e, f, g) + (e.rotr(6) ^ e.rotr(11) ^ e.rotr(25)) + message + h
        second = _majority(a, b, c) + (a.rotr(2) ^ a.rotr(13) ^ a.rotr(22))
        a, b, c, d, e, f, g, h = first + second, a, b, c, d + first, e, f, g
    _put(x, a, b, e, f)


@semantic("sha256msg1")
def sha256msg1(x: Execution) -> None:
    words = split(x.location(0).read(), 32) + split(vector(x, 1).read(), 32)[:1]
    x.location(0).write(join([words[n] + (words[n + 1].rotr(7) ^ words[n + 1].rotr(18) ^ words[n + 1] >> 3) for n in range(4)]))


@semantic("sha256msg2")
def sha256msg2(x: Execution) -> None:
    words, results = split(x.location(0).read(), 32), split(vector(x, 1).read(), 32)[2:]
    for word in words:
        before = results[-2]
        results.append(word + (before.rotr(17) ^ before.rotr(19) ^ before >> 10))
    x.location(0).write(join(results[2:]))
