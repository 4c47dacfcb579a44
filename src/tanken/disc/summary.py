"""What a measurement adds up to: totals, sums over 8 blocks and 10 seconds, the standard's limits, and the totals that people know.

Limits stand in `limits.table` with their sources. Sums over 8 blocks: ECMA-267 section on random errors; BLER over 10 s: IEC 60908.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tanken.base.errors import UsageError
from tanken.base.records import Record
from tanken.disc.dvd.frame import FIRST_PSN, SECTORS
from tanken.disc.geometry import INWARD
from tanken.disc.measure import FRAMES_A_SECOND, BlockLine, Measurement
from tanken.notation.table import read_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW = 8  # ECC blocks
TEN = 10  # seconds
FULL = 143_444  # ECC blocks of a disc of 4.7 GB
DVD_TYPE, CD_TYPE = "dvd-rom", "cd"
LOCAL = frozenset({"dust", "fingerprint", "scratch", "burst"})


@dataclass(frozen=True, slots=True, repr=False)
class Limits(Record):
    """The limits of a type of disc; None where its standard sets none."""

    name: str
    first: int | None  # DVD: PI sum over 8 blocks; CD: BLER over 10 s
    second: int | None  # DVD: PI failures of a block; CD: uncorrectable words at C2
    third: int | None  # DVD: PO failures
    cite: str


def _number(text: str) -> int | None:
    return None if text == "-" else int(text)


def limits(name: str) -> Limits:
    """The limits of a type; raises UsageError for an unknown one."""
    tables = read_tables(Path(__file__).with_name("limits.table"))
    for row in tables["dvd"]:
        if row[0] == name:
            return Limits(name, _number(row[1]), _number(row[2]), _number(row[3]), row[4])
    for row in tables["cd"]:
        if row[0] == name:
            return Limits(name, _number(row[1]), _number(row[2]), None, row[3])
    raise UsageError(f"type of disc {name!r}", wanted=", ".join(row[0] for row in (*tables["dvd"], *tables["cd"])))


def scale() -> list[tuple[int, str]]:
    """Totals of error rows of a whole disc, and what people say of them."""
    return [(int(row[0]), row[1]) for row in read_tables(Path(__file__).with_name("limits.table"))["scale"]]


@dataclass(slots=True, repr=False)
class Summary(Record):
    """One object; None where the input cannot tell."""

    source: str
    form: str
    type: str
    blocks: int | None = None
    seconds: int | None = None
    pi_total: int | None = None
    pi_whole_disc: int | None = None  # for a full disc of 4.7 GB, if all were like what was read
    pi_max: int | None = None
    pi_sum8_max: int | None = None
    pi_sum8_mean: float | None = None
    pi_sum8_over: int | None = None  # windows over the limit
    pif_total: int | None = None
    pif_max: int | None = None
    po_total: int | None = None
    pof_total: int | None = None
    c1: dict[str, int] | None = None
    c2: dict[str, int] | None = None
    bler_mean: float | None = None
    bler_max: float | None = None
    c2_pointers: int | None = None
    q_bad: int | None = None
    edc_bad: int = 0
    longest_burst: int | None = None
    bursts: dict[str, int] | None = None
    layers: int = 1
    by_layer: dict[str, int] | None = None  # error rows, where there are two
    verdict: str = ""
    beside: str = ""
    damage: str | None = None
    confidence: float | None = None
    also: dict[str, float] = field(default_factory=dict)
    speed_steps: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def windows(values: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Sums over each `size` values in a row; one sum over all where there are fewer."""
    if len(values) <= size:
        return np.array([values.sum()], dtype=np.int64)
    total = np.concatenate([[0], np.cumsum(values)])
    found: NDArray[np.int64] = total[size:] - total[:-size]
    return found


def summarise(made: Measurement, name: str | None = None) -> Summary:
    """Adds up a measurement against the limits of the type `name`; raises UsageError for an unknown type."""
    bounds = limits(name or (CD_TYPE if made.kind == "cd" else DVD_TYPE))
    if (bounds.name == CD_TYPE) != (made.kind == "cd"):
        raise UsageError(f"type {bounds.name} for a {made.kind.upper()}", wanted="a type of the same kind of disc")
    out = Summary(made.source, made.form, bounds.name, notes=list(made.notes), layers=made.layers)
    out.edc_bad = int(made.column("edc_bad").sum()) if made.lines else 0
    if made.kind == "cd":
        _cd(made, bounds, out)
    else:
        _dvd(made, bounds, out)
    if made.layers > 1 and made.upper.read.any():
        out.by_layer = {"layer 0": int(made.grid.wrong.sum()), "layer 1": int(made.upper.wrong.sum())}
    if made.bursts.any():
        out.longest_burst = made.longest
        out.bursts = {f"{low}-{high}": int(made.bursts[low : high + 1].sum()) for low, high in ((1, 1), (2, 3), (4, 7), (8, 15), (16, 31))}
        out.bursts["32-"] = int(made.bursts[32])
    return out


