"""The one error family: a broken promise, told in one line that says what was met, what was wanted, where, what to do.

Guest faults, I/O exits and failed checksums are values and never come through here (design: "The narrow waists").
"""

from __future__ import annotations


class TankenError(Exception):
    """Base of all errors that tanken raises on purpose; `str()` is one line."""

    def __init__(self, met: str, *, wanted: str = "", where: str = "", hint: str = "") -> None:
        super().__init__(met)
        self.met = met
        self.wanted = wanted
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.met}" if self.where else self.met
        if self.wanted:
            text += f"; wanted {self.wanted}"
        if self.hint:
            text += f" ({self.hint})"
        return " ".join(text.split())


class InputError(TankenError, ValueError):
    """Foreign bytes or text that do not keep to their format."""


class UsageError(TankenError, ValueError):
    """A command, an argument or a configuration that makes no sense."""


class UnsupportedError(TankenError, NotImplementedError):
    """Something real that this version does not do yet, with the cite of what is missing."""


class InternalError(TankenError, RuntimeError):
    """Our own bug: a promise between two parts of tanken that did not hold."""
