"""Checks a font: what its structure lies about, what its programs need at most and who accepts them, which tables disagree.

Every part is read as far as it goes; glyphs are run only where the proof says that they end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tanken.base.errors import InputError, UnsupportedError
from tanken.base.progress import Event, Progress, silent
from tanken.font import agreement, programs, structure, verdicts
from tanken.font.agreement import Measured
from tanken.font.cff import Cff
from tanken.font.face import Face, FontFile
from tanken.font.limits import RUN, for_format
from tanken.font.outlines import Executor, Outlines
from tanken.font.problems import ERROR, LEVELS, Problem
from tanken.font.verdicts import Verdict
from tanken.font.verifier import Proof
from tanken.isa.charstring.results import AT, CURVE, DIVIDED, FAULT, FLAGS, UNSET, WIDTH, XY_END

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class Report:
    """What was found in one font: findings, verdicts of the profiles, the exact bounds over all glyphs, what a PDF would have."""

    name: str
    problems: list[Problem] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    bounds: dict[str, int] = field(default_factory=dict)
    in_pdf: list[str] = field(default_factory=list)

    @property
    def level(self) -> str:
        """The worst level of all findings; "" where there is none."""
        return max((problem.level for problem in self.problems), key=LEVELS.index, default="")


def check(data: bytes, name: str, face: int | None = None, progress: Progress = silent) -> list[Report]:
    """A report for each CFF table of the file, with the disagreements of every face that uses it. Never raises for what is in the font."""
    try:
        file = FontFile(data, name)
    except InputError as error:
        if data[:4] not in (b"OTTO", b"ttcf") and data[:1] not in (b"\1", b"\2"):
            raise
        return [Report(name, [Problem("unreadable", ERROR, str(error))])]
    reports: dict[int, Report] = {}
    shared: dict[int, tuple[Proof, Measured]] = {}
    for number in range(len(file.faces)) if face is None else [face]:
        one = file.face(number)
        try:
            cff = one.cff
        except UnsupportedError:
            raise
        except InputError as error:
            reports[-1 - number] = Report(one.name, [Problem("unreadable", ERROR, str(error))])
            continue
        report = reports.get(id(cff))
        if report is None:
            report = reports[id(cff)] = Report(one.name, list(file.problems))
            shared[id(cff)] = _programs(one, report, progress)
        _agreement(one, report, shared[id(cff)][1])
    return list(reports.values())


def _programs(face: Face, report: Report, progress: Progress) -> tuple[Proof, Measured]:
    cff = face.cff
    _touch(cff)
    program = face.program()
    progress(Event("proof", 0, 1, f"{len(cff)} glyphs"))
    proof = Proof(program)
    progress(Event("proof", 1, 1, f"{len(cff)} glyphs"))
    measured, faulted, flags = _run(face, proof, progress)
    report.problems += [*cff.problems, *structure.problems(cff), *programs.problems(face, proof), *programs.run_problems(face, proof, faulted, flags)]
    report.verdicts = verdicts.verdicts(face, proof, faulted, report.problems)
    report.bounds = bounds(proof)
    report.in_pdf = list(agreement.in_pdf(face, measured))
    return proof, measured


def _touch(cff: Cff) -> None:
    """Reads what is read on demand, so that its lies are known."""
    for index in (cff.charstrings, cff.globals, cff.names, cff.strings, *(fd.subrs for fd in cff.fds if fd.subrs is not None)):
        index.spans()
    if not cff.is_cff2:
        _ = cff.charset, cff.encoding
    if not len(cff):
        cff.problems.append(Problem("no-glyphs", ERROR, "the font has no glyph that can be read", cff.origin))


def bounds(proof: Proof) -> dict[str, int]:
    """The largest bound of any glyph, by what it bounds."""
    from tanken.isa.charstring.columns import S_HEIGHT, S_HINTS, S_MAX, S_POINTS, S_STEPS

    columns = {"stack": S_MAX, "nesting": S_HEIGHT, "hints": S_HINTS, "operators": S_STEPS, "points": S_POINTS}
    found = {name: int(proof.glyphs[:, column].max()) if len(proof.glyphs) else 0 for name, column in columns.items()}
    return {"glyphs": len(proof.glyphs), **found, "bytes read": int(proof.work[0])}


def _run(face: Face, proof: Proof, progress: Progress) -> tuple[Measured, list[tuple[int, int, int]], dict[int, list[int]]]:
    """Runs the glyphs that were proved safe: widths and boxes, faults (glyph, fault, offset), flags that only running sets."""
    import numpy as np

    count = len(face.cff)
    widths, boxes = np.full(count, np.nan), np.full((count, 4), np.nan)
    limits = for_format(RUN, face.cff.is_cff2, int(face.cff.top.number("maxstack", 513)))
    safe = proof.safe(limits)
    faulted, flags = list[tuple[int, int, int]](), dict[int, list[int]]()
    executor = Executor(face.program(), limits)
    for first, last in _stretches(safe):
        for run in executor.chunks(first, last, progress if last - first > 10_000 else silent):
            here = slice(run.first, run.first + len(run))
            widths[here] = run.glyphs[:, WIDTH] / 65536
            boxes[here] = _boxes(run)
            faulted += [(run.first + i, *run.glyphs[i, [FAULT, AT]].tolist()) for i in np.flatnonzero(run.glyphs[:, FAULT]).tolist()]
            for flag in (UNSET, DIVIDED):
                if having := (run.first + np.flatnonzero(run.glyphs[:, FLAGS] & flag)).tolist():
                    flags.setdefault(flag, []).extend(having)
    return Measured(widths, boxes), faulted, flags


def _stretches(safe: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[False], safe, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _boxes(run: Outlines) -> NDArray[np.float64]:
    """The boxes of the points on the curve of a run, font units; NaN where a glyph has no points.

    Control points may stand outside of what is drawn, so that they say nothing against a box; a curve's own bulge is not followed.
    """
    import numpy as np

    counts = np.asarray([1, 1, 3, 0])[run.ops]
    on = np.ones(len(run.xy) // 2, bool)
    curves = np.cumsum(counts)[run.ops == CURVE]
    on[curves - 3] = on[curves - 2] = False
    ends = np.concatenate([[0], np.cumsum(on)])[run.glyphs[:, XY_END] // 2]
    starts = np.concatenate([[0], ends[:-1]])
    boxes = np.full((len(run), 4), np.nan)
    having = np.flatnonzero(ends > starts)
    if len(having):
        points = run.xy.reshape(-1, 2)[on]
        boxes[having, :2] = np.minimum.reduceat(points, starts[having]) / 65536
        boxes[having, 2:] = np.maximum.reduceat(points, starts[having]) / 65536
    return boxes


def _agreement(face: Face, report: Report, measured: Measured) -> None:
    label = f"face {face.number}" if len(face.file.faces) > 1 else ""
    known = {(problem.rule, problem.message) for problem in report.problems}
    for problem in agreement.problems(face, measured):
        if (problem.rule, problem.message) not in known:
            report.problems.append(Problem(**dict(problem.items()) | {"place": problem.place or label}))
