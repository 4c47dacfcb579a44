"""The verbs on fonts as a user types them: show, dis, run, check, font.

Fonts of Debian's packages, and those that the generator makes.
"""

import json

import pytest
from tests.parts.cli.command import tanken_command
from tests.parts.font import fonts

from tanken.font import hostile


def ok(*words: str, status: int = 0, **options: bytes) -> str:
    """Standard output of a command that ends with `status`, and writes no traceback."""
    done = tanken_command(*words, **options)  # type: ignore[arg-type]
    assert done.returncode == status and b"Traceback" not in done.stderr, done.stderr.decode() + done.stdout.decode()
    return done.stdout.decode()


def test_show_a_glyph() -> None:
    path = str(fonts.path("lmroman10-regular"))
    assert "821" in ok("show", path)
    record = json.loads(ok("show", path, "--glyph", "A", "--json"))
    assert list(record) == ["gid", "name", "advance", "path"] and record["name"] == "A" and record["advance"] == 750
    assert record["path"][0] == ["M", 717, 0] and record["path"][-1] == ["Z"]
    assert json.loads(ok("show", path, "--glyph", "U+0041", "--json")) == record == json.loads(ok("show", path, "--glyph", f"gid:{record['gid']}", "--json"))
    rows = [json.loads(line) for line in ok("show", path, "--all-glyphs", "--json").splitlines()]
    assert len(rows) == 821 and rows[record["gid"]] == record
    report = json.loads(ok("show", path, "--coverage", "--json"))
    assert report["called"] == 527 and report["unreached"] == {"global": [178]} and report["operators"]["return"] == 4801


def test_draw(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = str(fonts.path("lmroman10-regular"))
    ok("show", path, "--glyph", "A", "-o", str(tmp_path / "a.png"), "--size", "120")
    ok("show", path, "--text", "Affine", "-o", str(tmp_path / "t.svg"))
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG" and (tmp_path / "t.svg").read_text().count("<use") == 4
    assert "f_f_i" in ok("show", path, "--text", "Affine")
    assert "U+0041" in ok("show", path, "--glyph", "A", "--mapping")
    ok("show", path, "--glyph", "A", "-o", str(tmp_path / "a.gif"), status=2)


def test_disassemble_and_assemble() -> None:
    path = str(fonts.path("lmroman10-regular"))
    listing = ok("dis", path, "--glyph", "A")
    assert "width 750 (nominal 0 + 750)" in listing and "local 75" in listing and "hstem" in listing and "h 228..259" in listing
    source = ok("dis", path, "--glyph", "A", "--plain")
    assert ok("font", "assemble", "-", stdin=source.encode()).strip() == "6b0a01200a0e"
    lines = [json.loads(line) for line in ok("dis", path, "--glyph", "A", "--json").splitlines()]
    assert lines[0]["place"] == "glyph 27" and lines[0]["raw"] == "6b0a"
    assert ok("dis", path, "--subr", "local:0", "--plain").startswith("717 hmoveto")


def test_run_and_debug() -> None:
    path = str(fonts.path("lmroman10-regular"))
    steps = [json.loads(line) for line in ok("run", path, "--glyph", "A", "--trace", "--json").splitlines()]
    assert len(steps) == 33 and steps[0]["mnemonic"] == "callsubr" and steps[8]["x"] == 717
    assert len(ok("run", path, "--glyph", "A", "--trace").splitlines()) == 33
    told = ok("run", path, "--glyph", "A", "--debug", stdin=b"s 2\nb\nbreak rlineto\nc\np\nc\npath\nnonsense\nr\nq\n")
    assert "after 1 operators" in told and "398,696" in told and "no command" in told and told.rstrip().endswith("hints 0")


def test_check(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert "0 errors" in ok("check", str(fonts.path("lmroman10-regular")))
    path = tmp_path / "x.otf"
    path.write_bytes(hostile.make("stack-moved"))
    text = ok("check", str(path), status=4)
    assert "stack-underflow" in text and "operator drop" in text
    summary = json.loads(ok("check", str(path), "--json", status=4).splitlines()[-1])
    assert summary["level"] == "error" and summary["bounds"]["glyphs"] == 3
    assert json.loads(ok("check", str(path), "--sarif", status=4))["version"] == "2.1.0"
    assert "returns to" not in ok("run", str(path), "--glyph", "A", status=1)
    assert "the return address" in ok("run", str(path), "--glyph", "A", "--unsafe", status=1)
    path.write_bytes(hostile.make("arithmetic"))
    ok("check", str(path), status=3)
    assert "drop" in ok("font", "hostile")


@pytest.mark.parametrize("words", [("show", "--glyph", "nix"), ("dis",), ("run",), ("show", "--all-glyphs"), ("show", "--face", "9"), ("show", "--instance", "wght=1")])
def test_wrong_commands_are_one_line(words: tuple[str, ...]) -> None:
    done = tanken_command(words[0], str(fonts.path("lmroman10-regular")), *words[1:])
    assert done.returncode == 2 and done.stderr.decode().count("\n") == 1
