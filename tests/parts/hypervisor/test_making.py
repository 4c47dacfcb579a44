"""What is made before our own processor runs: the list of a Linux boot's instructions is read, and its keys are those of the translator."""

import pytest

from tanken.base import native
from tanken.hypervisor import making

needs_llvm = pytest.mark.skipif(not native.available(), reason="no native code here: Numba is missing, or TANKEN_NATIVE=off")


def test_the_list_is_made_of_whole_instructions() -> None:
    from tanken.isa.x86.inst import disassemble

    shapes = making.shapes()
    assert len(shapes) > 1500 and len(set(shapes)) == len(shapes)
    for shape in shapes:
        for code in shape:
            (inst,) = disassemble(code, 0, 64)
            assert len(inst.code) == len(code) and "bad" not in inst.text(), code.hex()
        assert len(shape) == 1 or (shape[1][0] & 0xF0 == 0x70 or shape[1][:1] == b"\x0f"), shape


@needs_llvm
def test_a_stencil_is_made_once_and_found_by_its_key(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANKEN_CACHE", str(tmp_path))
    made = making.Stencils()
    N, shapes = made.N, [(bytes.fromhex("4839c8"),), (bytes.fromhex("4839c8"), bytes.fromhex("7400")), (bytes.fromhex("4889e5"),)]
    for shape in shapes * 2:
        made.make(shape)
    assert made.tab[N.STENCIL_COUNT] == 3 and len({made.key(shape) for shape in shapes}) == 3
    assert made.key((bytes.fromhex("4839d8"),)) == made.key(shapes[0]), "registers are left open"
    assert made.key((bytes.fromhex("9d"),)) is None, "the interpreter's"
    made.save()
    again = making.Stencils()
    assert again.tab[N.STENCIL_COUNT] == 3 and making.find_key(again.tab, *again.key(shapes[1])) >= 0  # type: ignore[misc]
