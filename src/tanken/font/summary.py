"""What a font is, in a dozen facts: names, tables, glyphs, subroutines, axes, how its faces share tables.

OpenType Specification 1.9.1; Adobe Technical Note 5176.
"""

from __future__ import annotations

from typing import Any

from tanken.font.face import Face


def facts(face: Face) -> dict[str, Any]:
    """Facts by name, in the order to show them."""
    cff, file = face.cff, face.file
    shared = sum((other.entries.get("CFF ") or other.entries.get("CFF2")) == (face.entries.get("CFF ") or face.entries.get("CFF2")) for other in file.faces)
    found: dict[str, Any] = {
        "font": face.names.get(4) or (cff.names[0].decode("latin-1") if len(cff.names) else ""),
        "format": ("CFF2" if cff.is_cff2 else "CFF") + (", CID-keyed" if cff.is_cid else "") + (", bare" if file.bare else ""),
        "PostScript": cff.names[0].decode("latin-1") if len(cff.names) else face.names.get(6, ""),
        "glyphs": len(cff),
        "units": face.units_per_em,
        "subroutines": f"{len(cff.globals)} global, {sum(len(fd.subrs) if fd.subrs else 0 for fd in cff.fds)} local in {len(cff.fds)} font DICTs",
        "bytes": f"{len(cff.data)} of {'CFF2' if cff.is_cff2 else 'CFF'} at {cff.origin:#x}, {len(file.data)} in the file",
    }
    if len(file.faces) > 1:
        found["faces"] = f"{len(file.faces)}, {shared} of which share this CFF table; this is face {face.number}"
    if not file.bare:
        found["characters"] = sum(run.last - run.first + 1 for run in face.cmap.best.runs) if face.cmap.best else 0
        found["sequences"] = len(face.cmap.sequences)
        found["features"] = sorted({name for name, _ in face.gsub.features}) if face.table("GSUB") else []
        found["tables"] = [tag.strip() for tag in face.entries]
    if face.axes:
        found["axes"] = [f"{axis.tag} {axis.least:g}..{axis.default:g}..{axis.most:g}" for axis in face.axes]
    problems = [*file.problems, *cff.problems]
    if problems:
        found["problems"] = f"{len(problems)}, the first: {problems[0].message} (tanken check tells all)"
    return found
