"""The CFF fonts of this machine, as Debian's packages install them: one row for each CFF table that is not the same as another.

`PACKAGES` are those of the whole corpus; `make test` installs three of them.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path

from tanken.font.sfnt import directories

FOLDERS = ("/usr/share/fonts", "/usr/share/texmf/fonts/opentype")

# packages with CFF fonts, and a font that each has
PACKAGES = {"fonts-lmodern": "lmroman10-regular", "fonts-texgyre": "texgyretermes-regular", "fonts-texgyre-math": "texgyretermes-math", "fonts-stix": "STIX*",
            "fonts-linuxlibertine": "LinLibertine*", "fonts-cantarell": "Cantarell*", "fonts-ebgaramond": "EBGaramond*", "fonts-noto-cjk": "NotoSansCJK-Regular",
            "fonts-noto-cjk-extra": "NotoSansCJK-Light"}  # fmt: skip


def tell_missing() -> None:
    """Prints which packages of the whole corpus are not here, so that nobody takes a part for all."""
    absent = [package for package, font in PACKAGES.items() if not files(font)]
    if absent:
        print(f"not compared, for want of packages: {' '.join(absent)} (apt-get install {' '.join(absent)})", flush=True)


def files(pattern: str = "*") -> list[Path]:
    """All OpenType files and collections below the folders whose name fits `pattern`."""
    found = {path.resolve() for folder in FOLDERS for ending in (".otf", ".ttc", ".otc") for path in Path(folder).rglob(pattern + ending)}
    return sorted(found)


def tables(pattern: str = "*") -> Iterator[tuple[Path, int, bytes, int]]:
    """Path, number of the first face that has it, the CFF table, its offset."""
    seen: set[bytes] = set()
    for path in files(pattern):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for face, entries in enumerate(directories(data, str(path), [])):
                entry = entries.get("CFF ")
                if entry is None:
                    continue
                table = data[entry.offset : entry.offset + entry.length]
                digest = hashlib.sha256(table).digest()
                if digest not in seen:
                    seen.add(digest)
                    yield path, face, table, entry.offset
