"""What `tanken show` says of a disc image: type, layers, structure, media identity, and its fellows of the same Media ID.

The facts come from `tanken.disc.structure` and `tanken.disc.media`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tanken.base.records import json_line
from tanken.disc import history, inputs, media, structure


def show(name: str, log: str | None, json: bool) -> int:
    """Prints the facts of an image, or of a drive's reply in a file of its own."""
    facts: dict[str, Any]
    if Path(name).suffix.lower() in media.SUFFIXES:
        identity = media.beside(name)[0] if Path(name).is_file() else media.identify(media.SUFFIXES[Path(name).suffix.lower()], b"", name)
        facts = {"source": name, "disc": identity.kind, "media id": identity.media, "maker": identity.maker, **identity.details}
    elif name.endswith(".qpx"):
        facts = {"source": name, "what": "a scan log: tanken measure reads it"}
    else:
        facts = structure.describe(inputs.read(name))
    if log:
        facts |= {"groups": _groups(log, facts.get("media id"))}
    if json:
        print(json_line(facts))
        return 0
    for label, value in facts.items():
        print(f"{label:<24} {', '.join(f'{a} {b}' for a, b in value.items()) if isinstance(value, Mapping) else value}")
    return 0


def _groups(log: str, identity: object) -> str:
    """How the discs of this Media ID fall apart by their fingerprints."""
    known = [(name, mark) for name, media_id, mark in history.fingerprints(log) if media_id == identity]
    parts = media.groups(known)
    if len(parts) > 1:
        return f"{len(known)} discs of this Media ID fall in {len(parts)} groups: probably another dye under the same ID: {' | '.join(', '.join(part) for part in parts)}"
    return f"{len(known)} discs of this Media ID in the log, all alike"
