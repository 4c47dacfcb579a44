"""Every implemented form of the opcode map agrees with the host processor, from a few random states each.

tests/oracle/cosim.py; larger runs: `python -m tests.oracle.cosim --states 64`.
"""

from __future__ import annotations

import platform
import sys

import pytest
from tests.oracle import cosim

pytestmark = pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="the oracle is an x86-64 Linux host")


needs_oracle = pytest.mark.skipif(not {"avx", "fsgsbase"} <= cosim.host_flags(), reason="the oracle needs a processor with AVX and FSGSBASE")


@needs_oracle
@pytest.mark.parametrize(("mode", "states", "least"), [(64, 4, 1300), (32, 3, 75)])
def test_forms_agree_with_the_host(mode: int, states: int, least: int) -> None:
    outcome = cosim.run(cosim.chosen_forms(mode), encodings=3, states=states, mode=mode)
    assert not outcome.differences, "\n".join(f"{d.inst}: {d.what}" for d in outcome.differences[:10])
    assert sum(1 for count in outcome.counted.values() if count) >= least, "forms that had cases"


def test_no_announced_feature_lacks_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert cosim.missing() == 0, capsys.readouterr().out
