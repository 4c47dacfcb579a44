"""ENCRYPT: each direction is negotiated, keyed and started by itself, and has a state of its own that the user sees.

RFC 2946 (the option); the keys of the six ciphers in section 5 of RFC 2952, 2953, 2947, 2948, 2950 and 2949. These ciphers are old, the key comes
from the authentication, nothing protects the octets from being changed: TLS is better, and this is for old peers, captures and teaching.
"""

from __future__ import annotations

import os
from typing import Any

from tanken.telnet import codes as c
from tanken.telnet import schedule
from tanken.telnet.events import Encryption, Violation, Warning
from tanken.telnet.feedback import Feedback
from tanken.telnet.handler import KINDS, Handler

ROWS = c.ENCRYPT_TYPES.by_number
KEY_ID = b"\0"  # the key of the authentication (RFC 2946 section 3)
LOUD = "is an old cipher without integrity: whoever is in the path can change what is sent; use START_TLS where the other side can"
# triple DES keys by the number of 8-octet keys at hand: the server's, the client's (RFC 2947 section 5)
TRIPLE = {2: ("121", "212"), 3: ("123", "231"), 4: ("123", "241"), 5: ("123", "245"), 6: ("123", "456")}


def usable(kind: int, key: bytes) -> bool:
    """Whether a session key is long enough for a type (section 5 of each: nothing is repeated to fill up)."""
    return kind in ROWS and kind != 0 and len(key) >= int(ROWS[kind].attributes["key"])


def direction_key(kind: int, key: bytes, from_client: bool, des_key: bool = False, as_bsd: bool = False) -> bytes:
    """The key of one direction: 8 or 24 octets for DES and triple DES, 5 or 16 for CAST-128; `as_bsd` does not swap the halves of DES_OFB64."""
    name, need, split = ROWS[kind].name, int(ROWS[kind].attributes["key"]), int(ROWS[kind].attributes["split"])
    if name.startswith("DES3"):
        parts = [key[i : i + 8] for i in range(0, min(len(key) & ~7, 48), 8)]
        order = TRIPLE[len(parts)][from_client]
        chosen = b"".join(parts[int(number) - 1] for number in order)
        return chosen if des_key else schedule.odd_parity(chosen)
    second = not from_client
    if name == "DES_OFB64" and not as_bsd:
        second = from_client
    chosen = key[need : 2 * need] if second and len(key) >= split else key[:need]
    return schedule.odd_parity(chosen) if name.startswith("DES") and not des_key else chosen


def is_ofb(kind: int) -> bool:
    """Output feedback. The descendants of BSD's telnet (inetutils, Stanford's, Kermit's) never load the initial vector here and begin with zeros."""
    return "OFB" in ROWS[kind].name


def make_cipher(kind: int, key: bytes, iv: bytes) -> Feedback:
    """The cipher of a type with the key of one direction."""
    name = ROWS[kind].name
    mode = "ofb" if is_ofb(kind) else "cfb"
    if name.startswith("DES3"):
        return Feedback("des", mode, schedule.triple_keys(key[:8], key[8:16], key[16:24]), iv)
    if name.startswith("DES"):
        return Feedback("des", mode, schedule.des_keys(key), iv)
    return Feedback("cast", mode, schedule.cast_keys(key), iv)


class Direction:
    """One way: what was agreed on so far."""

    def __init__(self) -> None:
        self.kind = 0
        self.iv = b""
        self.cipher: Feedback | None = None  # kept after END: START with the same key id goes on where it stood
        self.on = False


