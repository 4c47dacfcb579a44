"""A Kerberos realm of MIT krb5 on loopback for the tests: a KDC, a user with a ticket, a key table for host/localhost and the machine's name.

Tickets are kept small (no PAC), since inetutils' telnetd reads sub-negotiations of 512 octets at most.

Debian packages: krb5-kdc, krb5-user, krb5-admin-server.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")


class Realm:
    """Makes and starts it; `environ` is what programs and libraries need to find it."""

    def __init__(self, folder: Path) -> None:
        found = {name: shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin") for name in PROGRAMS}
        missing = [name for name, path in found.items() if path is None]
        if missing:
            pytest.skip(f"no {' '.join(missing)} on this machine (make test as root on Debian installs them)")
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        self.keytab = str(folder / "keytab")
        self.host = socket.gethostname().lower()  # inetutils' telnetd asks for the key of the machine's own name
        (folder / "krb5.conf").write_text(
            "[libdefaults]\ndefault_realm = TN.TEST\ndns_lookup_kdc = false\ndns_canonicalize_hostname = false\nrdns = false\n"
            f"default_ccache_name = FILE:{folder}/cache\ndefault_keytab_name = FILE:{folder}/keytab\n"
            f"[realms]\nTN.TEST = {{\nkdc = 127.0.0.1:{port}\n}}\n[domain_realm]\nlocalhost = TN.TEST\n{self.host} = TN.TEST\n"
        )
        (folder / "kdc.conf").write_text(
            f"[realms]\nTN.TEST = {{\ndatabase_name = {folder}/db\nkey_stash_file = {folder}/stash\nkdc_listen = 127.0.0.1:{port}\n"
            f"kdc_tcp_listen = 127.0.0.1:{port}\ndisable_pac = true\nacl_file = {folder}/acl\n}}\n"
        )
        self.environ = {"KRB5_CONFIG": str(folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(folder / "kdc.conf"), "KRB5_KTNAME": f"FILE:{self.keytab}",
                        "KRB5RCACHEDIR": str(folder), "KRB5CCNAME": f"FILE:{folder}/cache"}  # fmt: skip
        full = {**os.environ, **self.environ}

        def run(name: str, *words: str, stdin: bytes = b"") -> None:
            result = subprocess.run([str(found[name]), *words], env=full, input=stdin, capture_output=True, timeout=60)
            assert result.returncode == 0, result

        run("kdb5_util", "create", "-s", "-P", "master", "-r", "TN.TEST")
        for query in ("addprinc -pw secret amy", "addprinc -randkey host/localhost", f"ktadd -k {self.keytab} host/localhost",
                      f"addprinc -randkey host/{self.host}", f"ktadd -k {self.keytab} host/{self.host}"):  # fmt: skip
            run("kadmin.local", "-q", query)
        self.process = subprocess.Popen([str(found["krb5kdc"]), "-n", "-r", "TN.TEST"], env=full, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for attempt in range(50):
            try:
                run("kinit", "amy", stdin=b"secret\n")
                break
            except AssertionError:
                if attempt == 49:
                    raise
                time.sleep(0.1)

    def close(self) -> None:
        """Stops the KDC."""
        self.process.kill()
        self.process.wait()
