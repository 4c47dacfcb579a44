"""What `tanken check telnet://HOST:PORT` prints: a table of options, the rules kept and broken, protection, exposure.

The tests stand in `tanken.telnet.conformance`.
"""

from __future__ import annotations

import argparse
import sys

from tanken.base import progress
from tanken.base.kinds import Thing

GROUPS = (("session", "Session"), ("rules", "Rules"), ("protection", "Protection"), ("exposure", "Exposure to known vulnerabilities (nothing was tried out)"))


def run(thing: Thing, options: argparse.Namespace) -> int:
    """0 when every rule was kept, 1 when one was broken."""
    from tanken.telnet.conformance import Examination, address_of

    tell = progress.to(sys.stderr) if sys.stderr.isatty() else progress.silent
    report = Examination(address_of(thing.name), tell).run()
    if options.json:
        for record in (*report.options, *report.findings):
            print(record.to_json())
        return 1 if report.broken else 0
    print(f"{report.address}\n\nOptions (performs: answer to DO; lets us: answer to WILL; opens: asked by itself)")
    print(f"  {'option':<18} {'no.':>3}  {'performs':<9} {'lets us':<8} opens")
    for row in report.options:
        print(f"  {row.option:<18} {row.number:>3}  {row.performs:<9} {row.lets:<8} {row.opens}".rstrip())
    for group, title in GROUPS:
        print(f"\n{title}")
        for finding in report.findings:
            if finding.group == group:
                detail = f": {finding.detail}" if finding.detail else ""
                cite = f" ({finding.cite})" if finding.cite and finding.verdict in ("broken", "absent") else ""
                print(f"  {finding.verdict:<9} {finding.name}{detail}{cite}")
    kept = sum(finding.verdict == "kept" for finding in report.findings)
    print(f"\n{kept} rules kept, {report.broken} broken")
    return 1 if report.broken else 0
