"""The ciphers of ENCRYPT: octets of real sessions with inetutils and with Stanford's telnetd, and OpenSSL's as oracle for all six, in any segments, compiled and plain.

RFC 2952, 2953, 2947, 2948, 2950, 2949; the keys of the directions from section 5 of each.
"""

import random
from pathlib import Path

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import CAST5, TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB, OFB
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm
from hypothesis import given, settings
from hypothesis import strategies as st

from tanken.telnet import codes, encryption, feedback, schedule
from tanken.telnet.feedback import Feedback

# a DES_CFB64 session of inetutils 2.4 with Shishi: the subkey, the initial vector, the server's octets after START
KEY, IV = bytes.fromhex("d3c797fdf8c12fd3"), bytes.fromhex("186659966cf6a167")
WIRE = bytes.fromhex(
    "3c07d4c5ba6ec7916366d9c7476b84b6d24213adf47a550823052793cf6b57285bb929c7a62945e95ee416788a0e4292"
    "98a0bab1eb9e4b0b4bc4bb48232d282ac807f678bb4da89179078e18ddb9203fb63e6696d0e0f1f13c6e93116dc3a781705931252fc9"
)
CLEAR = bytes.fromhex("fffa220103fff000fffa2103fff000fffb01fffd00fffe22") + (
    b"HELLO-FROM-LOGIN user=\r\nmarker-plaintext-secret\r\ngot:marker-plaintext-secret\r\n"
)
STANFORD = [line.split() for line in (Path(__file__).parents[2] / "vectors/telnet-stanford.txt").read_text().splitlines() if line[0] != "#"]
SESSIONS = [(int(cells[1]), cells[2], *map(bytes.fromhex, cells[3:])) for cells in STANFORD if cells[0] == "cipher"]  # type, sender, key, IV, cipher, clear
RNG = random.Random(7)
K24, K16, K5 = RNG.randbytes(24), RNG.randbytes(16), RNG.randbytes(5)
FAMILIES: dict[str, tuple[str, list[int], CipherAlgorithm]] = {
    "DES": ("des", schedule.des_keys(K24[:8]), TripleDES(K24[:8] * 3)),
    "3DES": ("des", schedule.triple_keys(K24[:8], K24[8:16], K24[16:]), TripleDES(K24)),
    "CAST-128": ("cast", schedule.cast_keys(K16), CAST5(K16)),
    "CAST-128 of 40 bits": ("cast", schedule.cast_keys(K5), CAST5(K5)),
}


def test_des_cfb64_of_a_real_session() -> None:
    assert Feedback("des", "cfb", schedule.des_keys(KEY), IV).decrypt(WIRE) == CLEAR
    for cut in range(1, len(WIRE)):
        cipher = Feedback("des", "cfb", schedule.des_keys(KEY), IV)
        assert cipher.decrypt(WIRE[:cut]) + cipher.decrypt(WIRE[cut:]) == CLEAR


@pytest.mark.parametrize("session", SESSIONS, ids=[f"{codes.ENCRYPT_TYPES.name(one[0])}-{one[1]}" for one in SESSIONS])
def test_every_cipher_of_real_sessions(session: tuple[int, str, bytes, bytes, bytes, bytes]) -> None:
    """Keys split and ciphers run as the other side's do; OFB from zeros and with the halves of CFB, which is not what RFC 2953 says."""
    kind, sender, key, iv, wire, clear = session
    assert any(word in clear for word in (b"hello from login", b"echo $((6*7))", bytes((codes.IAC, codes.SB))))
    half = encryption.direction_key(kind, key, sender == "client", as_bsd=True)
    cipher = encryption.make_cipher(kind, half, bytes(8) if encryption.is_ofb(kind) else iv)
    assert cipher.saved().decrypt(wire) == clear and cipher.encrypt(clear) == wire
    as_written = encryption.make_cipher(kind, encryption.direction_key(kind, key, sender == "client"), iv)
    assert (as_written.decrypt(wire) == clear) is not encryption.is_ofb(kind)


