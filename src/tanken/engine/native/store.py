"""What the native engine keeps from run to run: the translator as an object, the runtime, and the stencils made so far.

A file of the user's own in the cache directory, named after the sources that it was made from; written whole, under another name first.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import struct
import tempfile
from array import array
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tanken
from tanken.base import cache, native
from tanken.engine.native import host as H
from tanken.engine.native.holes import Code, Relocation

if TYPE_CHECKING:
    from tanken.engine.native.hot import Compiled

SIGNATURES = {"find_block": "iIi", "link": "iIBiii", "answer": "iIIIBBB", "look_up": "iIi", "forget": "iIBii", "enter_key": "iIiiii"}
ENGINE = ("engine/native", "engine/graph.py", "engine/recorder.py", "engine/operations.py", "isa/architecture.py", "isa/exits.py")
# What runs stencils and is no part of them: runtime and regions, which are soon made again, are named after these too.
USERS = frozenset(f"{name}.py" for name in ("engine", "hook_body", "hook_table", "hooked", "host", "hot", "loops", "machinery", "paged_runtime", "region",
                                            "region_hooks", "runtime", "share", "space", "store", "system", "translated", "watch"))  # fmt: skip


class Store:
    """The parts of an engine that are made once; `kind` tells those of user programs and of whole processors apart."""

    signatures = SIGNATURES
    kind = ""

    def __init__(self, target: Any) -> None:
        self.target, self.N = target, target.tables
        self.folder = _folder()
        self.tag, self.stencil_tag = (self.kind + tag for tag in _tags(self.folder, target.sources))
        self.translator_tag = self.kind + _translator_hash(target, self.signatures)
        self._decoder = target.decoder_tables()
        self.decoder_at = self._decoder.buffer_info()[0]
        image, self._offsets = self._translator()
        self._area = H.DoubleArea(len(image))
        self._area.bytes[:] = image
        self.functions = {name: self._function(name) for name in self.signatures}
        self.runtime = self._runtime()

    def address(self, name: str) -> int:
        """Where a function of the translator is."""
        return self._area.run_at + self._offsets[name]

    def _function(self, name: str) -> Any:
        kinds = {"i": ctypes.c_int64, "I": ctypes.c_void_p, "B": ctypes.c_void_p}
        result, *arguments = (kinds[letter] for letter in self.signatures[name])
        return ctypes.CFUNCTYPE(result, *arguments)(self.address(name))

    # -- the translator

    def _translator(self) -> tuple[bytes, dict[str, int]]:
        path = self.folder / f"translator-{self.translator_tag}"
        with (self.folder / "translator.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # who comes second finds it made
            return self._make_translator(path)

    def _make_translator(self, path: Path) -> tuple[bytes, dict[str, int]]:
        try:
            data = path.read_bytes()
            (size,) = struct.unpack_from("<I", data)
            return data[4 + size :], json.loads(data[4 : 4 + size])
        except (OSError, ValueError, struct.error):
            pass
        name, *uses = self.target.translator
        module = native.twin(name, *uses)
        assert module is not None, "the caller asks native.available first"
        from tanken.engine.native.assemble import compile_image  # LLVM is loaded only for what is not there

        data, offsets = compile_image(*native.c_functions(module, self.signatures))
        head = json.dumps(offsets).encode()
        _write(path, struct.pack("<I", len(head)) + head + data)
        return data, offsets

    def _runtime(self) -> dict[str, Code]:
        path = self.folder / f"runtime-{self.tag}"
        try:
            found = json.loads(path.read_bytes())
            return {name: Code(bytes.fromhex(code), tuple(Relocation(*hole) for hole in holes)) for name, (code, holes) in found.items()}
        except (OSError, ValueError, TypeError):
            pass
        codes = self.assembled()
        text = {name: (code.code.hex(), [(h.offset, h.type, h.symbol, h.addend) for h in code.relocations]) for name, code in codes.items()}
        _write(path, json.dumps(text).encode())
        return codes

    def assembled(self) -> dict[str, Code]:
        """The runtime, made anew."""
        from tanken.engine.native import runtime

        N = self.N
        called = (N.LINK, N.STALE, N.OUT_OF_BUDGET, N.SLOW, N.PYTHON, N.HELD)
        return runtime.assembled(N.LAST_NATIVE, called, (N.DISPATCH, N.REGION), N.STRUCK, N.HELD, self.target.around())

    # -- stencils

    def _parts(self, tab: memoryview) -> list[tuple[int, int]]:
        """(first, count) of what is kept of the table."""
        N = self.N
        return [(N.STENCIL_COUNT, 4), (N.CONSTANTS, N.MOST_CONSTANTS), (N.FORMS, N.KEYS - N.FORMS), (N.KEYS, 4 * N.KEY_SLOTS),
                (N.STENCILS, tab[N.STENCIL_COUNT] * N.STENCIL_FIELDS), (N.HOLES, 4 * tab[N.HOLE_COUNT])]  # fmt: skip

    def load(self, tab: memoryview, blob: memoryview) -> None:
        """Put what was saved into an engine's tables; nothing where there is nothing, or it is damaged."""
        try:
            data = memoryview((self.folder / f"stencils-{self.stencil_tag}").read_bytes())
        except OSError:
            return
        if len(data) >= 36 and hashlib.sha256(data[32:]).digest() == data[:32]:
            self.unpack(data[32:], tab, blob)

    def unpack(self, data: memoryview, tab: memoryview, blob: memoryview) -> bool:
        """Put what was packed into an engine's tables; False where there is nothing."""
        if not data:
            return False
        words = data[: len(data) // 8 * 8].cast("q")
        N = self.N
        tab[N.STENCIL_COUNT : N.STENCIL_COUNT + 4] = words[:4]
        at = 0
        for first, count in self._parts(tab):
            tab[first : first + count] = words[at : at + count]
            at += count
        blob[: tab[N.BLOB_AT]] = data[8 * at : 8 * at + tab[N.BLOB_AT]]
        return True

    def packed(self, tab: memoryview, blob: memoryview) -> bytes:
        """An engine's stencils."""
        words = array("q")
        for first, count in self._parts(tab):
            words.frombytes(tab[first : first + count].tobytes())
        data = words.tobytes() + bytes(blob[: tab[self.N.BLOB_AT]])
        return data + bytes(-len(data) % 8)

    def save(self, tab: memoryview, blob: memoryview) -> None:
        """Keep an engine's stencils, unless more are kept already."""
        path = self.folder / f"stencils-{self.stencil_tag}"
        try:
            with path.open("rb") as file:
                file.seek(32)
                if struct.unpack("<q", file.read(8))[0] >= tab[self.N.STENCIL_COUNT]:
                    return
        except (OSError, struct.error):
            pass
        data = self.packed(tab, blob)
        with suppress(OSError):  # the folder is gone, or full: they are made again
            _write(path, hashlib.sha256(data).digest() + data)

    # -- regions

    def regions(self) -> list[Compiled]:
        """Those that were kept; none where the file is damaged."""
        from tanken.engine.native.hot import unpacked

        try:
            data = (self.folder / f"regions-{self.tag}").read_bytes()
            return unpacked(data[32:]) if hashlib.sha256(data[32:]).digest() == data[:32] else []
        except (OSError, ValueError, KeyError, struct.error):
            return []

    def keep_regions(self, made: list[Compiled]) -> None:
        """Add to those that are kept, newest first."""
        from tanken.engine.native.hot import MOST_KEPT

        new = {(region.head, region.ranges) for region in made}
        kept = made + [region for region in self.regions() if (region.head, region.ranges) not in new]
        data = b"".join(region.packed() for region in kept[:MOST_KEPT])
        with suppress(OSError):
            _write(self.folder / f"regions-{self.tag}", hashlib.sha256(data).digest() + data)


def translator_path(target: Any, store: type[Store] = Store) -> Path:
    """Where the translator of user programs, or of another store's, is kept, once it is made."""
    return _folder() / f"translator-{store.kind}{_translator_hash(target, store.signatures)}"


def _translator_hash(target: Any, signatures: dict[str, str]) -> str:
    """Of the modules that the translator is compiled from, of those whose numbers they use, and of how it is called."""
    root = Path(tanken.__file__).parent.parent
    paths = [root / f"{name.replace('.', '/')}.py" for name in (*target.translator, *target.numbers)]
    return _hash_files(paths, json.dumps(signatures, sort_keys=True))


def _folder() -> Path:
    """The cache directory; every file of ours in it is written whole, so that several processes may do so at once."""
    path = cache.engine_directory(native.library_version("numba"))
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return cache.writable(native.library_version("numba"))
    return path if cache.is_own(path) else cache.writable(native.library_version("numba"))


def _write(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(name, path)


def _tags(folder: Path, package: str) -> tuple[str, str]:
    """Hashes of all sources and of the libraries that make native code of them; of those alone that stencils are made from.

    Read again only where a file has another size or time than when that was done: all of them take as long as a small program.
    """
    sources, stencils = _sources(package)
    stamps = [(str(path), found.st_size, found.st_mtime_ns) for path in sources for found in (path.stat(),)]
    path = folder / f"tags-{hashlib.sha256(repr((native.library_version('llvmlite'), stamps)).encode()).hexdigest()[:16]}"
    with suppress(OSError, ValueError):
        first, second = path.read_text().split()
        return first, second
    tags = _hash_files(sources), _hash_files(stencils)
    with suppress(OSError):
        _write(path, " ".join(tags).encode())
    return tags


def _sources(package: str) -> tuple[list[Path], list[Path]]:
    root = Path(tanken.__file__).parent
    folder = root.parent / package.replace(".", "/")
    paths = sorted([*folder.rglob("*.py"), *folder.rglob("*.map")])
    for part in ENGINE:
        paths += sorted((root / part).rglob("*.py")) if (root / part).is_dir() else [root / part]
    users = root / ENGINE[0]
    return paths, [path for path in paths if path.parent != users or path.name not in USERS]


def _hash_files(paths: list[Path], more: str = "") -> str:
    digest = hashlib.sha256((native.library_version("llvmlite") + more).encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
