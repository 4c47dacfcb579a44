"""SARIF of every font of the generator against the schema of OASIS, which the user hands over: it is not kept here.

`python -m tests.oracle.sarif sarif-schema-2.1.0.json` (github.com/oasis-tcs/sarif-spec); needs jsonschema.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema

from tanken.font import check, hostile, sarif


def main() -> int:
    schema = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
    reports = [report for name in hostile.patterns() for report in check.check(hostile.make(name), f"a folder/{name}.otf")]
    documents = [[], *([report] for report in reports), reports]
    errors = [error.message for one in documents for error in validator.iter_errors(json.loads(sarif.document(one)))]
    print("\n".join(errors[:10]))
    print(f"{len(documents)} documents, {sum(len(report.problems) for report in reports)} findings, {len(errors)} against the schema")
    return int(bool(errors))


if __name__ == "__main__":
    sys.exit(main())
