"""`tanken run KERNEL`: boots a kernel, or a machine that a TOML file describes, or with no KERNEL the guest that comes with tanken.

Exit status 0 when the guest turned itself off, reset itself, or the user ended it (Ctrl-A x); 1 when it crashed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tanken.base import progress
from tanken.base.errors import InputError, TankenError, UsageError
from tanken.base.kinds import Thing
from tanken.base.progress import Event, Progress

if TYPE_CHECKING:
    from tanken.machine.console import Far
    from tanken.machine.pc import Pc
    from tanken.machine.snapshot import Snapshot

SETTINGS = ("memory", "cpu", "clock", "initrd", "append", "protocol", "console")
FAR = 8 << 30  # as far as the translator knows pages of code
MORE = ("exits", "snapshot", "until")  # that are no settings of the machine's


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of machines; they may stand before or behind KERNEL."""
    group = parser.add_argument_group("machines", "for KERNEL (a bzImage, or an ELF file with a PVH entry), a .toml file, a snapshot, or nothing: the guest that comes with tanken")
    group.add_argument("--initrd", metavar="FILE", help="the initial RAM disk")
    group.add_argument("--append", metavar="TEXT", help="the kernel's command line")
    group.add_argument("--memory", metavar="SIZE", help="256M by default")
    group.add_argument("--cpu", metavar="NAME", help="auto, kvm or own")
    group.add_argument("--clock", metavar="NAME", help="real, or instructions: a run repeats exactly (own processor)")
    group.add_argument("--protocol", metavar="NAME", help="auto, linux (64-bit entry) or pvh")
    group.add_argument("--console", metavar="WHERE",  # fmt: skip
                       help="stdio (Ctrl-A x ends the machine, p presses its power button, s takes a snapshot), tcp:PORT, or telnet:PORT[,users=FILE...]")
    group.add_argument("--snapshot", metavar="FILE", help="write the whole machine there at --until, and whenever Ctrl-A s is typed; `tanken run FILE` goes on from it")
    group.add_argument("--until", metavar="SECONDS", type=_seconds, help="end when the machine's clock reads so much")
    group.add_argument("--exits", metavar="FILE", help="write every exit, one object a line")
    group.add_argument("--exit-report", action="store_true", help="at the end, exits by device, register and function, with advice (to standard error)")


def is_bootable(thing: Thing) -> bool:
    """Whether `tanken run` is to boot it rather than run it as a program."""
    if thing.kind.name in ("kernel", "snapshot") or thing.name.endswith(".toml"):
        return True
    if thing.kind.name != "elf":
        return False
    from tanken import elf
    from tanken.machine.boot.note import entry

    try:
        return entry(elf.read(thing.data, thing.name)) is not None
    except InputError:
        return False


def asks_for_machine(options: argparse.Namespace, thing: Thing) -> bool:
    """Whether an option was given that only a machine has; behind what is a program it would be the program's, and a program has a console too."""
    if any(getattr(options, name) is not None for name in (*SETTINGS, *MORE) if name != "console") or options.exit_report:
        return True
    names = {f"--{name}" for name in (*SETTINGS, *MORE, "exit-report")}
    program = thing.kind.name == "elf" or thing.data[:2] == b"#!"
    return not program and (options.console is not None or any(word.partition("=")[0] in names for word in options.words))


