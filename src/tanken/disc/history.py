"""Discs over the years: measurements in one SQLite file, the trend of each with its interval, and when it crosses its limit.

Errors of ageing media grow about exponentially, so a line is fitted to the logarithm by least squares; intervals are those of Student's
distribution. One measurement says nothing of a trend: then the median growth of the discs of the same Media ID stands in, and is said to.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tanken.base.errors import InputError, UsageError
from tanken.base.records import Record, json_line
from tanken.disc.media import groups
from tanken.disc.summary import Summary, limits

SCHEMA = """
create table if not exists discs (id integer primary key, name text not null unique, media text not null default '', fingerprint blob);
create table if not exists measurements (
    id integer primary key, disc integer not null references discs(id), day text not null, type text not null, level real, bad integer not null,
    verdict text not null, summary text not null, unique (disc, day)
);
"""
YEAR = 365.25
OVER = "over the limit already"
FAR = 100.0  # years after which a date means nothing
# 97.5 % quantiles of Student's distribution by degrees of freedom (any table of statistics); beyond the last the normal 1.96 is near enough
STUDENT = (math.inf, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09, 2.09)


@dataclass(frozen=True, slots=True, repr=False)
class Trend(Record):
    """A disc: its measurements, the factor by which errors grow in a year with a 95 % interval, and when they cross the limit."""

    disc: str
    media: str
    type: str
    measurements: int
    last: str
    level: float | None
    limit: int
    growth: float | None
    growth_low: float | None
    growth_high: float | None
    crosses: str | None
    crosses_early: str | None
    crosses_late: str | None
    state: str
    days: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()


@contextmanager
def opened(path: str, must_exist: bool = False) -> Iterator[sqlite3.Connection]:
    """The data base, with its tables. Raises InputError when the file is none."""
    if must_exist and not Path(path).is_file():
        raise InputError("No such file", where=path, wanted="a file that measure --log wrote")
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=20)
        connection.executescript(SCHEMA)
        with connection:
            yield connection
    except sqlite3.Error as error:
        raise InputError(f"{error}", where=path, wanted="an SQLite file that measure --log wrote") from error
    finally:
        if connection is not None:
            connection.close()


def _day(text: str | None) -> str:
    if text is None:
        return date.today().isoformat()
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UsageError(f"date {text!r}", wanted="YYYY-MM-DD") from None


def record(path: str, disc: str, media: str, day: str | None, found: Summary, fingerprint: bytes | None = None) -> None:
    """Writes a summary; a second one of the same disc and day replaces the first."""
    level = found.pi_sum8_max if found.bler_max is None else found.bler_max
    bad = found.edc_bad + (found.pof_total or 0) + ((found.c2 or {}).get("cu") or 0)
    when = _day(day)
    with opened(path) as base:
        base.execute(
            "insert into discs (name, media, fingerprint) values (?, ?, ?) on conflict (name) do update set "
            "media = coalesce(nullif(excluded.media, ''), media), fingerprint = coalesce(excluded.fingerprint, fingerprint)",
            (disc, media, fingerprint),
        )
        (key,) = base.execute("select id from discs where name = ?", (disc,)).fetchone()
        base.execute(
            "insert or replace into measurements (disc, day, type, level, bad, verdict, summary) values (?, ?, ?, ?, ?, ?, ?)",
            (key, when, found.type, level, bad, found.verdict, json_line(found)),
        )


def fingerprints(path: str) -> list[tuple[str, str, bytes]]:
    """Name, Media ID and fingerprint of all discs that have one."""
    with opened(path, must_exist=True) as base:
        rows = base.execute("select name, media, fingerprint from discs where fingerprint is not null order by name").fetchall()
    return [(str(name), str(media), bytes(mark)) for name, media, mark in rows]


def mixed(path: str) -> list[str]:
    """A sentence for each Media ID whose discs fall in more than one group by their fingerprints."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for name, identity, mark in fingerprints(path):
        found.setdefault(identity, []).append((name, mark))
    out = []
    for identity, discs in found.items():
        parts = groups(discs)
        if len(parts) > 1:
            out.append(f"{identity}: {len(parts)} groups of fingerprints, probably another dye under the same ID: {' | '.join(', '.join(part) for part in parts)}")
    return out


