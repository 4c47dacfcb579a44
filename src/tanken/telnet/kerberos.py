"""Kerberos 5 for AUTHENTICATION, through the system's MIT library where it is installed (libkrb5.so.3); nothing of Kerberos is done here.

RFC 2942: the octets of type and modifier are checksummed in the authenticator; key id 0 is the authenticator's subkey, or the session key without one.
Structures: krb5.h of MIT krb5 1.20, which the library keeps stable within its version 3.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

from tanken.base.errors import InputError, UnsupportedError

LIBRARY = "libkrb5.so.3"
MUTUAL, SUBKEY = 0x20000000, 1
USAGE = 10  # KRB5_KEYUSAGE_AP_REQ_AUTH_CKSUM


class _Data(ctypes.Structure):
    _fields_ = [("magic", ctypes.c_int32), ("length", ctypes.c_uint), ("data", ctypes.POINTER(ctypes.c_char))]


class _Key(ctypes.Structure):
    _fields_ = [("magic", ctypes.c_int32), ("enctype", ctypes.c_int32), ("length", ctypes.c_uint), ("contents", ctypes.POINTER(ctypes.c_char))]


class _Checksum(ctypes.Structure):
    _fields_ = [("magic", ctypes.c_int32), ("kind", ctypes.c_int32), ("length", ctypes.c_uint), ("contents", ctypes.POINTER(ctypes.c_char))]


class _Authenticator(ctypes.Structure):
    _fields_ = [("magic", ctypes.c_int32), ("client", ctypes.c_void_p), ("checksum", ctypes.POINTER(_Checksum))]  # the fields behind are not used


@cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise UnsupportedError(f"no {LIBRARY}", wanted="MIT Kerberos (Debian: apt-get install libkrb5-3)") from error
    library.krb5_get_error_message.restype = ctypes.c_void_p
    return library


def available() -> bool:
    """Whether the library is there."""
    try:
        _library()
    except UnsupportedError:
        return False
    return True


def _data(octets: bytes) -> _Data:
    buffer = ctypes.create_string_buffer(octets, len(octets))
    return _Data(0, len(octets), ctypes.cast(buffer, ctypes.POINTER(ctypes.c_char)))


class _Context:
    """A context and an authentication context; both are given back at the end."""

    def __init__(self) -> None:
        self.library = _library()
        self.context = ctypes.c_void_p()
        self.auth = ctypes.c_void_p()
        self.call("krb5_init_context", ctypes.byref(self.context), bare=True)
        self.call("krb5_auth_con_init", ctypes.byref(self.auth))

    def call(self, name: str, *arguments: Any, bare: bool = False) -> None:
        """Calls a function that gives an error code. Raises InputError with the library's own words."""
        code = getattr(self.library, name)(*(() if bare else (self.context,)), *arguments)
        if code:
            text = self.library.krb5_get_error_message(self.context, code)
            words = ctypes.string_at(text).decode("utf-8", "replace") if text else str(code)
            self.library.krb5_free_error_message(self.context, ctypes.c_void_p(text))
            raise InputError(f"Kerberos: {words}", wanted="a ticket and a key table that fit", hint=name)

    def taken(self, data: _Data) -> bytes:
        """The octets of a structure that the library filled, which is then freed."""
        octets = ctypes.string_at(data.data, data.length)
        self.library.krb5_free_data_contents(self.context, ctypes.byref(data))
        return octets

    def key(self, *functions: str) -> bytes:
        """The key that the first of the functions gives."""
        for function in functions:
            key = ctypes.POINTER(_Key)()
            self.call(function, self.auth, ctypes.byref(key))
            if key:
                octets = ctypes.string_at(key.contents.contents, key.contents.length)
                self.library.krb5_free_keyblock(self.context, key)
                return octets
        return b""

    def close(self) -> None:
        """Gives everything back."""
        if self.context:
            self.library.krb5_auth_con_free(self.context, self.auth)
            self.library.krb5_free_context(self.context)
            self.context = ctypes.c_void_p()

    __del__ = close