class EncryptOption(Handler):
    """Both directions of one machine."""

    option = c.ENCRYPT

    def __init__(self, machine: Any) -> None:
        super().__init__(machine)
        self.out, self.into = Direction(), Direction()
        self.supported: tuple[int, ...] = ()

    def agrees(self, side: str) -> bool:
        return bool(self.machine.session_key) and self.machine.tls is None and self.profile.secure != "off" and "encrypt" in self.profile.means

    def changed(self, side: str, on: bool) -> None:
        if on and side == "him":
            types = bytes(kind for kind in self.profile.ciphers if usable(kind, self.machine.session_key))
            self.send(b"\x01" + types)
        elif not on and side == "us":
            self._stop_out(told=True)
        elif not on:
            self._stopped_in()
        if not on and self.machine.security.phase == "encrypt":
            self.machine.security.failed("ENCRYPT was withdrawn")

    def refused(self, side: str) -> None:
        self.machine.security.failed(f"the other side refuses ENCRYPT for {'our' if side == 'us' else 'its'} output")

    @property
    def directions(self) -> tuple[bool, bool]:
        return self.into.on, self.out.on

    def cipher_name(self, direction: str) -> str:
        return ROWS[(self.into if direction == "in" else self.out).kind].name

    def switch(self, on: bool) -> None:
        machine = self.machine
        if not on:
            self._stop_out()
            self.send(b"\x06")
        elif machine.on(self.option, "us") and self.out.cipher is not None:
            self._start_out()
            self.send(b"\x05" + KEY_ID)
        else:
            machine.want(self.option, "us")
            machine.want(self.option, "him")

    def received(self, value: Any) -> None:
        needs = "us" if value.kind in ("SUPPORT", "REPLY", "REQUEST-START", "REQUEST-END", "DEC_KEYID") else "him"
        if not self.machine.on(self.option, needs):
            self.machine.tell(Violation("encryption", f"{value.kind} from the side that may not send it", "RFC 2946 section 2"))
            return
        if len(value.data) > self.machine.limits.key_id and value.kind in ("ENC_KEYID", "DEC_KEYID", "START", "REQUEST-START"):
            self.machine.tell(Violation("encryption", f"key id of {len(value.data)} octets, at most {self.machine.limits.key_id} are taken", "CVE-2011-4862"))
            return
        getattr(self, "_" + value.kind.lower().replace("-", "_"))(value)

    def _cipher(self, way: Direction, from_client: bool) -> Feedback:
        machine, as_bsd = self.machine, self.profile.ofb_as_bsd
        key = direction_key(way.kind, machine.session_key, from_client, machine.session_key_is_des, as_bsd)
        return make_cipher(way.kind, key, bytes(8) if as_bsd and is_ofb(way.kind) else way.iv)

    # our output

    def _support(self, value: Any) -> None:
        self.supported = value.types
        mine = [kind for kind in self.profile.ciphers if usable(kind, self.machine.session_key)]
        common = next((kind for kind in value.types if kind in mine), None)
        if self.out.on:
            return
        if common is None:
            self.send(b"\0\0")
            names = " ".join(c.ENCRYPT_TYPES.name(kind) for kind in value.types) or "an empty list"
            self.machine.security.failed(f"no cipher in common: the other side supports {names}")
            return
        self.out.kind, self.out.iv, self.out.cipher = common, os.urandom(8), None
        self.send(bytes((0, common, 1)) + self.out.iv)

    def _reply(self, value: Any) -> None:
        if value.types[0] != self.out.kind or self.out.on:
            self.machine.tell(Violation("encryption", "REPLY for a type that is not under way", "RFC 2946 section 2"))
        elif value.code == 2:
            self.send(b"\x07" + KEY_ID)
        else:
            self.machine.security.failed("the other side does not take our initial vector")

    def _dec_keyid(self, value: Any) -> None:
        if value.data == KEY_ID and self.out.kind and self.out.iv:
            self._start_out()
        else:
            self.machine.security.failed("the other side has no key")

    def _request_start(self, value: Any) -> None:
        if not self.out.on and self.out.cipher is not None:
            self._start_out()

    def _request_end(self, value: Any) -> None:
        if self.profile.secure == "required":
            self.machine.tell(Warning("the other side asked for clear text and was refused"))
        else:
            self.machine.tell(Warning("the other side asked for clear text: our output is clear from here on"))
            self._stop_out()

    def _start_out(self) -> None:
        if self.out.on:
            return
        if self.out.cipher is None:
            self.out.cipher = self._cipher(self.out, self.machine.client)
        self.send(b"\x03" + KEY_ID)
        self.out.on = True
        self.machine.outgoing.cipher = self.out.cipher
        self._tell("out", self.out)

    def _stop_out(self, told: bool = False) -> None:
        if self.out.on:
            if not told:
                self.send(b"\x04")
            self.out.on = False
            self.machine.outgoing.cipher = None
            self.machine.tell(Encryption("out", ""))

    # our input

    def _is(self, value: Any) -> None:
        kind = value.types[0]
        if kind == 0 or kind not in self.profile.ciphers or not usable(kind, self.machine.session_key):
            self.machine.security.failed(f"the other side wants to send {c.ENCRYPT_TYPES.name(kind)}, which was not offered")
        elif value.code != 1 or len(value.data) != 8:
            self.send(bytes((2, kind, 3)))
        else:
            way = self.into
            way.kind, way.iv = kind, value.data
            if way.on and way.cipher is not None:
                self.machine.incoming.restart_from_here(way.cipher, value.data)
            else:
                way.cipher = None
            self.send(bytes((2, kind, 2)))

    def _enc_keyid(self, value: Any) -> None:
        self.send(b"\x08" + (KEY_ID if value.data == KEY_ID else b""))

    def _start(self, value: Any) -> None:
        way = self.into
        if way.on:
            return  # a second START before END is ignored (RFC 2946 section 3)
        if not way.kind or not way.iv or value.data != KEY_ID:
            self.machine.tell(Violation("encryption", "START without an agreed type and key id", "RFC 2946 section 3"))
            self.machine.close("the other side started encryption that was not agreed on")
            return
        if way.cipher is None:
            way.cipher = self._cipher(way, not self.machine.client)
        way.on = True
        self.machine.incoming.cipher_from_here(way.cipher)
        self._tell("in", way)

    def _end(self, value: Any) -> None:
        self._stopped_in()

    def _stopped_in(self) -> None:
        if not self.into.on:
            return
        self.into.on = False
        self.machine.incoming.cipher_from_here(None)
        self.machine.tell(Encryption("in", ""))
        if self.profile.secure == "required":
            self.machine.close("the other side ended encryption, which is required")
        else:
            self.machine.tell(Warning("downgrade: the other side sends clear text from here on"))

    def _tell(self, direction: str, way: Direction) -> None:
        name = ROWS[way.kind].name
        self.machine.tell(Encryption(direction, name))
        self.machine.tell(Warning(f"{name} {LOUD}"))
        if self.out.on and self.into.on:
            self.machine.security.settled("encrypt")


KINDS[EncryptOption.option] = EncryptOption
