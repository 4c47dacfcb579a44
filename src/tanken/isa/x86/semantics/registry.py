"""The register of semantic functions by mnemonic; each family enters its own when it is imported."""

from __future__ import annotations

from collections.abc import Callable

from tanken.isa.x86.semantics.execution import Execution

Semantic = Callable[[Execution], None]
SEMANTICS: dict[str, Semantic] = {}


def semantic(*mnemonics: str) -> Callable[[Semantic], Semantic]:
    """Enter the function under these mnemonics."""

    def enter(function: Semantic) -> Semantic:
        for mnemonic in mnemonics:
            assert mnemonic not in SEMANTICS, f"{mnemonic} twice"
            SEMANTICS[mnemonic] = function
        return function

    return enter
