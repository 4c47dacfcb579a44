"""Findings as SARIF, the format that code hosts and editors take: one run, a rule for each kind of finding, places by byte offset.

OASIS Static Analysis Results Interchange Format 2.1.0, sections 3.14 to 3.30.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from tanken import __version__
from tanken.font.check import Report

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def document(reports: list[Report]) -> str:
    """The SARIF document of these reports."""
    found = [(report, problem) for report in reports for problem in report.problems]
    rules = [{"id": rule, "shortDescription": {"text": rule.replace("-", " ")}} for rule in sorted({problem.rule for _, problem in found})]
    results = []
    for report, problem in found:
        place: dict[str, Any] = {"artifactLocation": {"uri": quote(report.name.partition("#")[0])}}
        if problem.offset >= 0:
            place["region"] = {"byteOffset": problem.offset, "byteLength": 1}
        result: dict[str, Any] = {"ruleId": problem.rule, "level": problem.level, "message": {"text": problem.line()}, "locations": [{"physicalLocation": place}]}
        if problem.glyph >= 0:
            result["locations"][0]["logicalLocations"] = [{"name": problem.glyph_name or str(problem.glyph), "kind": "glyph", "fullyQualifiedName": f"gid:{problem.glyph}"}]
        result["properties"] = {name: value for name, value in problem.items() if value not in ("", -1) and name not in ("rule", "level", "message")}
        results.append(result)
    driver = {"name": "tanken", "version": __version__, "rules": rules}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}, ensure_ascii=False, indent=1)
