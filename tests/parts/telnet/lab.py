"""Four network namespaces in a row, A - R1 - R2 - B, where A has no route to B: only a source route gets there.

To be run by `unshare -n -m python lab.py FOLDER ROUTE...`; writes a capture of each end's link into FOLDER and prints one JSON object.
Linux: net.ipv4.conf.*.accept_source_route, rp_filter and ip_forward (Documentation/networking/ip-sysctl.rst).
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

LINKS = (("A", "R1", "10.1.0"), ("R1", "R2", "10.2.0"), ("R2", "B", "10.3.0"))  # the left end is .1 on the routers' side: see addresses
PORT = 2323


def sh(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def build() -> None:
    """The namespaces; A is 10.1.0.2, R1 10.1.0.1 and 10.2.0.1, R2 10.2.0.2 and 10.3.0.1, B 10.3.0.2."""
    sh("mount", "--make-rprivate", "/")
    os.makedirs("/run/netns", exist_ok=True)
    sh("mount", "-t", "tmpfs", "none", "/run/netns")
    for name in ("A", "R1", "R2", "B"):
        sh("ip", "netns", "add", name)
    for left, right, net in LINKS:
        ends = (left.lower() + "0" if left == "A" else left.lower() + "r", right.lower() + "l")
        sh("ip", "link", "add", ends[0], "netns", left, "type", "veth", "peer", "name", ends[1], "netns", right)
        hosts = ("2", "1") if left == "A" else ("1", "2")
        for name, end, host in zip((left, right), ends, hosts, strict=True):
            sh("ip", "-n", name, "addr", "add", f"{net}.{host}/24", "dev", end)
            sh("ip", "-n", name, "link", "set", end, "up")
    for name in ("A", "R1", "R2", "B"):
        sh("ip", "-n", name, "link", "set", "lo", "up")
        settings = "for f in /proc/sys/net/ipv4/conf/*; do echo 1 > $f/accept_source_route; echo 0 > $f/rp_filter; done; echo 1 > /proc/sys/net/ipv4/ip_forward"
        sh("ip", "netns", "exec", name, "sh", "-c", settings)


def sniff(path: str, device: str) -> None:
    """Writes what passes a device into a pcap file until it is ended."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
    sock.bind((device, 0))
    with open(path, "wb", buffering=0) as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        print("listening", flush=True)
        while True:
            data = sock.recv(65535)
            now = time.time()
            file.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(data), len(data)) + data)


def main(folder: Path, routes: list[str]) -> None:
    build()
    environ = {**os.environ, "TANKEN_TELNET_PASSWORD": "secret"}
    tanken = [sys.executable, "-m", "tanken", "telnet"]
    subprocess.run([*tanken, "passwd", str(folder / "users"), "amy"], check=True, env=environ, capture_output=True)
    background = []
    for name, device in (("A", "a0"), ("B", "bl")):
        command = ["ip", "netns", "exec", name, sys.executable, __file__, "sniff", str(folder / f"{name}.pcap"), device]
        background.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    serve = [*tanken, "serve", str(PORT), "--host", "10.3.0.2", "--users", str(folder / "users"), "--encrypt", "required", "--", "cat"]
    background.append(subprocess.Popen(["ip", "netns", "exec", "B", *serve], stdout=subprocess.PIPE))
    try:
        for process in background:
            assert process.stdout is not None
            process.stdout.readline()
        results = []
        for route in routes:
            connect = [*tanken, "connect", route, str(PORT), "--user", "amy", "--encrypt", "required", "--wait", "0.3", "--timeout", "3"]
            result = subprocess.run(["ip", "netns", "exec", "A", *connect], input=b"along the route\n", env=environ, capture_output=True, timeout=60)
            results.append({"status": result.returncode, "out": result.stdout.decode(), "err": result.stderr.decode()})
        time.sleep(0.2)
        print(json.dumps(results))
    finally:
        for process in background:
            process.kill()


if __name__ == "__main__":
    if sys.argv[1] == "sniff":
        threading.Timer(120, lambda: os._exit(0)).start()
        sniff(sys.argv[2], sys.argv[3])
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
