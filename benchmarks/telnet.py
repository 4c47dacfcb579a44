"""Speed of TELNET sessions and of the ciphers of ENCRYPT: tanken and telnetlib3 side by side, and a raw asyncio stream as the ceiling.

`python -m benchmarks.telnet [MB]`; server and client are processes of their own on loopback, the best of three; the seconds are wall time, since two
processes share the work, and the processor time of the slower process stands beside them. The ciphers are timed in one process, by processor time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import telnetlib3

from tanken import telnet
from tanken.telnet import codes, schedule
from tanken.telnet.feedback import Feedback

PIECE = 1 << 18
ROUNDS = 3
BACKLOG = 1024
LINE = b"The quick brown fox jumps over the lazy dog and runs away, many times over.\r\n"


def pattern(kind: str) -> bytes:
    """A piece of text, of octets without 255, or of octets of which 6 % are doubled 255 on the wire."""
    if kind == "text":
        return (LINE * (PIECE // len(LINE) + 1))[:PIECE]
    octets = bytearray(random.Random(1).randbytes(PIECE).replace(b"\xff", b"a"))
    if kind == "dense":
        octets[::33] = b"\xff" * len(octets[::33])  # one in 33, two of 34 on the wire
    return bytes(octets)


# servers; each is a process that tells its port


def tanken_server(kind: str, count: int, ports: Any) -> None:
    async def bulk(session: telnet.Session) -> None:
        piece = pattern(kind)
        await session.learn(0.2)
        for _ in range(count):
            await session.write(piece)

    async def main() -> None:
        server = await telnet.serve(bulk, ask_us=(codes.BINARY, codes.SGA))
        ports.put(server.port)
        await server.forever()

    asyncio.run(main())


def telnetlib3_server(kind: str, count: int, ports: Any) -> None:
    async def shell(reader: Any, writer: Any) -> None:
        piece = pattern(kind)
        for _ in range(count):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def main() -> None:
        server = await telnetlib3.create_server("127.0.0.1", 0, shell=shell, encoding=False, connect_maxwait=0.5)
        ports.put(server.sockets[0].getsockname()[1])
        await asyncio.sleep(3600)

    asyncio.run(main())


def raw_server(kind: str, count: int, ports: Any) -> None:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        piece = pattern(kind)
        for _ in range(count):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(one, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


# clients; each gives the number of octets of data that it got


async def tanken_client(port: int) -> int:
    total = 0
    async with telnet.connect("127.0.0.1", port, ask_us=(codes.NAWS, codes.TTYPE), ask_him=(codes.BINARY, codes.SGA)) as session:
        while piece := await session.read(1 << 20):
            total += len(piece)
        assert session.machine.on(codes.BINARY, "him")
    return total


async def telnetlib3_client(port: int) -> int:
    total = 0
    reader, writer = await telnetlib3.open_connection("127.0.0.1", port, encoding=False, connect_minwait=0.05)
    while piece := await reader.read(1 << 20):
        total += len(piece)
    writer.close()
    return total


async def raw_client(port: int) -> int:
    total = 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while piece := await reader.read(1 << 20):
        total += len(piece)
    writer.close()
    return total


def cpu_of(pid: int) -> float:
    """Processor seconds of a process so far (proc(5), stat)."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def transfer(server: Callable[[str, int, Any], None], client: Callable[[int], Awaitable[int]], kind: str, megabytes: int) -> tuple[float, float]:
    """MB/s of wall time, and of the processor time of the slower of the two processes, which is what an idle machine of two cores gives."""
    ports: Any = multiprocessing.Queue()
    process = multiprocessing.Process(target=server, args=(kind, megabytes * 10**6 // PIECE, ports), daemon=True)
    process.start()
    port = ports.get(timeout=30)
    best = (0.0, 0.0)
    for _ in range(ROUNDS):
        begun, used, theirs = time.perf_counter(), time.process_time(), cpu_of(process.pid or 0)
        total = asyncio.run(_coroutine(client, port))
        wall, cpu = time.perf_counter() - begun, max(time.process_time() - used, cpu_of(process.pid or 0) - theirs)
        best = max(best[0], total / wall / 1e6), max(best[1], total / cpu / 1e6)
    process.kill()
    process.join()
    return best


async def _coroutine(client: Callable[[int], Awaitable[int]], port: int) -> int:
    return await client(port)


# connections: a raw peer refuses TTYPE at once and closes, as the rival was measured


def tanken_accepting(ports: Any) -> None:
    async def nothing(session: telnet.Session) -> None:
        return

    async def main() -> None:
        server = await telnet.serve(nothing, ask_him=(codes.TTYPE,))
        ports.put(server.port)
        await server.forever()

    asyncio.run(main())


def telnetlib3_accepting(ports: Any) -> None:
    async def shell(reader: Any, writer: Any) -> None:
        writer.close()

    async def main() -> None:
        server = await telnetlib3.create_server("127.0.0.1", 0, shell=shell, connect_maxwait=0.5)
        with socket.socket(fileno=os.dup(server.sockets[0].fileno())) as listening:
            listening.listen(BACKLOG)  # as ours has: else connections at a time would wait for SYNs sent again
        ports.put(server.sockets[0].getsockname()[1])
        await asyncio.sleep(3600)

    asyncio.run(main())


def raw_accepting(ports: Any) -> None:
    class Asking(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(bytes((codes.IAC, codes.DO, codes.TTYPE)))
            transport.write_eof()

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Asking, "127.0.0.1", 0, backlog=BACKLOG)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def refuse(port: int, together: int) -> None:
    """Opens connections, refuses TTYPE on each, waits for the end of each; plain sockets, so that the peer costs little."""
    peers = [socket.create_connection(("127.0.0.1", port)) for _ in range(together)]
    for step in (lambda peer: peer.sendall(bytes((codes.IAC, codes.WONT, codes.TTYPE))), _to_the_end):
        for peer in peers:
            try:
                step(peer)
            except ConnectionError:
                pass
    for peer in peers:
        peer.close()


def _to_the_end(peer: socket.socket) -> None:
    while peer.recv(4096):
        pass


def rate(server: Callable[[Any], None], together: int, total: int) -> tuple[float, float]:
    """Connections opened and closed, `together` at a time: a second, and a second of the server's processor time."""
    ports: Any = multiprocessing.Queue()
    process = multiprocessing.Process(target=server, args=(ports,), daemon=True)
    process.start()
    port = ports.get(timeout=30)

    best = (0.0, 0.0)
    for _ in range(ROUNDS):
        used, begun = cpu_of(process.pid or 0), time.perf_counter()
        for _ in range(total // together):
            refuse(port, together)
        wall = time.perf_counter() - begun
        best = max(best[0], total / wall), max(best[1], total / max(cpu_of(process.pid or 0) - used, 0.01))
    process.kill()
    process.join()
    return best


def cipher_rates() -> list[tuple[str, float, float]]:
    """MB/s of encryption and decryption, processor time."""
    data = os.urandom(8 << 20)
    key = os.urandom(24)
    rows = []
    triple = schedule.triple_keys(key[:8], key[8:16], key[16:])
    for name, family, keys in (("DES", "des", schedule.des_keys(key[:8])), ("3DES", "des", triple), ("CAST-128", "cast", schedule.cast_keys(key[:16]))):
        for mode in ("cfb", "ofb"):
            speeds = []
            for way in ("encrypt", "decrypt"):
                cipher = Feedback(family, mode, keys, bytes(8))
                getattr(cipher, way)(data[: 1 << 16])
                best = 9e9
                for _ in range(ROUNDS):
                    begun = time.process_time()
                    getattr(cipher, way)(data)
                    best = min(best, time.process_time() - begun)
                speeds.append(len(data) / best / 1e6)
            rows.append((f"{name}-{mode.upper()}64", speeds[0], speeds[1]))
    return rows


def main() -> int:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f"{megabytes} MB from server to client, negotiated, MB/s: wall time, processor time of the slower process")
    for kind in ("text", "octets", "dense"):
        ours = transfer(tanken_server, tanken_client, kind, megabytes)
        raw = transfer(raw_server, raw_client, kind, megabytes)
        rival = transfer(telnetlib3_server, telnetlib3_client, kind, max(4, megabytes // 40))
        rows = (("tanken", ours), ("telnetlib3", rival), ("raw asyncio", raw))
        print(f"{kind:8}" + "".join(f" {name} {wall:.1f} {cpu:.1f}  " for name, (wall, cpu) in rows) + f" {ours[1] / rival[1]:.1f} x telnetlib3", flush=True)
    print("connections opened and closed by a peer that refuses TTYPE: a second, a second of the server's processor time")
    for together, total in ((1, 2000), (400, 2000)):
        ours, rival, raw = (rate(server, together, total) for server in (tanken_accepting, telnetlib3_accepting, raw_accepting))
        rows = (("tanken", ours), ("telnetlib3", rival), ("raw asyncio", raw))
        print(f"{together:4} at a time" + "".join(f"   {name} {wall:.0f} {cpu:.0f}" for name, (wall, cpu) in rows) + f"   {ours[0] / rival[0]:.1f} x telnetlib3", flush=True)
    print("ciphers, MB/s of processor time: encryption, decryption")
    for name, encryption, decryption in cipher_rates():
        print(f"{name:16} {encryption:8.1f} {decryption:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
