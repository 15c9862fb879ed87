"""What a message costs, and how late it comes, by the number of nodes that hear it: a part of Benchmarks/cluster."""

import contextlib
import sys
import time

from bench import table
from cluster_client import Client, chatter, drain, frame
from cluster_servers import Meter, duplex_nodes, medians, percentiles, redis, told

NODES, DEPTHS = (0, 1, 2, 4, 8), (1, 64)  # no node stands for one without Redis
SAY = frame(b"x" * 100)


def measure(binary, options):
    """By number of nodes: CPU seconds a message by depth of the first node, of each other one and of Redis; and the times."""
    seen = {count: [] for count in (NODES if not options.quick else (0, 2))}
    for turn in range(options.rounds):
        for count in seen:
            seen[count].append(once(binary, count, options))
            print(f"nodes, round {turn + 1}, {count}:", *(f"{told(costs)};" for costs in seen[count][-1]["costs"].values()), file=sys.stderr)
    return [point(count, rounds) for count, rounds in seen.items()]


def once(binary, count, options):
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(redis()) if count > 0 else None
        nodes = duplex_nodes(stack, binary, max(count, 1), store)
        clients = [stack.enter_context(contextlib.closing(Client(node.port, "/broadcast"))) for node in nodes]
        drain(clients[0], SAY, clients)
        costs = {depth: cost(clients, nodes, store, depth, options.seconds) for depth in DEPTHS}
        return {"costs": costs, "times": times(clients, options.times)}


def cost(clients, nodes, store, depth, seconds):
    meter = Meter(nodes, store)
    return meter.read(chatter(clients[0], SAY, clients, depth, seconds))


def times(clients, count):
    """From a message to the first node's client that hears it, and to the last one's."""
    seen = [], []
    for _ in range(count):
        start = time.perf_counter()
        clients[0].send(SAY)
        clients[0].hear()
        seen[0].append(time.perf_counter() - start)
        for client in clients[1:]:
            client.hear()
        seen[1].append(time.perf_counter() - start)
    return seen


def point(count, rounds):
    costs = {str(depth): medians([one["costs"][depth] for one in rounds]) for depth in DEPTHS}
    here, there = (percentiles(one["times"][place] for one in rounds) for place in (0, 1))
    return {"nodes": count, "costs": costs, "here": here, "there": there if count > 1 else None}


def lines(part):
    """The table of what was measured."""
    head = ["nodes", "in flight", "messages a CPU second of all nodes", "of the first, which says them", "of each other", "of Redis"]
    head += ["µs to a client of the same node, p50 / p99", "to the last of the others"]
    rows = []
    for point in part["points"]:
        for depth, costs in point["costs"].items():
            others = (costs["other"] or 0) * max(point["nodes"] - 1, 0)
            row = ["one, without Redis" if point["nodes"] == 0 else str(point["nodes"]), depth, rate(costs["first"] + others)]
            row += [rate(costs[of]) for of in ("first", "other", "redis")]
            rows.append([*row, *(both(point[place]) if depth == "1" else "" for place in ("here", "there"))])
    return table(head, rows)


def rate(cost):
    return f"{1 / cost:,.0f}" if cost else ""


def both(times):
    return f"{times[0]:,.0f} / {times[1]:,.0f}" if times else ""
