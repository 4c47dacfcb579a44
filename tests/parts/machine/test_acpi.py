"""The ACPI tables: checksums and pointers, and iasl's word on each; AML's encodings by themselves.

iasl comes with Debian's acpica-tools.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tanken.base.errors import InternalError
from tanken.machine.acpi import aml
from tanken.machine.acpi.tables import LAYOUTS, Hardware, build

needs_iasl = pytest.mark.skipif(shutil.which("iasl") is None, reason="iasl is not installed: apt-get install acpica-tools")
FULL = Hardware(pm=0x600, sci=9, serial=((0x3F8, 4), (0x2F8, 3)))
BARE = Hardware(pm=0xB000, sci=9, has_8042=False, has_rtc=False, has_pic=False, has_pit=False)


def test_pointers_and_checksums() -> None:
    image, tables = build(FULL, 0xE0000)
    rsdp = LAYOUTS["rsdp"].unpack(image)
    assert sum(image[:20]) & 0xFF == 0 and sum(image[: rsdp["length"]]) & 0xFF == 0
    xsdt = image[rsdp["xsdt"] - 0xE0000 :][: len(tables["XSDT"])]
    assert xsdt == tables["XSDT"]
    for at in (36, 44):
        where = int.from_bytes(xsdt[at : at + 8], "little") - 0xE0000
        header = LAYOUTS["header"].unpack(image, where)
        assert header["signature"] in (b"FACP", b"APIC") and sum(image[where : where + header["length"]]) & 0xFF == 0
    assert len(tables["FACP"]) == 276 and len(tables["FACS"]) == 64
    fadt = LAYOUTS["fadt"].unpack(tables["FACP"], 36)
    assert image[fadt["dsdt"] - 0xE0000 :].startswith(b"DSDT") and image[fadt["firmware_ctrl"] - 0xE0000 :].startswith(b"FACS")


@needs_iasl
@pytest.mark.parametrize("hardware", [FULL, BARE], ids=["full", "bare"])
def test_iasl_reads_every_table_and_finds_nothing_wrong(hardware: Hardware, tmp_path: Path) -> None:
    _, tables = build(hardware, 0xE0000)
    for name, data in tables.items():
        (tmp_path / f"{name}.dat").write_bytes(data)
        told = subprocess.run(["iasl", "-d", f"{name}.dat"], cwd=tmp_path, capture_output=True, text=True)
        assert told.returncode == 0 and not re.search("incorrect|invalid|error", told.stdout + told.stderr, re.IGNORECASE), told.stdout + told.stderr
        made = (tmp_path / f"{name}.dsl").read_text()
        assert "Incorrect" not in made and "Unknown" not in made, made
        told = subprocess.run(["iasl", f"{name}.dsl"], cwd=tmp_path, capture_output=True, text=True)
        if name == "DSDT":
            assert "0 Errors, 0 Warnings" in told.stdout, told.stdout + told.stderr
            assert (tmp_path / "DSDT.aml").read_bytes()[36:] == data[36:], "the same code comes back from the source"
        else:
            assert told.returncode == 0, told.stdout + told.stderr


@needs_iasl
def test_the_dsdt_says_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "DSDT.dat").write_bytes(build(FULL, 0xE0000)[1]["DSDT"])
    subprocess.run(["iasl", "-d", "DSDT.dat"], cwd=tmp_path, check=True, capture_output=True)
    text = (tmp_path / "DSDT.dsl").read_text()
    for wanted in ("Device (COM1)", 'EisaId ("PNP0501")', "0x03F8,             // Range Minimum", "{4}", "Name (_S5, Package (0x04)",
                   "Device (PWRB)", "Method (_E00, 0, NotSerialized)", "Notify (\\_SB.PWRB, 0x80)", 'EisaId ("PNP0303")'):
        assert wanted in text, text


@pytest.mark.parametrize(
    ("term", "code"),
    [
        (aml.integer(0), "00"), (aml.integer(1), "01"), (aml.integer(0x7F), "0a7f"), (aml.integer(0x1234), "0b3412"), (aml.integer(1 << 32), "0e0000000001000000"),
        (aml.name_string("\\_SB.COM1"), "5c2e5f53425f434f4d31"), (aml.name_string("^A"), "5e415f5f5f"), (aml.name_string("A.B.C"), "2f03415f5f5f425f5f5f435f5f5f"),
        (aml.eisa_id("PNP0501"), "0c41d00501"), (aml.package_length(62), "3f"), (aml.package_length(63), "4104"), (aml.package_length(5000), "8b3801"),
        (aml.method("_STA", 0, aml.returned(aml.integer(15))), "14095f53544100a40a0f"), (aml.string("A"), "0d4100"),
    ],
)  # fmt: skip
def test_encodings(term: bytes, code: str) -> None:
    assert term.hex() == code


def test_a_wrong_name_is_our_bug() -> None:
    with pytest.raises(InternalError):
        aml.name_string("TOOLONG")
