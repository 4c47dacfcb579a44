"""`tanken show FILE.pcap`: the TELNET connections of a capture as events, errors marked, and the screen at the end.

What is looked for stands in `tanken.telnet.capture.dialogue`.
"""

from __future__ import annotations

import argparse
import io
from typing import TYPE_CHECKING, BinaryIO

from tanken.base import kinds
from tanken.base.errors import InputError, UsageError
from tanken.base.records import json_line

if TYPE_CHECKING:
    from tanken.telnet.capture.dialogue import Seen

ARROWS = {"client": "C>S", "server": "S>C"}
TEXT = 100  # characters of data on a line


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `show` that are for captures."""
    group = parser.add_argument_group("captures")
    group.add_argument("--key", action="append", default=[], metavar="HEX", help="session key of ENCRYPT: decrypts; may be given more than once")
    group.add_argument("--port", type=int, action="append", default=[], metavar="N", help="this port is TELNET too")
    group.add_argument("--connection", type=int, metavar="N", help="only this connection")
    group.add_argument("--at", type=float, metavar="S", help="the screen after S seconds instead of at the end")
    group.add_argument("--errors", action="store_true", help="only protocol errors; exit status 1 when there are any")


def show(thing: kinds.Thing, options: argparse.Namespace) -> int:
    """Prints the capture; the exit status."""
    from tanken.telnet.capture.packets import segments
    from tanken.telnet.capture.reader import PORTS, Reader
    from tanken.telnet.capture.reassembly import connections
    from tanken.telnet.events import Violation

    try:
        keys = tuple(bytes.fromhex(text.replace(":", "")) for text in options.key)
    except ValueError as error:
        raise UsageError(f"--key {options.key}", wanted="hexadecimal digits") from error
    try:
        file: BinaryIO = io.BytesIO(thing.data) if thing.name == "-" else open(thing.name, "rb")
    except OSError as error:
        raise InputError(error.strerror or str(error), where=thing.name) from error
    with file:
        reader = Reader(keys, (*PORTS, *options.port), options.connection)
        errors = 0
        for seen in reader.events(connections(segments(file, thing.name)), options.at):
            errors += isinstance(seen.event, Violation)
            if not options.errors or isinstance(seen.event, Violation):
                print(_json(seen) if options.json else _line(seen))
        if not options.errors:
            for line in reader.ends(options.json):
                print(line)
    return 1 if options.errors and errors else 0


def show_codes(query: str, json: bool) -> int:
    """Rows of the table of TELNET's codes: by a name, a number, the name of a section; all without a query."""
    from tanken.telnet.codes import TABLE

    word = query.strip().upper().replace("_", "-")
    found = 0
    for section, table in TABLE.items():
        for row in table:
            if word in ("", section.upper(), row.name.upper().replace("_", "-"), str(row.number)):
                found += 1
                rfc = f"RFC {row.attributes['rfc']}" if "rfc" in row.attributes else row.cite
                if json:
                    fields = {"section": section, "number": row.number, "name": row.name, "title": row.title, "source": rfc}
                    print(json_line({**fields, "attributes": row.attributes, "notes": row.notes}))
                else:
                    print(f"{section:<15} {row.number:>3}  {row.name:<20} {row.title or '-'}  ({'; '.join((rfc, *row.notes))})")
    if not found:
        raise UsageError(f"no code {query!r}", wanted=f"a name, a number or one of the sections {', '.join(TABLE)}")
    return 0


def _json(seen: Seen) -> str:
    event = seen.event
    fields = {name: value for name, value in event.items() if name not in ("option", "verb", "code", "value")}
    return json_line({"connection": seen.connection, "time": seen.time, "sender": seen.sender, "event": type(event).__name__, "text": event.text,
                      **fields, "value": getattr(event, "value", None)})  # fmt: skip


def _line(seen: Seen) -> str:
    from tanken.telnet.events import Data, Violation

    event = seen.event
    text = event.text
    if isinstance(event, Data):
        shown = event.data[:TEXT].decode("utf-8", "replace")
        quoted = "".join(character if character.isprintable() else repr(character)[1:-1] for character in shown)
        text = f'"{quoted}"' + (f" ... {len(event.data)} octets" if len(event.data) > TEXT else "")
    mark = "!! " if isinstance(event, Violation) else ""
    return f"{seen.connection:>3} {seen.time:12.6f} {ARROWS[seen.sender]} {mark}{text}"
