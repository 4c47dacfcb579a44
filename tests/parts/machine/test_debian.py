"""Debian's unmodified cloud kernel on our own processor: to a busybox shell, to its devices, and off, by its power button too; with TANKEN_BOOT=1, for it takes minutes.

The kernel is downloaded with apt-get.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.parts.machine.test_snapshot import until, whole

from tanken.base.errors import TankenError
from tanken.cli import debian
from tanken.machine.console import Memory
from tanken.machine.initrd import SHELL, busybox
from tanken.machine.pc import Pc
from tanken.machine.snapshot import load

boots = pytest.mark.skipif("TANKEN_BOOT" not in os.environ, reason="a boot takes minutes: TANKEN_BOOT=1 runs it")
PROMPT = b"/ # \x1b[6n"


def image_and_initrd(folder: Path, then: str = SHELL, with_modules: bool = False) -> dict[str, Any]:
    try:
        image = debian.kernel()
        (folder / "initrd").write_bytes(busybox(then=then, modules=debian.modules(image) if with_modules else None))
    except TankenError as error:
        pytest.skip(str(error))
    return {"kernel": str(image), "initrd": str(folder / "initrd"), "append": debian.APPEND, "cpu": "own"}


class Shell(Memory):
    """Does the next thing when the shell prompts: types a line, or calls what is there."""

    def __init__(self, *doings: str | Callable[[], None]) -> None:
        super().__init__()
        self.doings = list(doings)

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.output.endswith(PROMPT) and self.doings:
            doing = self.doings.pop(0)
            if isinstance(doing, str):
                self.type(doing.encode() + b"\r")
            else:
                doing()


@boots
@pytest.mark.parametrize("protocol", ["linux", "pvh"])
def test_debian_boots_to_a_shell_and_turns_itself_off(protocol: str, tmp_path: Path) -> None:
    far = Shell("uname -a", "cat /proc/interrupts", "sleep 1; echo slept", "poweroff -f")
    ended = Pc(far=far, protocol=protocol, **image_and_initrd(tmp_path)).run()
    text = far.output.decode(errors="replace")
    assert ended.reason == "power-off", text[-2000:]
    assert re.search(r"Linux .*6\.\d+.*x86_64 GNU/Linux", text) and "slept" in text
    assert re.search(r"4: +\d+ +IO-APIC +4-edge +ttyS0", text) and "kvm-clock" in text


@boots
@pytest.mark.parametrize("clock", ["instructions", "real"])
def test_the_recommended_parameters_leave_few_exits(clock: str, tmp_path: Path) -> None:
    settings = image_and_initrd(tmp_path, "poweroff -f") | {"append": debian.FEWEST}
    machine = Pc(far=Memory(), protocol="pvh", rtc=False, i8042=False, clock=clock, **settings)
    assert machine.run().reason == "power-off" and machine.exits <= 2500, machine.exits


@boots
@pytest.mark.parametrize(("size", "least"), [("72M", 20), ("4G", 3800), ("6G", 5800)])
def test_debian_has_the_memory_that_it_was_given(size: str, least: int, tmp_path: Path) -> None:
    far = Shell("free -m", "poweroff -f")
    ended = Pc(far=far, memory=size, **image_and_initrd(tmp_path)).run()
    found = re.search(r"Mem: +(\d+)", far.output.decode(errors="replace"))
    assert ended.reason == "power-off" and found is not None and least < int(found[1])


@boots
def test_a_resumed_boot_is_the_uninterrupted_one(tmp_path: Path) -> None:
    settings = image_and_initrd(tmp_path, "poweroff -f") | {"append": debian.APPEND + " nokaslr", "clock": "instructions", "protocol": "pvh"}
    machine = Pc(far=Memory(), **settings)
    assert machine.run().reason == "power-off"
    wanted = whole(machine)
    machine.vcpu.close()
    del machine
    until(Pc(far=Memory(), **settings), 220_000_000).save(tmp_path / "snapshot")
    resumed = Pc.resumed(load(tmp_path / "snapshot"), far=Memory())
    assert resumed.run().reason == "power-off" and whole(resumed) == wanted


@boots
def test_the_power_button_is_a_device_that_debian_hears(tmp_path: Path) -> None:
    far = Shell("cat /sys/bus/acpi/devices/PNP0C0C:00/path")
    machine = Pc(far=far, **image_and_initrd(tmp_path, with_modules=True))
    far.doings.append(machine.power_button)
    ended, text = machine.run(), far.output.decode(errors="replace")
    assert ended.reason == "power-off" and "Power Button [PWRB]" in text and "\\_SB_.PWRB" in text, text[-2000:]


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
