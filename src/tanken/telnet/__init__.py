"""TELNET: the network virtual terminal, as a protocol machine without I/O, a client, a server, a reader of captures and a tester.

RFC 854 and the documents that `options.codes` names. Layout: `codes` (the table) <- `parser`, `qmethod`, `suboptions` <- `handler` and the large
options <- `machine` <- `stream`, `serving` (asyncio), `blocking`. Names below are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tanken.telnet import blocking as blocking
    from tanken.telnet.conversation import Found as Found
    from tanken.telnet.conversation import SessionError as SessionError
    from tanken.telnet.machine import Machine as Machine
    from tanken.telnet.profile import Limits as Limits
    from tanken.telnet.profile import Profile as Profile
    from tanken.telnet.profile import client as client
    from tanken.telnet.profile import server as server
    from tanken.telnet.serving import serve as serve
    from tanken.telnet.stream import Session as Session
    from tanken.telnet.stream import connect as connect

_HOMES = {
    "Machine": "machine", "Profile": "profile", "Limits": "profile", "client": "profile", "server": "profile", "connect": "stream", "serve": "serving",
    "Session": "stream", "Found": "conversation", "SessionError": "conversation",
}  # fmt: skip
__all__ = sorted((*_HOMES, "blocking"))  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name == "blocking":
        return import_module("tanken.telnet.blocking")
    if name in _HOMES:
        return getattr(import_module(f"tanken.telnet.{_HOMES[name]}"), name)
    raise AttributeError(f"module tanken.telnet has no {name!r}")
