"""What a message costs by the number of topics in use, what a topic takes, and how long a node takes to subscribe: a part of Benchmarks/cluster."""

import contextlib
import random
import select
import statistics
import sys
import time

from bench import allowed_connections, table
from cluster_client import PATIENCE_SECONDS, Client, frame
from cluster_servers import Meter, duplex_nodes, information, medians, redis, resident, told
from harness import Trouble

TOPICS = [10, 100, 1_000, 10_000, 100_000]
LISTENERS = 500  # at most: so many connections share the topics
SPEAKERS = 4_000  # each says things on one topic, picked at random
DEPTH = 64
OTHERS = ("node_bytes", "redis_bytes", "subscribed")
SAY = frame(b"x" * 100)


def measure(binary, options):
    seen = {count: [] for count in (TOPICS if not options.quick else TOPICS[::2])}
    for turn in range(options.rounds):
        for count in seen:
            seen[count].append(once(binary, count, options))
            print(f"topics, round {turn + 1}, {count}: {told(seen[count][-1])}", file=sys.stderr)
    return [{"topics": count, **medians(rounds), **{of: statistics.median(one[of] for one in rounds) for of in OTHERS}} for count, rounds in seen.items()]


def once(binary, count, options):
    """The clients of the second node listen to all topics, and those of the first say things on random ones."""
    pick = random.Random(count)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(redis())
        nodes = duplex_nodes(stack, binary, 2, store)
        # Both have said hello to Redis once their own channels are there; and what a first client costs is not a topic's.
        stack.enter_context(contextlib.closing(Client(nodes[1].port, "/pubsub?topics=first&publish=first")))
        time.sleep(1)
        before, start = (resident(nodes[1]), resident(store)), time.monotonic()
        listeners = subscribe(stack, nodes[1], store, count)
        subscribed = time.monotonic() - start
        memory = resident(nodes[1]) - before[0], resident(store) - before[1]
        speakers = [
            stack.enter_context(contextlib.closing(Client(nodes[0].port, f"/pubsub?publish=t/{pick.randrange(count)}")))
            for _ in range(200 if options.quick else allowed_connections(SPEAKERS))
        ]
        chatter(speakers, listeners, pick, options.seconds / 4)
        meter = Meter(nodes, store)
        costs = meter.read(chatter(speakers, listeners, pick, options.seconds))
        return {**costs, "node_bytes": memory[0] / count, "redis_bytes": memory[1] / count, "subscribed": subscribed}


def subscribe(stack, node, store, count):
    """Connections that share so many topics; they are there when Redis has the last of them."""
    had = information(store, "pubsub_channels")
    connections = min(count, LISTENERS)
    listeners = []
    for first in range(connections):
        names = ",".join(f"t/{number}" for number in range(first, count, connections))
        listeners.append(stack.enter_context(contextlib.closing(Client(node.port, f"/pubsub?topics={names}&publish=none"))))
    end = time.monotonic() + PATIENCE_SECONDS
    while (has := information(store, "pubsub_channels") - had) < count:
        if time.monotonic() > end:
            raise Trouble(f"after {PATIENCE_SECONDS} s, Redis has {has} of {count} topics")
        time.sleep(0.002)
    return listeners


def chatter(speakers, listeners, pick, seconds):
    """Keeps some messages in flight. Returns how many were said and heard."""
    by_number = {listener.fileno(): listener for listener in listeners}
    said = waiting = 0
    end = time.monotonic() + seconds
    with select.epoll() as poll:
        for number in by_number:
            poll.register(number, select.EPOLLIN)
        while waiting > 0 or time.monotonic() < end:
            while waiting < DEPTH and time.monotonic() < end:
                pick.choice(speakers).send(SAY)
                waiting += 1
                said += 1
            ready = poll.poll(PATIENCE_SECONDS)
            if not ready:
                raise Trouble(f"{waiting} messages never came")
            waiting -= sum(by_number[number].read() for number, _ in ready)
    return said


def lines(part):
    """The table of what was measured."""
    head = ["topics", "messages a CPU second of the node that says them", "of the one that hears them", "of Redis"]
    head += ["bytes of a message to / from Redis", "resident bytes a topic of the node", "of Redis", "until all are subscribed"]
    rows = []
    for point in part["points"]:
        # Below a thousand, what is measured is the allocator's pages.
        memory = [f"{point[of]:,.0f}" if point["topics"] >= 1_000 else "" for of in ("node_bytes", "redis_bytes")]
        costs = [f"{1 / point[of]:,.0f}" for of in ("first", "other", "redis")]
        rows.append([f"{point['topics']:,}", *costs, f"{point['bytes_in']:,.0f} / {point['bytes_out']:,.0f}", *memory, f"{point['subscribed'] * 1e3:,.0f} ms"])
    return table(head, rows)
