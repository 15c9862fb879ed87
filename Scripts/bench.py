"""What the benchmarks share: servers on one core, the load on another, in turn; and what is said of the machine.

The load generator and the floor are those of shared/bench: wsload.c, and floor.c, which does the least that a server can do.
"""

import contextlib
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

from harness import BUILD, ROOT, Trouble, free_port, listening, running, wait_until

SERVER_CORE, LOAD_CORE = 0, 1
BENCH = ROOT.parent / "shared" / "bench"
TOOLS = BUILD / "bench"
ROUND_SECONDS = 120  # the longest a load may take, its connections' coming included

Server = namedtuple("Server", "name port pid")
Contender = namedtuple("Contender", "name server path")  # one column of a comparison: a path of a server
Work = namedtuple("Work", "mode connections bytes depth")  # `echo` or `fanout`, as wsload names them

ECHOES = [Work("echo", 100, 20, 1), Work("echo", 100, 16384, 1), Work("echo", 10, 20, 32)]
FANOUTS = [Work("fanout", 500, 100, 1), Work("fanout", 500, 100, 16)]


def title(work):
    if work.mode == "echo":
        return f"{work.connections} × {size(work.bytes)}, depth {work.depth}"
    return f"fan-out to {work.connections}, {size(work.bytes)}, depth {work.depth}"


def size(bytes):
    return f"{bytes // 1024} KiB" if bytes % 1024 == 0 else f"{bytes} B"


def add_options(parser):
    """The options that every benchmark has."""
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each server (default: 5)")
    parser.add_argument("--seconds", type=float, default=4, help="length of one measurement (default: 4)")
    parser.add_argument("--quick", action="store_true", help="one round of one second: does it run, not how fast")
    parser.add_argument("--bench", type=Path, default=BENCH, help="where floor.c and wsload.c are")


def parse(parser):
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds must be at least 1, and --seconds above 0")
    return options


def check_machine():
    """Refuses a machine on which the numbers would mean nothing, and allows as many open files as the system does."""
    if not shutil.which("taskset"):
        raise Trouble("needs `taskset` (Debian: apt-get install util-linux)")
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise Trouble(f"needs cores {SERVER_CORE} and {LOAD_CORE}: one for the server, one for the load")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    TOOLS.mkdir(parents=True, exist_ok=True)


def allowed_connections(wanted):
    """As many connections as wanted, or as the limit of open files lets a server have beside its own files."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200
    if most < wanted:
        print(f"{most} connections instead of {wanted}: the limit of open files (`ulimit -Hn`) allows no more", file=sys.stderr)
    return min(most, wanted)


def machine():
    """The processor, how many cores of it, and the kernel."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{found[1] if found else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"


# Programs


def compile_c(source, *libraries, compiler="cc", flags=("-O3",)):
    """Compiles a program of one file, unless that was done since the file last changed. Returns where it is."""
    built = TOOLS / source.stem
    if not source.exists():
        raise Trouble(f"{source} is not there; --bench names the folder that holds floor.c and wsload.c")
    if built.exists() and built.stat().st_mtime > source.stat().st_mtime:
        return built
    if not shutil.which(compiler):
        raise Trouble(f"needs {compiler} (Debian: apt-get install gcc g++ libc6-dev)")
    done = subprocess.run([compiler, *flags, "-o", built, source, *libraries], capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr, end="")
        lacks_openssl = "openssl" in done.stderr or "-lcrypto" in done.stderr
        advice = " OpenSSL's headers are missing (Debian: apt-get install libssl-dev)" if lacks_openssl else ""
        raise Trouble(f"{source} does not compile.{advice}")
    return built


def floor_command(folder):
    floor = compile_c(folder / "floor.c", "-lcrypto")
    return lambda port: [floor, port]


def duplex_command(binary, *flags):
    return lambda port: [binary, "serve", "--host", "127.0.0.1", "--port", port, "--threads", 1, *flags]


@contextlib.contextmanager
def serving(name, command):
    """A server on its own core for as long as the block lasts."""
    port, log = free_port(), TOOLS / f"{re.sub('[^A-Za-z0-9]+', '-', name)}.log"
    with running(["taskset", "-c", SERVER_CORE, *command(port)], log) as process:
        wait_until(lambda: listening(port), process, log, name)
        yield Server(name, port, process.pid)


# Loads


def medians(work, contenders, wsload, options):
    """The median of every contender's messages per second of server CPU time under one load, measured in turn."""
    seen = {contender.name: [] for contender in contenders}
    for turn in range(options.rounds):
        for contender in contenders:
            result = run_load(wsload, work.mode, contender, work.connections, work.bytes, work.depth, options.seconds, contender.server.pid)
            seen[contender.name].append(number_after("messages/server_cpu_s", result))
        print(f"{title(work)}, round {turn + 1}:", ", ".join(f"{name} {values[-1]:.0f}" for name, values in seen.items()), file=sys.stderr)
    return {name: statistics.median(values) for name, values in seen.items()}


def run_load(wsload, mode, contender, *arguments):
    """Runs the load generator on its own core and returns the line that it prints."""
    server = contender.server
    what = f"{mode} at {contender.path} of {server.name}"
    return run_client(what, wsload, mode, "127.0.0.1", server.port, contender.path, *arguments)


def run_client(what, *command, seconds=ROUND_SECONDS):
    """Runs a program on the core of the load, to its end. Returns what it printed."""
    try:
        done = subprocess.run(["taskset", "-c", str(LOAD_CORE), *map(str, command)], capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Trouble(f"{what} had no result after {seconds:g} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["(it printed nothing)"]
        raise Trouble(f"{what} failed: {said[0]}")
    return done.stdout


def number_after(name, line):
    """The number that follows a name in wsload's line."""
    if not (found := re.search(rf"{re.escape(name)} (-?[\d.]+)", line)):
        raise Trouble(f"wsload printed no {name!r}: {line.strip()}")
    return float(found[1])


# Tables


def table(head, rows):
    """The lines of a table in Markdown."""
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]


def put_into(path, marks, report):
    """Replaces what stands in a file between two lines."""
    text = path.read_text()
    start = text.find(marks[0])
    end = text.find(marks[1], start)
    if start < 0 or end < start:
        raise Trouble(f"{path} has no line {marks[0].strip()} followed by a line {marks[1].strip()} to put the table between")
    path.write_text(text[: start + len(marks[0])] + "\n" + report + "\n" + text[end:])