def _dvd(made: Measurement, bounds: Limits, out: Summary) -> None:
    out.blocks = len(made.lines) * made.span
    pi, pif, pof = (made.column(name) for name in ("pi", "pif", "pof"))
    if not made.lines:
        out.verdict = "nothing was read"
        return
    if (pi < 0).any() or made.form == "iso":
        wrong = f", {out.edc_bad} sectors fail their EDC" if made.form != "iso" else ""
        out.verdict = f"cannot be told: no parity in the input{wrong}"
        return
    out.pi_total, out.pi_max, out.pif_total, out.pif_max = int(pi.sum()), int(pi.max()), int(pif.sum()), int(pif.max())
    po = made.column("po")
    out.po_total, out.pof_total = int(po.sum()) if (po >= 0).all() else None, int(pof.sum())
    sums = windows(pi, max(1, WINDOW // made.span))
    out.pi_sum8_max, out.pi_sum8_mean = int(sums.max()), round(float(sums.mean()), 2)
    limit = bounds.first or 0
    out.pi_sum8_over = int((sums > limit).sum())
    out.pi_whole_disc = round(out.pi_total / out.blocks * FULL)
    _gaps(made, out)
    broken = []
    if out.pi_sum8_over:
        broken.append(f"PI sum over 8 blocks {out.pi_sum8_max} is over {limit} ({out.pi_sum8_over} of {len(sums)} windows)")
    if bounds.second is not None and out.pif_max > bounds.second * made.span:
        where = "a block" if made.span == 1 else f"{made.span} blocks"
        broken.append(f"{out.pif_max} PI failures in {where} are over {bounds.second} in each")
    if out.pof_total:
        broken.append(f"{out.pof_total} columns are lost (PO failures)")
    if out.edc_bad:
        broken.append(f"{out.edc_bad} sectors fail their EDC after correction")
    out.verdict = f"outside {bounds.cite}: {'; '.join(broken)}" if broken else f"within {bounds.cite}: the highest PI sum over 8 blocks is {out.pi_sum8_max} of {limit}"
    out.beside = _beside(out.pi_whole_disc, out.blocks)


def _gaps(made: Measurement, out: Summary) -> None:
    psns = made.column("psn")
    away = np.abs(np.diff(psns) - SECTORS * made.span) > (0 if made.span == 1 else SECTORS)
    if made.layers > 1:
        away &= ~((psns[:-1] < INWARD) & (psns[1:] >= INWARD)) & (psns[1:] != FIRST_PSN)  # the second layer begins
    if away.any():
        out.notes.append(f"the blocks do not follow each other on the disc: sums over {WINDOW} blocks are over {WINDOW} blocks as read")


def _beside(total: int, blocks: int) -> str:
    if not total:
        return "no error row at all: better than any disc that people report"
    marks = scale()
    nearest = min(marks, key=lambda mark: abs(np.log(max(total, 1) / mark[0])))
    ratio = total / nearest[0]
    same = f"like the {nearest[0]:,}" if 0.8 < ratio < 1.25 else f"{ratio:.2g} times the {nearest[0]:,}"
    scaled = "" if blocks >= FULL * 0.95 else f" scaled from {blocks:,} blocks to a full disc"
    return f"{total:,} error rows{scaled}: {same} that people call {nearest[1]}"


def _cd(made: Measurement, bounds: Limits, out: Summary) -> None:
    out.seconds = len(made.lines)
    lines = [line for line in made.lines if not isinstance(line, BlockLine)]
    q_bad, pointers = made.column("q_bad"), made.column("c2_pointers")
    out.q_bad = int(q_bad.clip(0).sum()) if (q_bad >= 0).any() else None
    out.c2_pointers = int(pointers.clip(0).sum()) if (pointers >= 0).any() else None
    if not lines or lines[0].c1 is None:
        out.verdict = f"cannot be told: no C1 and C2 in the input, {out.edc_bad} sectors fail their EDC" if lines else "nothing was read"
        return
    out.c1 = {name: sum((line.c1 or {}).get(name, 0) for line in lines) for name in ("e11", "e21", "e31")}
    out.c2 = {name: sum((line.c2 or {}).get(name, 0) for line in lines) for name in ("e12", "e22", "e32", "cu")}
    bler = made.column("bler")
    whole = bler[:-1] if len(bler) > 1 else bler  # the last second may be a part of one
    means = windows(whole, TEN) / min(TEN, len(whole))
    out.bler_mean, out.bler_max = round(float(whole.mean()), 2), round(float(means.max()), 2)
    broken = []
    if bounds.first is not None and out.bler_max > bounds.first:
        broken.append(f"BLER {out.bler_max} over 10 s is over {bounds.first} a second ({bounds.first / FRAMES_A_SECOND:.0%} of {FRAMES_A_SECOND} frames)")
    if out.c2["cu"]:
        broken.append(f"{out.c2['cu']} words could not be corrected at C2 (CU)")
    if out.edc_bad:
        broken.append(f"{out.edc_bad} sectors fail their EDC after correction")
    out.verdict = f"outside {bounds.cite}: {'; '.join(broken)}" if broken else f"within {bounds.cite}: BLER {out.bler_max} of {bounds.first} over 10 s, nothing uncorrectable"
    grade = _grade(out)
    if grade:
        out.beside = f"grade {grade} of those that test houses use (A below 6, B below 51, C below 101 mean BLER without E22 and E32)"


def _grade(out: Summary) -> str:
    if out.c2 is None or out.bler_mean is None or out.c2["e22"] or out.c2["e32"]:
        return ""
    return next((name for name, bound in (("A", 6), ("B", 51), ("C", 101)) if out.bler_mean < bound), "")


def judge_damage(out: Summary, kind: str, confidence: float, also: dict[str, float]) -> None:
    """Adds what the classifier says, and whether it matters."""
    out.damage, out.confidence, out.also = kind, round(confidence, 3), also
    if {kind, *also} <= LOCAL and out.verdict.startswith("within"):
        out.beside += f"{'; ' if out.beside else ''}the errors look like {' and '.join([kind, *also])} and stay within the limit: harmless"
