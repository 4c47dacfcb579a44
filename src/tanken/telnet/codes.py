"""The numbers of TELNET, read once from the table beside this file, and the few that the code calls by name.

`options.codes` names its sources; its head comment defines its format.
"""

from __future__ import annotations

from pathlib import Path

from tanken.notation.codes import Codes, parse_codes

FILE = "options.codes"
TABLE: dict[str, Codes] = parse_codes((Path(__file__).parent / FILE).read_text("utf-8"), FILE)
COMMANDS, OPTIONS, ASK, AUTH_TYPES, ENCRYPT_TYPES = (TABLE[name] for name in ("command", "option", "ask", "auth-type", "encrypt-type"))

_C, _O = COMMANDS.by_name, OPTIONS.by_name
SE, NOP, DM, BRK, IP, AO, AYT, EC, EL, GA, SB, WILL, WONT, DO, DONT, IAC, EOR_COMMAND, EOF, SUSP, ABORT = (
    _C[name].number
    for name in "SE NOP DM BRK IP AO AYT EC EL GA SB WILL WONT DO DONT IAC EOR EOF SUSP ABORT".split()
)  # fmt: skip
(
    BINARY, ECHO, SGA, STATUS, TIMING_MARK, LOGOUT, TTYPE, EOR, NAWS, TSPEED, LFLOW, LINEMODE, XDISPLOC, AUTHENTICATION, ENCRYPT,
    NEW_ENVIRON, CHARSET, COM_PORT, START_TLS, MCCP2, MCCP3, GMCP, MSDP, OLD_ENVIRON,
) = (
    _O[name].number
    for name in "BINARY ECHO SGA STATUS TIMING-MARK LOGOUT TTYPE EOR NAWS TSPEED LFLOW LINEMODE XDISPLOC AUTHENTICATION ENCRYPT "
    "NEW-ENVIRON CHARSET COM-PORT START_TLS MCCP2 MCCP3 GMCP MSDP OLD-ENVIRON".split()
)  # fmt: skip
IS, SEND, INFO = 0, 1, 2
VERBS = frozenset((WILL, WONT, DO, DONT))
NAME_OF_VERB = {WILL: "WILL", WONT: "WONT", DO: "DO", DONT: "DONT"}


def option_name(option: int) -> str:
    """The option's name, or its number in decimal."""
    return OPTIONS.name(option)


def quoted(data: bytes) -> bytes:
    """`data` with every 255 doubled (RFC 854, "TELNET command structure")."""
    return data.replace(b"\xff", b"\xff\xff") if b"\xff" in data else data


def framed(option: int, payload: bytes) -> bytes:
    """A whole sub-negotiation: IAC SB option payload IAC SE."""
    return bytes((IAC, SB)) + quoted(bytes((option,)) + payload) + bytes((IAC, SE))
