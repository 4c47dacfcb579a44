"""How a session becomes secure: the phases TLS (START_TLS), authentication, encryption, open, and what happens when one of them fails.

RFC 2941, 2946 section 6, draft-altman-telnet-starttls-02. The policy is the profile's: `required` ends the session where `auto` goes on with a
warning, and nothing of the application is sent before the last phase.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tanken.telnet import codes as c
from tanken.telnet.events import Warning

if TYPE_CHECKING:
    from tanken.telnet.machine import Machine

PHASES = ("tls", "auth", "encrypt", "open")
BEFORE_SECURE = frozenset((c.START_TLS, c.AUTHENTICATION, c.ENCRYPT, c.BINARY, c.SGA, c.ECHO, c.NAWS, c.TIMING_MARK))


class Security:
    """Where one machine stands; `phase` is "" before the start."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.phase = ""
        self.pledged = False  # the authentication was made with USING_TELOPT: ENCRYPT must follow, or the session ends (RFC 2941 section 1)
        self._why = ""  # why there is no TLS

    def start(self) -> None:
        """The connection stands."""
        self.phase = PHASES[0]
        self._enter()

    def allows(self, option: int) -> bool:
        """Whether an option may be agreed to now: where security is required, only a few before it stands."""
        return self.phase == "open" or self.machine.profile.secure != "required" or option in BEFORE_SECURE

    @property
    def tls_possible(self) -> bool:
        """Whether TLS is wanted and does not stand yet."""
        profile = self.machine.profile
        return profile.tls is not None and profile.secure != "off" and "tls" in profile.means and self.machine.tls is None

    def settled(self, phase: str) -> None:
        """A phase has ended well."""
        if phase == self.phase:
            self.phase = PHASES[PHASES.index(phase) + 1]
            self._enter()

    def failed(self, reason: str, fatal: bool = False) -> None:
        """The present phase has failed: go on without it, or end, as the profile says."""
        if fatal:
            self.machine.close(reason)
        elif self.phase == "tls":
            self._why = reason  # AUTHENTICATION may still bring TLS, or a key
            self.settled("tls")
        elif self.phase == "auth":
            self._unauthenticated(reason)
        elif self.phase == "encrypt":
            self._clear(reason)

    def expire(self) -> None:
        """The other side took too long."""
        if self.phase not in ("", "open"):
            self.failed("no answer in time")

    def _enter(self) -> None:
        machine, profile = self.machine, self.machine.profile
        if self.phase == "tls":
            if self.tls_possible:
                machine.want(c.START_TLS, "us" if machine.client else "him")
            else:
                self.settled("tls")
        elif self.phase == "auth":
            if self.tls_possible or (profile.user if machine.client else profile.authenticates):
                machine.want(c.AUTHENTICATION, "us" if machine.client else "him")
            else:
                self.settled("auth")
        elif self.phase == "encrypt":
            self._encrypt()
        elif self.phase == "open":
            machine.opened()

    def _encrypt(self) -> None:
        machine, profile = self.machine, self.machine.profile
        if machine.secure or profile.secure == "off":
            self.settled("encrypt")
        elif machine.session_key and "encrypt" in profile.means:
            machine.want(c.ENCRYPT, "us")
            machine.want(c.ENCRYPT, "him")
        elif profile.secure == "required":
            machine.close(f"encryption is required: {self._why or 'neither TLS nor a key of an authentication'}")
        else:
            if "tls" in profile.means and profile.tls is not None:
                machine.tell(Warning(f"the session is in clear text: {self._why or 'the other side offers no encryption'}"))
            self.settled("encrypt")

    def _unauthenticated(self, reason: str) -> None:
        machine, profile = self.machine, self.machine.profile
        if profile.authenticates and not machine.client:
            machine.close(f"authentication is required: {reason}")
        elif profile.user and profile.secure == "required":  # nothing else may vouch for the server: a man in the middle could have taken it out
            machine.close(f"authentication as {profile.user} is required: {reason}")
        else:
            if profile.user:
                machine.tell(Warning(f"no authentication: {reason}"))
            self.settled("auth")

    def _clear(self, reason: str) -> None:
        if self.machine.profile.secure == "required" or self.pledged:
            self.machine.close(f"encryption is {'required' if not self.pledged else 'part of the authentication that was agreed on'}: {reason}")
        else:
            self.machine.tell(Warning(f"the session is in clear text: {reason}"))
            self.settled("encrypt")
