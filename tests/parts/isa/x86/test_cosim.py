"""Every implemented form of the opcode map agrees with the host processor, from a few random states each.

tests/oracle/cosim.py; larger runs: `python -m tests.oracle.cosim --states 64`.
"""

from __future__ import annotations

import platform
import sys

import pytest
from tests.oracle import cosim

pytestmark = pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="the oracle is an x86-64 Linux host")


def test_forms_agree_with_the_host() -> None:
    forms = cosim.chosen_forms()
    counted, differences = cosim.run(forms, encodings=4, states=5)
    assert not differences, "\n".join(f"{d.inst}: {d.what}" for d in differences[:10])
    assert sum(1 for count in counted.values() if count) >= 600, "forms that had cases"
