"""What an event to a room on another node costs, beside python-socketio's Redis manager: a part of Benchmarks/cluster."""

import contextlib
import sys
import time
from pathlib import Path

from bench import serving, table
from cluster_client import SocketIOClient, chatter, drain, frame
from cluster_servers import Meter, duplex_nodes, medians, percentiles, redis, told

# By title, the flags of `duplex serve` that choose an adapter.
ADAPTERS = {
    "Duplex, pubsub": ["--redis-adapter", "pubsub"],
    "Duplex, streams": ["--redis-adapter", "streams"],
    "Duplex, streams with recovery": ["--redis-adapter", "streams", "--socketio-recovery"],
}
RIVAL = Path(__file__).resolve().parent / "rivals" / "python_socketio.py"
# How many hear it; at how many events a second the times are taken, which leaves python-socketio most of the core; and of how many.
CLIENTS = {1: (200, 400), 100: (25, 100)}
DEPTHS = 1, 16
SAY = frame(b'42["say","room","%s"]' % (b"x" * 100), 1)


def measure(binary, options, python):
    """By contender and number of clients; `python` is where python-socketio is installed, or None to leave it out."""
    contenders = {name: lambda stack, store, flags=flags: duplex_nodes(stack, binary, 2, store, *flags) for name, flags in ADAPTERS.items()}
    if python:
        contenders["python-socketio"] = lambda stack, store: [stack.enter_context(serving(f"python-{n}", rival(python, store))) for n in (0, 1)]
    seen = {(name, count): [] for name in contenders for count in CLIENTS}
    for turn in range(options.rounds):
        for name, start in contenders.items():
            for count, one in once(start, options):
                seen[name, count].append(one)
                costs = "; ".join(told(costs) for costs in one["costs"].values())
                print(f"Socket.IO, round {turn + 1}, {name}, {count}: {costs}", file=sys.stderr)
    return [point(name, count, rounds) for (name, count), rounds in seen.items()]


def rival(python, store):
    return lambda port: [python, RIVAL, port, f"redis://127.0.0.1:{store.port}"]


def once(start, options):
    """A client of the first node says things to a room, whose clients are on the second one."""
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(redis())
        nodes = start(stack, store)

        def client(node):
            return stack.enter_context(contextlib.closing(SocketIOClient(node.port)))

        speaker, listeners = client(nodes[0]), []
        for count, (rate, events) in CLIENTS.items():
            while len(listeners) < count:
                listeners.append(client(nodes[1]))
                listeners[-1].join("room")
            drain(speaker, SAY, listeners)
            costs = {depth: cost(speaker, listeners, nodes, store, depth, options.seconds) for depth in DEPTHS}
            yield count, {"costs": costs, "times": times(speaker, listeners, rate, 20 if options.quick else events)}


def cost(speaker, listeners, nodes, store, depth, seconds):
    meter = Meter(nodes, store)
    return meter.read(chatter(speaker, SAY, listeners, depth, seconds))


def times(speaker, listeners, rate, events):
    """From when an event is due until the last has it: one that is late because of those before it counts as late."""
    seen = []
    due = time.perf_counter() + 0.1
    for _ in range(events):
        # Asleep till shortly before it, as sleep's own lateness is not the servers'.
        time.sleep(max(due - time.perf_counter() - 0.0005, 0))
        while time.perf_counter() < due:
            pass
        speaker.send(SAY)
        for listener in listeners:
            listener.hear()
        seen.append(time.perf_counter() - due)
        due += 1 / rate
    return seen


def point(name, count, rounds):
    costs = {str(depth): medians([one["costs"][depth] for one in rounds]) for depth in DEPTHS}
    return {"name": name, "clients": count, "costs": costs, "times": percentiles(one["times"] for one in rounds)}


def lines(part):
    """The table of what was measured."""
    head = ["clients in the room", "", "events a CPU second of the node that says them, 1 / 16 in flight", "of the one that has the clients", "of Redis"]
    head += ["bytes of an event to / from Redis", "µs to the last client, p50 / p99"]
    rows = []
    for point in sorted(part["points"], key=lambda point: point["clients"]):
        costs = [" / ".join(f"{1 / costs[of]:,.0f}" for costs in point["costs"].values()) for of in ("first", "other", "redis")]
        bytes = " / ".join(f"{point['costs']['16'][of]:,.0f}" for of in ("bytes_in", "bytes_out"))
        rows.append([str(point["clients"]), point["name"], *costs, bytes, " / ".join(f"{value:,.0f}" for value in point["times"])])
    return table(head, rows)
