"""Debian's cloud kernel with a busybox initrd, in a machine of its own: `python -m tanken.cli.debian`, which `make boot` runs.

The package is downloaded with apt-get and kept in the cache; where it cannot be had, the guest that comes with tanken is booted, and it is said.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tanken.base.cache import root
from tanken.base.errors import TankenError, UnsupportedError
from tanken.machine.initrd import busybox

META = "linux-image-cloud-amd64"
APPEND = "console=ttyS0 8250.nr_uarts=1 i8042.noaux cryptomgr.notests random.trust_cpu=on"


def kernel() -> Path:
    """The kernel's file; raises UnsupportedError where it cannot be had."""
    try:
        shown = subprocess.run(["apt-cache", "depends", META], capture_output=True, text=True, check=True).stdout
        package: str | None = next(iter(re.findall(r"Depends: (linux-image-\S+)", shown)), None)
        if package is None:
            raise UnsupportedError(f"apt-cache knows no {META}", wanted="Debian's package lists", hint="apt-get update")
        kept: Path = root() / "kernels" / package.replace("linux-image-", "vmlinuz-")
        if not kept.exists():
            _download(package, kept)
        return kept
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        last = (said.strip().splitlines() or [str(error)])[-1]
        raise UnsupportedError(f"the package of Debian's kernel cannot be had: {last}", wanted="apt-get on Debian") from error


def _download(package: str, kept: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["apt-get", "-qq", "download", package], cwd=work, check=True, capture_output=True, text=True)
        (archive,) = Path(work).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", str(archive), f"{work}/x"], check=True, capture_output=True, text=True)
        (image,) = Path(work).glob("x/boot/vmlinuz-*")
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part")
        part.write_bytes(image.read_bytes())
        part.rename(kept)


def main(words: list[str]) -> int:
    """Boot it; `words` are further options of `tanken run`."""
    from tanken.cli.main import main as command

    try:
        image = kernel()  # makes the folder
        initrd = root() / "kernels" / "busybox.cpio.gz"
        initrd.write_bytes(busybox())
    except TankenError as error:
        print(f"boot: {error}; booting the guest that comes with tanken", file=sys.stderr)
        return command(["run", *words])
    print(f"boot: {image.name} with busybox; Ctrl-A x ends it", file=sys.stderr)
    return command(["run", *words, "--initrd", str(initrd), "--append", APPEND, str(image)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
