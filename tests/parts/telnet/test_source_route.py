"""Source routes: the notation, the option's octets, and the way end to end through a lab of network namespaces.

RFC 791 section 3.1.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.parts.cli.command import SOURCE
from tests.parts.telnet import lab

from tanken.base.errors import UsageError
from tanken.telnet import source_route
from tanken.telnet.capture.packets import SYN, Segment, segments
from tanken.telnet.source_route import Recorded, Route


def test_notation() -> None:
    assert source_route.parse("host") is None
    assert source_route.parse("@a@b:c") == source_route.parse("@a@b@c") == source_route.parse("@a@b,c") == Route(False, ("a", "b"), "c")
    assert source_route.parse("!@a:c") == Route(True, ("a",), "c")
    for text in ("!host", "@", "@a", "@a@:b", "@@a:b"):
        with pytest.raises(UsageError):
            source_route.parse(text)
    with pytest.raises(UsageError, match="at most 9"):
        source_route.parse("@1" * 10 + ":c")


def test_octets() -> None:
    assert source_route.option(Route(False, ("10.1.0.1",), "h")) == bytes.fromhex("8307040a01000101")
    assert source_route.option(Route(True, ("10.1.0.1", "10.2.0.2"), "h")) == bytes.fromhex("890b040a0100010a02000201")
    assert len(source_route.option(Route(True, ("1.2.3.4",) * 9, "h"))) == 40
    octets = bytes.fromhex("01830b080a0100010a02000200")
    assert list(source_route.options_of(octets)) == [Recorded("LSRR", ("10.1.0.1",), ("10.2.0.2",))]
    for broken in (b"\x83", b"\x83\x00", b"\x83\xff\x04", b"\x83\x02", b"\x83\x03\x00"):
        list(source_route.options_of(broken))


def test_unknown_hop() -> None:
    with pytest.raises(UsageError, match="wanted a host with an IPv4 address"):
        source_route.option(Route(False, ("no-such-host.invalid",), "h"))


def namespaces() -> bool:
    return bool(shutil.which("ip")) and subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not namespaces(), reason="no right to make network namespaces, or no ip (iproute2)")
def test_end_to_end_with_packets_checked(tmp_path: Path) -> None:
    """A has no route to B's network: the loose and the strict route get there, authenticated and encrypted; the packets show the way."""
    routes = ["@10.1.0.1@10.2.0.2:10.3.0.2", "!@10.1.0.1@10.2.0.2:10.3.0.2", "10.3.0.2", "!@10.1.0.1:10.3.0.2"]
    command = ["unshare", "-n", "-m", sys.executable, lab.__file__, str(tmp_path), *routes]
    result = subprocess.run(command, capture_output=True, timeout=150, env={**os.environ, "PYTHONPATH": str(SOURCE)})
    assert result.returncode == 0, result.stderr.decode()
    loose, strict, plain, gap = json.loads(result.stdout)
    for kind, one in (("LSRR", loose), ("SSRR", strict)):
        assert one["status"] == 0 and "along the route" in one["out"], one
        assert f"came back: {kind} recorded 10.2.0.2 10.1.0.1" in one["err"] and "ready, encrypted, user amy" in one["err"]
    assert plain["status"] == 1 and "unreachable" in plain["err"]
    assert gap["status"] == 1 and "along 10.1.0.1" in gap["err"]  # R1 has no link to B's network, so a strict route must fail

    def first(name: str, from_a: bool) -> list[Segment]:
        with (tmp_path / name).open("rb") as file:
            found = [s for s in segments(file, name) if s.flags & SYN and (s.source[0] == "10.1.0.2") is from_a]
        return found

    for kind, way in (("LSRR", 0), ("SSRR", 1)):
        syn = first("A.pcap", True)[way]
        assert syn.destination[0] == "10.1.0.1"  # the first hop stands in the header, the rest in the option
        assert list(source_route.options_of(syn.options)) == [Recorded(kind, (), ("10.2.0.2", "10.3.0.2"))]
        syn = first("B.pcap", True)[way]
        assert syn.destination[0] == "10.3.0.2"
        assert list(source_route.options_of(syn.options)) == [Recorded(kind, ("10.2.0.1", "10.3.0.1"), ())]
        answer = first("A.pcap", False)[way]
        assert answer.source[0] == "10.3.0.2"
        assert list(source_route.options_of(answer.options)) == [Recorded(kind, ("10.2.0.2", "10.1.0.1"), ())]