def run(options: argparse.Namespace, kernel: str, words: list[str], far: Far | None = None) -> int:
    """Boot it; `words` are what stood behind KERNEL; `far` is the far end of the serial line where no option names one."""
    parser = argparse.ArgumentParser(prog="tanken run", add_help=False)
    parser.error = _refuse  # type: ignore[method-assign]
    arguments(parser)
    parser.parse_args(words, namespace=options)
    given = {name: getattr(options, name) for name in SETTINGS if getattr(options, name) is not None}
    from tanken.machine.console import Tcp
    from tanken.machine.description import Description, parse
    from tanken.machine.pc import Pc

    settings: dict[str, Any] = {"kernel": kernel, "where": kernel}
    resumed = _resumed(kernel, given) if kernel else None
    if kernel.endswith(".toml"):
        try:
            with open(kernel, encoding="utf-8") as file:
                settings = {"where": kernel, **parse(file.read(), kernel)}
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(getattr(error, "strerror", None) or str(error), where=kernel) from error
    settings |= given
    if options.snapshot is not None and settings.get("cpu", "auto") == "auto":
        settings["cpu"] = "own"  # KVM's state cannot be taken whole
    if str(settings.get("console", "")).startswith("telnet:"):
        from tanken.cli.console import telnet_line

        far = telnet_line(settings.pop("console"))
    elif "console" in settings:
        far = None
    if options.exits is not None:
        from tanken.machine.report import opened

        opened(options.exits).close()  # told before anything is made
    if resumed is not None:
        machine = Pc.resumed(resumed, far=far, tell=_telling(), **({"console": settings["console"]} if "console" in settings else {}))
    else:
        machine = Pc(Description(**settings), far=far, tell=_telling())
    if isinstance(machine.console, Tcp):
        print(f"tanken run: the console is at 127.0.0.1, port {machine.console.port}", file=sys.stderr, flush=True)
    if machine.vcpu.kind == "own" and machine.memory.regions[-1].end > FAR:
        print(f"tanken run: memory beyond {FAR >> 30} GiB of addresses is very slow on our own processor", file=sys.stderr, flush=True)
    try:
        return _run(machine, options)
    finally:
        machine.vcpu.close()  # keeps what was compiled for the next run


def _seconds(text: str) -> int:
    """Nanoseconds of a time in seconds."""
    try:
        value = float(text)
        if 0 <= value < 1e9:
            return int(value * 1_000_000_000)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r}; wanted seconds of the machine's clock, such as 2.5")


def _resumed(name: str, given: dict[str, Any]) -> Snapshot | None:
    """What the file holds, if it is a snapshot."""
    from tanken.machine.snapshot import MAGIC, load

    try:
        with open(name, "rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return None
    except OSError:
        return None  # told by whoever boots it
    if other := sorted(set(given) - {"console"}):
        raise UsageError(f"--{other[0]} with a snapshot, which has its own", where=name, wanted="--console, --exits, --exit-report, --snapshot or --until")
    return load(name)


def _arrange(machine: Pc, options: argparse.Namespace) -> None:
    """Have snapshots taken, and the machine ended, when the user said."""
    from tanken.machine.loop import Ended
    from tanken.machine.snapshot import take

    def write() -> bool:
        try:
            snapshot = take(machine)
            snapshot.save(options.snapshot)
        except TankenError as error:
            print(f"tanken run: {error}", file=sys.stderr, end="\r\n")
            return False
        print(f"tanken run: {options.snapshot}: {snapshot!r}", file=sys.stderr, end="\r\n")
        return True

    def finish() -> None:
        if options.snapshot is None or write():
            machine.stop()
        else:
            machine.end(Ended("snapshot", "no snapshot was written"))

    def ask(what: Callable[[], object]) -> None:
        machine.taking = what
        machine.wake()

    missing = "tanken run: no --snapshot FILE was given\r"
    machine.console.commands["s"] = (lambda: ask(write)) if options.snapshot is not None else lambda: print(missing, file=sys.stderr)
    if options.until is not None:
        machine.clock.timer("until", lambda: ask(finish)).arm(options.until)


def _telling() -> Progress:
    """Progress on standard error, that says at once what is being made and why."""
    draw, begun = progress.to(sys.stderr), False

    def tell(event: Event) -> None:
        nonlocal begun
        if not begun:
            print(f"tanken run: {event.job}, once: half a minute of two idle cores; `tanken warm machines` does it ahead of time", file=sys.stderr, flush=True)
        begun = True
        draw(event)

    return tell


def _refuse(message: str) -> Any:
    raise UsageError(message, hint="tanken run --help")


def _run(machine: Pc, options: argparse.Namespace) -> int:
    from tanken.machine.crash import describe
    from tanken.machine.report import Recorder

    _arrange(machine, options)
    with Recorder.attached(machine, options.exits, options.exit_report) as recorder:
        ended = machine.run()
    if options.exit_report:
        print(recorder.text(), file=sys.stderr)
    if ended.status:
        print(f"tanken run: {ended.reason}: {ended.text}", file=sys.stderr)
        if ended.reason in ("triple-fault", "failure"):
            print(describe(machine), file=sys.stderr)
    elif ended.text:
        print(f"tanken run: {ended.text}", file=sys.stderr)
    return ended.status