@pytest.mark.parametrize("mode", ["cfb", "ofb"])
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("size", [999, 2 * feedback.SMALL + 5])
def test_openssl_agrees(name: str, mode: str, size: int) -> None:
    family, keys, algorithm = FAMILIES[name]
    iv, data = RNG.randbytes(8), RNG.randbytes(size)
    expected = Cipher(algorithm, CFB(iv) if mode == "cfb" else OFB(iv)).encryptor().update(data)
    assert Feedback(family, mode, keys, iv).encrypt(data) == expected
    for way, given_, wanted in (("encrypt", data, expected), ("decrypt", expected, data)):
        cipher, out, pos = Feedback(family, mode, keys, iv), b"", 0
        while pos < size:
            step = RNG.choice((1, 3, 7, 8, 9, 64, 5000))
            out += getattr(cipher, way)(given_[pos : pos + step])
            pos += step
        assert out == wanted


def test_plain_python_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    data = RNG.randbytes(2 * feedback.SMALL)
    for family, keys, _ in FAMILIES.values():
        for mode in ("cfb", "ofb"):
            compiled = Feedback(family, mode, keys, IV).encrypt(data)
            with monkeypatch.context() as patch:
                patch.setenv("TANKEN_NATIVE", "off")
                assert Feedback(family, mode, keys, IV).encrypt(data) == compiled


@given(st.binary(min_size=8, max_size=8), st.lists(st.binary(max_size=40), max_size=8))
@settings(max_examples=30)
def test_cfb_recovers_after_a_lost_block(iv: bytes, pieces: list[bytes]) -> None:
    """CFB is self-synchronising: with a wrong initial vector only the first eight octets are lost."""
    data = b"".join(pieces)
    wire = Feedback("des", "cfb", schedule.des_keys(KEY), IV).encrypt(data)
    assert Feedback("des", "cfb", schedule.des_keys(KEY), iv).decrypt(wire)[8:] == data[8:]


def test_odd_parity() -> None:
    assert schedule.odd_parity(bytes(range(256))) == bytes(o for o in (schedule.odd_parity(bytes((i,)))[0] for i in range(256)))
    assert all(octet.bit_count() % 2 for octet in schedule.odd_parity(bytes(range(256))))
    assert schedule.odd_parity(KEY) == KEY


def test_keys_of_the_directions() -> None:
    """Section 5: which octets of the session key go into which direction."""
    key = bytes(range(1, 41))
    number = codes.ENCRYPT_TYPES.number

    def of(name: str, from_client: bool, size: int = 40) -> bytes:
        return encryption.direction_key(number(name), key[:size], from_client, des_key=True)

    assert of("DES_CFB64", True) == key[:8] and of("DES_CFB64", False) == key[8:16]
    assert of("DES_OFB64", True) == key[8:16] and of("DES_OFB64", False) == key[:8]
    assert of("DES_CFB64", True, 16) == of("DES_CFB64", False, 16) == key[:8]  # more than 16 octets are wanted
    one, two, three, four, five = (key[i : i + 8] for i in range(0, 40, 8))
    assert of("DES3_CFB64", False) == one + two + three and of("DES3_CFB64", True) == two + four + five
    assert of("DES3_OFB64", False, 16) == one + two + one and of("DES3_OFB64", True, 16) == two + one + two
    assert of("CAST128_CFB64", True) == key[:16] and of("CAST128_CFB64", False) == key[16:32]
    assert of("CAST128_OFB64", False, 24) == key[:16]
    assert of("CAST5_40_CFB64", True) == key[:5] and of("CAST5_40_CFB64", False) == key[5:10]
    assert not encryption.usable(number("DES3_CFB64"), key[:15]) and encryption.usable(number("DES_CFB64"), key[:8])