def _fit(years: list[float], logs: list[float]) -> tuple[float, float, float, float]:
    """Slope, its half interval, value at the last point, its half interval."""
    n = len(years)
    mean, level = sum(years) / n, sum(logs) / n
    spread = sum((x - mean) ** 2 for x in years)
    slope = sum((x - mean) * (y - level) for x, y in zip(years, logs, strict=True)) / spread
    rest = sum((y - level - slope * (x - mean)) ** 2 for x, y in zip(years, logs, strict=True))
    free = n - 2
    quantile = STUDENT[free] if free < len(STUDENT) else 1.96
    sigma = math.sqrt(rest / free) if free > 0 else math.inf
    half = quantile * sigma / math.sqrt(spread) if free > 0 else math.inf
    at = level + slope * (years[-1] - mean)
    return slope, half, at, quantile * sigma / math.sqrt(n) if free > 0 else math.inf


def _date(last: str, years: float) -> str | None:
    if not math.isfinite(years) or years > FAR:
        return None
    return (date.fromisoformat(last) + timedelta(days=max(0.0, years) * YEAR)).isoformat()


def trend(disc: str, media: str, rows: list[tuple[str, str, float | None, int]], cohort: float | None = None) -> Trend:
    """The trend of a disc's rows (day, type, level, bad), by day; `cohort` is the growth (of logarithms) to assume where there is none."""
    kind = rows[-1][1]
    limit = limits(kind).first or 0
    points = [(day, level) for day, _, level, _ in rows if level is not None]
    shape = (disc, media, kind, len(rows), rows[-1][0], points[-1][1] if points else None, limit)
    tail = (tuple(day for day, _ in points), tuple(level for _, level in points))
    if rows[-1][3]:
        return Trend(*shape, None, None, None, rows[-1][0], None, None, "data is lost already: copy what can be read now", *tail)
    if not points:
        return Trend(*shape, None, None, None, None, None, None, "no level in the log", *tail)
    last = points[-1][0]
    years = [(date.fromisoformat(day) - date.fromisoformat(last)).days / YEAR for day, _ in points]
    room = math.log(limit) - math.log(max(points[-1][1], 0.5))
    over = points[-1][1] >= limit
    if len(set(years)) < 2:
        if over:
            return Trend(*shape, None, None, None, last, None, None, OVER, *tail)
        crossing = _date(last, room / cohort) if cohort and cohort > 0 else None
        state = "one measurement; growth assumed from discs of the same Media ID" if crossing else "one measurement: no trend yet"
        return Trend(*shape, None, None, None, crossing, None, None, state, *tail)
    slope, half, at, wide = _fit(years, [math.log(max(level, 0.5)) for _, level in points])
    growth, low, high = (round(math.exp(min(value, 50)), 3) if math.isfinite(value) else None for value in (slope, slope - half, slope + half))
    if over:
        return Trend(*shape, growth, low, high, last, None, None, OVER, *tail)
    room = math.log(limit) - at
    mid, early, late = (_date(last, (room - shift) / rate) if rate > 0 else None for rate, shift in ((slope, 0.0), (slope + half, wide), (slope - half, -wide)))
    state = "growing" if slope - half > 0 or not math.isfinite(half) and slope > 0 else "not clearly growing"
    return Trend(*shape, growth, low, high, mid, early if math.isfinite(half) else None, late if math.isfinite(half) else None, state, *tail)


def trends(path: str, disc: str | None = None) -> list[Trend]:
    """The trends of all discs or of one, the first to copy first. Raises InputError for a name that is not there."""
    with opened(path, must_exist=True) as base:
        rows = base.execute(
            "select discs.name, discs.media, day, type, level, bad from measurements join discs on discs.id = disc order by discs.name, day"
        ).fetchall()
    groups: dict[tuple[str, str], list[tuple[str, str, float | None, int]]] = {}
    for name, media, *rest in rows:
        groups.setdefault((name, media), []).append((rest[0], rest[1], rest[2], rest[3]))
    cohorts = _cohorts(groups)
    found = [trend(name, media, items, cohorts.get(media)) for (name, media), items in groups.items()]
    if disc is not None:
        found = [item for item in found if item.disc == disc]
        if not found:
            raise InputError(f"no disc {disc!r}", where=path, wanted=", ".join(sorted(name for name, _ in groups)) or "a measurement first")
    return sorted(found, key=_urgency)


def _cohorts(groups: dict[tuple[str, str], list[Any]]) -> dict[str, float]:
    """The median growth, as a logarithm, of the discs of each Media ID."""
    rates: dict[str, list[float]] = {}
    for (name, media), items in groups.items():
        growth = trend(name, media, items).growth
        if media and growth is not None:
            rates.setdefault(media, []).append(math.log(growth))
    return {media: sorted(values)[len(values) // 2] for media, values in rates.items()}


def _urgency(item: Trend) -> tuple[int, str, float]:
    lost = 0 if item.state.startswith("data is lost") else 1 if item.state.startswith("over") else 2
    return lost, item.crosses or "9999", -(item.level or 0.0) / (item.limit or 1)
