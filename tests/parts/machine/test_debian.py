"""Debian's unmodified cloud kernel on our own processor: to a busybox shell, to its devices, and off; with TANKEN_BOOT=1, for it takes minutes.

The kernel is downloaded with apt-get.
"""

import os
import re

import pytest
from tests.parts.machine.test_pc import Typist

from tanken.base.errors import TankenError
from tanken.cli import debian
from tanken.machine.initrd import busybox
from tanken.machine.pc import Pc


@pytest.mark.skipif("TANKEN_BOOT" not in os.environ, reason="a boot takes minutes: TANKEN_BOOT=1 runs it")
@pytest.mark.parametrize("protocol", ["linux", "pvh"])
def test_debian_boots_to_a_shell_and_turns_itself_off(protocol: str, tmp_path: pytest.TempPathFactory) -> None:
    try:
        image = debian.kernel()
        (tmp_path / "initrd").write_bytes(busybox())  # type: ignore[operator]  # a path
    except TankenError as error:
        pytest.skip(str(error))

    class Shell(Typist):
        def write(self, data: bytes) -> None:
            super(Typist, self).write(data)
            if self.output.endswith(b"/ # \x1b[6n") and self._lines:
                self.type(self._lines.pop(0).encode() + b"\r")

    far = Shell("uname -a", "cat /proc/interrupts", "sleep 1; echo slept", "poweroff -f")
    ended = Pc(far=far, kernel=str(image), initrd=str(tmp_path / "initrd"), append=debian.APPEND, cpu="own", protocol=protocol).run()
    text = far.output.decode(errors="replace")
    assert ended.reason == "power-off", text[-2000:]
    assert re.search(r"Linux .*6\.\d+.*x86_64 GNU/Linux", text) and "slept" in text
    assert re.search(r"4: +\d+ +IO-APIC +4-edge +ttyS0", text) and "kvm-clock" in text


@pytest.mark.skipif("TANKEN_BOOT" not in os.environ, reason="unpacking a kernel takes seconds: TANKEN_BOOT=1 runs it")
def test_a_real_kernel_names_its_functions() -> None:
    from tanken.elf import kallsyms, kernel_image

    try:
        image = debian.kernel()
    except TankenError as error:
        pytest.skip(str(error))
    found = kallsyms.symbols(kernel_image.vmlinux(image.read_bytes(), image.name), image.name)
    names = {name: address for address, name in found}
    assert len(found) > 50_000 and names["_text"] == 0xFFFF_FFFF_8100_0000 and names["pvh_start_xen"] == names["_text"] + 0x850
