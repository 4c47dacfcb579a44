"""What `tanken measure --history` prints: discs over the years, the first to copy first.

The statistics stand in `tanken.disc.history`.
"""

from __future__ import annotations

from tanken.base.records import json_line
from tanken.disc.history import Trend, mixed, trends


def show(path: str, disc: str | None, json: bool) -> int:
    """Prints the trends of all discs, or of one with its measurements."""
    found = trends(path, disc)
    warnings = mixed(path)
    for place, item in enumerate(found, 1):
        if json:
            print(item.to_json())
            continue
        for line in _lines(place, item, disc is not None):
            print(line)
    for text in warnings:
        print(json_line({"warning": text}) if json else f"note: {text}")
    if not found and not json:
        print("no measurements yet")
    return 0


def _lines(place: int, item: Trend, whole: bool) -> list[str]:
    level = "-" if item.level is None else f"{item.level:g}"
    growth = "" if item.growth is None else f", x{item.growth:.2f} a year" + (f" ({item.growth_low:.2f} to {item.growth_high:.2f})" if item.growth_low is not None else "")
    crossing = f", crosses {item.limit} on {item.crosses}" if item.crosses and item.state != "over the limit already" and "lost" not in item.state else ""
    interval = f" ({item.crosses_early or 'now'} to {item.crosses_late or 'never'})" if item.crosses_early else ""
    lines = [f"{place:3}. {item.disc}{f' [{item.media}]' if item.media else ''}: {level} of {item.limit} on {item.last}{growth}{crossing}{interval}; {item.state}"]
    if whole:
        highest = max(max(item.levels, default=0), item.limit)
        lines += [f"     {day}  {value:10g}  {'#' * max(1, round(40 * value / highest))}" for day, value in zip(item.days, item.levels, strict=True)]
    return lines
