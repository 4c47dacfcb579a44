"""Debian's cloud kernel with a busybox initrd, in a machine of its own: `python -m tanken.cli.debian`, which `make run` runs.

The package is downloaded with apt-get and kept in the cache; where it cannot be had, the guest that comes with tanken is booted, and it is said.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tanken.base.cache import root
from tanken.base.errors import TankenError, UnsupportedError
from tanken.base.progress import Event, Progress, silent, to
from tanken.cli import boot
from tanken.cli.main import Parser, guarded
from tanken.machine.console import Prompted
from tanken.machine.initrd import busybox

NAME = "make run"
META = "linux-image-cloud-amd64"
APPEND = "console=ttyS0 8250.nr_uarts=1 i8042.noaux cryptomgr.notests random.trust_cpu=on"
# Fewest exits (docs/machine.md): with [devices] rtc = false, i8042 = false.
FEWEST = "console=ttyS0 quiet loglevel=0 8250.nr_uarts=1 i8042.noprobe=1 i8042.noaux cryptomgr.notests random.trust_cpu=on pci=off nokaslr"
MODULES = {"button": "drivers/acpi/button.ko", "evdev": "drivers/input/evdev.ko"}  # what the power button needs of a guest


def kernel(tell: Progress = silent) -> Path:
    """The kernel's file; raises UnsupportedError where it cannot be had."""
    try:
        package = _package()
        kept: Path = root() / "kernels" / package.replace("linux-image-", "vmlinuz-")
        if not kept.exists() or not _modules(kept).exists():
            _download(package, kept, tell)
        return kept
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        last = (said.strip().splitlines() or [str(error)])[-1]
        raise UnsupportedError(f"the package of Debian's kernel cannot be had: {last}", wanted="apt-get on Debian") from error


def modules(image: Path) -> dict[str, bytes]:
    """Those of MODULES that came with the kernel."""
    return {name: path.read_bytes() for name in MODULES if (path := _modules(image) / f"{name}.ko").exists()}


def _modules(image: Path) -> Path:
    return image.with_name(image.name.replace("vmlinuz-", "modules-"))


def _run(*words: str, folder: str | None = None) -> str:
    return subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True).stdout


def _package() -> str:
    """The package that the meta package stands for now; root without package lists gets them first."""
    for attempt in (1, 2):
        shown = subprocess.run(["apt-cache", "depends", META], capture_output=True, text=True).stdout
        found = re.findall(r"Depends: (linux-image-\S+)", shown)
        if found:
            return str(found[0])
        if attempt == 1 and os.geteuid() == 0:
            _run("apt-get", "-qq", "update")
    raise UnsupportedError(f"apt-cache knows no {META}", wanted="Debian's package lists", hint="apt-get update")


def _download(package: str, kept: Path, tell: Progress) -> None:
    job = f"fetching {package}"
    with tempfile.TemporaryDirectory() as work:
        size = re.search(r"^Size: (\d+)", _run("apt-cache", "show", package), re.MULTILINE)
        total = int(size[1]) if size else 0
        print(f"{NAME}: {job}, {total / 1e6:.0f} MB", file=sys.stderr, flush=True)
        with subprocess.Popen(["apt-get", "-qq", "download", package], cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as fetch:
            try:
                while fetch.poll() is None:
                    done = sum(path.stat().st_size for path in Path(work).iterdir())
                    tell(Event(job, min(done, total - 1) if total else 0, total, f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"))
                    time.sleep(0.2)
            except BaseException:
                fetch.terminate()
                raise
            said = fetch.stderr.read() if fetch.stderr else ""
        if fetch.returncode:
            raise subprocess.CalledProcessError(fetch.returncode, "apt-get", stderr=said)
        (archive,) = Path(work).glob("*.deb")
        _run("dpkg-deb", "-x", str(archive), "x", folder=work)
        tell(Event(job, 1, 1, f"{archive.stat().st_size / 1e6:.0f} MB, unpacked"))
        _keep(Path(work, "x"), kept)


def _keep(unpacked: Path, kept: Path) -> None:
    """Whole or not at all, and the kernel behind its modules."""
    (image,) = unpacked.glob("boot/vmlinuz-*")
    folder = _modules(kept)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as part:
        for name, path in MODULES.items():
            for found in unpacked.glob(f"lib/modules/*/kernel/{path}"):
                shutil.copyfile(found, f"{part}/{name}.ko")
        shutil.copytree(part, folder, dirs_exist_ok=True)
        shutil.copyfile(image, f"{part}/image")
        os.replace(f"{part}/image", kept)


def _boot(words: list[str]) -> int:
    parser = Parser(prog=NAME, description="Boots Debian's cloud kernel to a busybox shell.")
    boot.arguments(parser)
    options = parser.parse_args(words)
    types = not sys.stdin or not sys.stdin.isatty()  # a pipe, a file, or closed: lines for the shell, whose end turns the machine off
    try:
        image = kernel(to(sys.stderr))  # makes the folder
        initrd = root() / "kernels" / "busybox.cpio.gz"
        initrd.write_bytes(busybox(modules=modules(image)))
    except TankenError as error:
        print(f"{NAME}: {error}; booting the guest that comes with tanken", file=sys.stderr)
        return boot.run(options, "", [], Prompted(b"> ", b"off\r") if types else None)
    print(f"{NAME}: {image.name} with busybox, on {options.cpu or 'our own'} processor; Ctrl-A x ends it, Ctrl-A p presses its power button", file=sys.stderr)
    options.initrd, options.append = options.initrd or str(initrd), options.append or APPEND
    return boot.run(options, str(image), [], Prompted(b"/ # \x1b[6n", b"exit\r") if types else None)


def main(words: list[str]) -> int:
    """Boot it; `words` are further options of `tanken run`."""
    return guarded(NAME, _boot, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