class Client:
    """The client's part: `request` gives the AP-REQ, `confirm` takes the AP-REP, `key` is shared then."""

    def __init__(self, host: str, service: str = "host") -> None:
        self._context = _Context()
        self.host, self.service = host, service

    def request(self, checked: bytes) -> bytes:
        """The AP-REQ for the service on the host, from the default credentials, with a checksum of the octets `checked`.

        The library may ask the KDC, and waits for it. Raises InputError, for instance without a ticket.
        """
        context, cache_, out = self._context, ctypes.c_void_p(), _Data()
        context.call("krb5_cc_default", ctypes.byref(cache_))
        try:
            data, options = _data(checked), ctypes.c_int32(SUBKEY | MUTUAL)
            names = self.service.encode(), self.host.encode()
            context.call("krb5_mk_req", ctypes.byref(context.auth), options, *names, ctypes.byref(data), cache_, ctypes.byref(out))
        finally:
            context.library.krb5_cc_close(context.context, cache_)
        return context.taken(out)

    def confirm(self, answer: bytes) -> None:
        """Takes the AP-REP. Raises InputError when the server is not the one meant."""
        context, data, reply = self._context, _data(answer), ctypes.c_void_p()
        context.call("krb5_rd_rep", context.auth, ctypes.byref(data), ctypes.byref(reply))
        context.library.krb5_free_ap_rep_enc_part(context.context, reply)

    @property
    def key(self) -> bytes:
        """The subkey, or the session key."""
        return self._context.key("krb5_auth_con_getsendsubkey", "krb5_auth_con_getkey")


class Server:
    """The server's part: `accept` takes the AP-REQ and names the client, `answer` gives the AP-REP."""

    def __init__(self, keytab: str) -> None:
        self._context = _Context()
        self.keytab = keytab

    def accept(self, request: bytes, *checked: bytes) -> tuple[str, int]:
        """The client's principal, and which of `checked` its checksum fits. Raises InputError when the ticket is wrong, or none fits."""
        context, table, ticket = self._context, ctypes.c_void_p(), ctypes.c_void_p()
        context.call("krb5_kt_resolve", os.fsencode(f"FILE:{self.keytab}"), ctypes.byref(table))
        try:
            data = _data(request)
            context.call("krb5_rd_req", ctypes.byref(context.auth), ctypes.byref(data), None, table, None, ctypes.byref(ticket))
            context.library.krb5_free_ticket(context.context, ticket)
        finally:
            context.library.krb5_kt_close(context.context, table)
        authenticator = ctypes.POINTER(_Authenticator)()
        context.call("krb5_auth_con_getauthenticator", context.auth, ctypes.byref(authenticator))
        try:
            fits = self._which(authenticator.contents, checked)
            name = ctypes.c_void_p()
            context.call("krb5_unparse_name", ctypes.c_void_p(authenticator.contents.client), ctypes.byref(name))
            text = ctypes.string_at(name.value or 0).decode("utf-8", "replace")
            context.library.krb5_free_unparsed_name(context.context, name)
            return text, fits
        finally:
            context.library.krb5_free_authenticator(context.context, authenticator)

    def _which(self, authenticator: _Authenticator, checked: tuple[bytes, ...]) -> int:
        context = self._context
        if not authenticator.checksum:
            raise InputError("an authenticator without a checksum of type and modifier", wanted="one, as RFC 2942 section 2 asks")
        key, valid = ctypes.POINTER(_Key)(), ctypes.c_uint()
        context.call("krb5_auth_con_getkey", context.auth, ctypes.byref(key))
        try:
            for number, octets in enumerate(checked):
                data = _data(octets)
                context.call("krb5_c_verify_checksum", key, ctypes.c_int32(USAGE), ctypes.byref(data), authenticator.checksum, ctypes.byref(valid))
                if valid.value:
                    return number
        finally:
            context.library.krb5_free_keyblock(context.context, key)
        raise InputError("type and modifier, or the channel, were changed on the way", wanted="the checksum of RFC 2942 section 2")

    def answer(self) -> bytes:
        """The AP-REP."""
        out = _Data()
        self._context.call("krb5_mk_rep", self._context.auth, ctypes.byref(out))
        return self._context.taken(out)

    @property
    def key(self) -> bytes:
        """The client's subkey, or the session key."""
        return self._context.key("krb5_auth_con_getrecvsubkey", "krb5_auth_con_getkey")

    def realm(self) -> str:
        """The default realm."""
        name = ctypes.c_void_p()
        self._context.call("krb5_get_default_realm", ctypes.byref(name))
        text = ctypes.string_at(name.value or 0).decode("utf-8", "replace")
        self._context.library.krb5_free_default_realm(self._context.context, name)
        return text
