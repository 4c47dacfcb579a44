"""Recognition of things by their first bytes, and the refusal of what is none.

Magic numbers as cited in `base.kinds`.
"""

import pytest

from tanken.base import kinds
from tanken.base.errors import InputError, UsageError

KERNEL = bytes(0x1FE) + b"\x55\xaa\xeb\x66HdrS" + bytes(100)
OOPS = b"[ 1.0] Oops: 0000 [#1] SMP\n[ 1.0] Code: 90 90 <0f> 0b 90\n"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x7fELF\x02\x01", "elf"), (KERNEL, "kernel"), (OOPS, "oops"), (b"Code: 48 89 e5 5d <c3> 90\n", "oops"), ("探検\n".encode(), "text"),
        (b"", "raw"), (b"\0\1\2", "raw"), (b"\xff\xfe", "raw"), (b"a" * (kinds.HEAD - 1) + "é".encode()[:1], "text"),
    ],
)  # fmt: skip
def test_kind_of_bytes(head: bytes, kind: str) -> None:
    assert kinds.of_bytes(head)[0].name == kind


def test_directory_row_and_override(tmp_path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"\x7fELF")
    assert kinds.recognise(str(tmp_path)).kind is kinds.DIRECTORY
    assert kinds.recognise("x86:add").query == "add"
    assert kinds.recognise(str(file)).kind.name == "elf"
    assert kinds.recognise(str(file), "raw").data == b"\x7fELF"


def test_what_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="nothing-here: No such file"):
        kinds.recognise(str(tmp_path / "nothing-here"))
    with pytest.raises(UsageError, match="did you mean elf"):
        kinds.recognise(str(tmp_path), "elff")
