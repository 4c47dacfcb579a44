"""LZ4 against the reference implementation's Python package, and on broken input.

LZ4 block format description, version 1.6.
"""

from __future__ import annotations

import lz4.block
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tanken.base.errors import InputError
from tanken.coding.lz4 import LEGACY_MAGIC, decompress_block, decompress_legacy

DATA = st.lists(st.sampled_from([b"a", b"abc", b"\0" * 40, bytes(range(64)), b"kernel"]) | st.binary(max_size=20), max_size=60).map(b"".join)


@settings(deadline=None)
@given(DATA)
def test_round_trip(data: bytes) -> None:
    block = lz4.block.compress(data, store_size=False)
    assert decompress_block(block, len(data)) == data
    frame = LEGACY_MAGIC + len(block).to_bytes(4, "little") + block
    assert decompress_legacy(frame) == data


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    try:
        assert len(decompress_block(data, 1000)) <= 1000
    except InputError as error:
        assert "LZ4 block" in str(error)


def test_limit() -> None:
    with pytest.raises(InputError):
        decompress_block(lz4.block.compress(bytes(1000), store_size=False), 999)
