"""What Benchmarks/cluster measures: Redis, and nodes, all on one core; and how much of it and of memory they take.

A virtual machine's core may be half as fast for seconds, when somebody else has the other half of the physical one. So a loop is timed on it
before and after each measurement, and CPU times are told as they would be at one pace.
"""

import contextlib
import os
import re
import shutil
import socket
import statistics
import time
from pathlib import Path

from bench import LOAD_CORE, SERVER_CORE, TOOLS, Server, duplex_command, serving
from harness import Trouble, free_port, listening, running, wait_until


@contextlib.contextmanager
def redis():
    """A Redis that keeps nothing, for as long as the block lasts."""
    path = shutil.which("redis-server")
    if path is None:
        raise Trouble("redis-server is not installed: apt-get install redis-server")
    port, log = free_port(), TOOLS / "redis.log"
    command = ["taskset", "-c", SERVER_CORE, path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with running(command, log) as process:
        wait_until(lambda: listening(port), process, log, "Redis")
        yield Server("Redis", port, process.pid)


def duplex_nodes(stack, binary, count, store, *flags):
    """So many nodes over one Redis, or without any if there is none."""
    if store:
        flags = ["--redis", f"redis://127.0.0.1:{store.port}", *flags]
    return [stack.enter_context(serving(f"node-{number}", duplex_command(binary, *flags))) for number in range(count)]


def information(store, name):
    """A number that Redis tells of itself."""
    with socket.create_connection(("127.0.0.1", store.port), timeout=10) as connection:
        connection.sendall(b"INFO\r\n")
        answer = connection.recv(1 << 16)
        size, _, answer = answer.partition(b"\r\n")
        while len(answer) < int(size[1:]):
            answer += connection.recv(1 << 16)
    if not (found := re.search(rf"^{name}:(\d+)\r$", answer.decode(), re.MULTILINE)):
        raise Trouble(f"this Redis does not tell its {name}")
    return int(found[1])


def cpu(server):
    """The CPU seconds that a process's threads have had; to the nanosecond, where /proc/PID/stat counts hundredths."""
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in Path(f"/proc/{server.pid}/task").iterdir()) / 1e9


# What a message costs: CPU seconds of the node that says it, of each other one, and of Redis; and bytes that Redis reads and writes.
SECONDS, BYTES = ("first", "other", "redis"), ("bytes_in", "bytes_out")
paces = []  # all that were seen
usual = None  # the one that CPU times are told at: the median of those that were seen with the first part


def pace():
    """The CPU seconds that a loop takes on the servers' core."""
    os.sched_setaffinity(0, {SERVER_CORE})
    start, total = time.thread_time(), 0
    for number in range(300_000):
        total += number
    paces.append(time.thread_time() - start)
    os.sched_setaffinity(0, {LOAD_CORE})
    return paces[-1]


class Meter:
    """What nodes and Redis take from now on; without a Redis, those costs are None, and so are the others' of one node alone."""

    def __init__(self, nodes, store):
        self._nodes, self._store = nodes, store
        self._servers = [*nodes, *([store] if store else [])]
        self._pace = pace()
        self._before = self._counts()

    def _counts(self):
        counts = [cpu(server) for server in self._servers]
        return counts + [information(self._store, f"total_net_{way}put_bytes") for way in ("in", "out")] if self._store else counts

    def read(self, messages):
        """The costs of each of so many messages, once all work is done: a node's own clients hear what Redis does not have yet."""
        while max(self._busy()) > 0.002:
            pass
        spent = [(count - before) / messages for count, before in zip(self._counts(), self._before)]
        first, others, of_redis = spent[0], spent[1 : len(self._nodes)], spent[len(self._nodes) :]
        costs = [first, sum(others) / len(others) if others else None, *(of_redis or [None] * 3)]
        return {**dict(zip(SECONDS + BYTES, costs)), "pace": (self._pace + pace()) / 2}

    def _busy(self):
        """The CPU seconds that each process takes within a twentieth of a second."""
        before = [cpu(server) for server in self._servers]
        time.sleep(0.05)
        return [cpu(server) - earlier for server, earlier in zip(self._servers, before)]


def medians(rounds):
    """The medians of what Meter has read, at the usual pace."""
    global usual
    usual = usual or statistics.median(paces)

    def median(of):
        values = [one[of] * (usual / one["pace"] if of in SECONDS else 1) for one in rounds if one[of] is not None]
        return statistics.median(values) if values else None

    return {of: median(of) for of in SECONDS + BYTES}


def told(costs):
    """What Meter has read, for the one who waits."""
    return ", ".join(f"{costs[of] * 1e6:.1f}" for of in SECONDS if costs[of]) + f" µs at pace {costs['pace'] * 1e3:.1f}"


def resident(server):
    """The bytes of memory that a process has."""
    return int(re.search(r"^VmRSS:\s*(\d+)", Path(f"/proc/{server.pid}/status").read_text(), re.MULTILINE)[1]) * 1024


def percentiles(rounds):
    """The medians of the rounds' 50th and 99th percentiles, in microseconds."""
    each = [sorted(times) for times in rounds]
    return [statistics.median(times[int(len(times) * part)] * 1e6 for times in each) for part in (0.5, 0.99)]
