"""Progress: a part sends events, whoever started it draws them; a library that was given nothing draws nothing.

On a terminal the command draws a bar, with `--json` lines of JSON, in a pipe a plain line at the end of each job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from tanken.base.records import Record

BAR = 24


@dataclass(frozen=True, slots=True, repr=False)
class Event(Record):
    """`done` of `total` steps of a job; a total of 0 is not known yet; the last event of a job has done == total."""

    job: str
    done: int
    total: int
    note: str = ""

    @property
    def finished(self) -> bool:
        """Whether this is the job's last event."""
        return self.total > 0 and self.done >= self.total


Progress = Callable[[Event], None]


def silent(event: Event) -> None:
    """What a library does with events when its caller wants none."""


def json_lines(stream: TextIO) -> Progress:
    """Writes each event as a line of JSON."""

    def write(event: Event) -> None:
        print(event.to_json(), file=stream, flush=True)

    return write


def plain_lines(stream: TextIO) -> Progress:
    """Writes a line when a job has finished."""

    def write(event: Event) -> None:
        if event.finished:
            print(f"{event.job}: {event.note or 'done'}", file=stream, flush=True)

    return write


def bar(stream: TextIO) -> Progress:
    """Draws a bar on the terminal `stream`, on one line until the job has finished."""

    def draw(event: Event) -> None:
        full = BAR * event.done // event.total if event.total else 0
        line = f"\r\x1b[K{event.job} [{'#' * full}{'.' * (BAR - full)}] {event.note}"
        print(line, end="\n" if event.finished else "", file=stream, flush=True)

    return draw


def to(stream: TextIO, json: bool = False) -> Progress:
    """The way of showing progress that fits `stream`."""
    if json:
        return json_lines(stream)
    return bar(stream) if stream.isatty() else plain_lines(stream)
