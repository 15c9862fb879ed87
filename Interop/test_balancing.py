"""Three `duplex serve` on one Redis behind a balancer that sends each request anywhere: long-polling needs no sticky sessions.

That Redis is needed for it is seen in what becomes of clients without it.
"""

import asyncio
import collections
import signal
import threading

import aiohttp
import pytest
import redis as redis_client
from balancer import Balancer
from programs import PATIENCE
from redis_server import needs_redis
from test_cluster import heard, until, until_status
from test_socketio import VALUES, Client, site, tab  # noqa: F401

from harness import stop as stop_group

pytestmark = needs_redis
NODES = 3


ADAPTERS = ("pubsub", "sharded", "streams")


@pytest.fixture
def adapter():
    """What --redis-adapter is, unless a test says more."""
    return "pubsub"


@pytest.fixture
def cluster(start_server, adapter, redis):
    """Three nodes on one Redis that hear each other."""

    def start(*flags):
        return start_server("--redis", f"redis://127.0.0.1:{redis.port}", "--redis-adapter", adapter, *flags)

    start.redis = redis
    return start


async def until_joined(redis, count, adapter="pubsub"):
    """Waits until Redis has confirmed what so many nodes listen to."""
    link = redis_client.Redis(port=redis.port)
    question = {
        "pubsub": ("NUMSUB", "socket.io-request#/#"), "sharded": ("SHARDNUMSUB", "socket.io#/#"), "streams": ("NUMSUB", "socket.io#/#"),
    }[adapter]

    async def is_it():
        channels = await asyncio.to_thread(lambda: link.execute_command("PUBSUB", "CHANNELS", "socket.io-engine.io#*"))
        requests = await asyncio.to_thread(lambda: link.execute_command("PUBSUB", *question))
        return len(channels) == count and requests[1] == count

    await until(is_it)
    link.close()


@pytest.fixture
async def balanced(cluster, adapter):
    """The nodes, and the balancer before them."""
    nodes = [cluster() for _ in range(NODES)]
    await until_joined(cluster.redis, NODES, adapter)
    async with Balancer([node.port for node in nodes]) as balancer:
        yield nodes, balancer


@pytest.fixture
async def connect(balanced):
    """Connects clients of python-socketio by way of the balancer."""
    clients = []

    async def connect(transports=("polling",), **options):
        client = Client(**options)
        clients.append(client)
        await client.io.connect(balanced[1].base, transports=list(transports), wait_timeout=PATIENCE)
        await client.until("connect")
        return client

    yield connect
    for each in clients:
        await each.io.shutdown()


async def test_every_value_comes_back_whichever_node_is_asked(balanced, connect):
    _, balancer = balanced
    client = await connect()
    for value in [*VALUES, b"\x00\xff", "é" * 150_000, {"deep": [b"\x80" * 70_000, "text", b""]}]:
        answer, event = await client.echo(value)
        assert answer == value and event == (value,)
    assert len(balancer.seen[client.io.eio.sid]) == NODES, "its requests went everywhere"


async def test_events_keep_their_order(balanced, connect):
    client = await connect()
    for number in range(300):
        await client.io.emit("echo", b"%d" % number if number % 7 == 0 else number)
    for number in range(300):
        assert await client.until("echo") == (b"%d" % number if number % 7 == 0 else number,)


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_rooms_are_one_for_clients_that_poll_anywhere(balanced, connect):
    _, balancer = balanced
    clients = [await connect() for _ in range(9)]
    assert len({client.io.eio.sid[:6] for client in clients}) > 1, "sessions on several nodes"
    for client in clients:
        await client.io.call("join", "room", timeout=PATIENCE)
    outside = await connect()
    for client in clients:
        await heard(client, lambda: clients[0].io.call("say", ("room", "begin"), timeout=PATIENCE))
    for number in range(20):
        await clients[number % 9].io.call("say", ("room", number, "Grüße", b"\x00\xff"), timeout=PATIENCE)
    for client in clients:
        numbers = []
        while len(numbers) < 20:
            event = await client.until("say")
            if event[0] != "begin":
                assert event[1:] == ("Grüße", b"\x00\xff")
                numbers.append(event[0])
        assert sorted(numbers) == list(range(20)), "each once"
    assert all(name != "say" for name, *_ in list(outside.events._queue))
    assert sum(len(ports) for ports in balancer.seen.values()) > 20


@pytest.mark.parametrize("transports", [("polling", "websocket"), ("websocket",)])
async def test_whoever_wants_a_websocket_gets_on_with_or_without_it(balanced, connect, transports):
    clients = [await connect(transports) for _ in range(6)]
    for number, client in enumerate(clients):
        assert (await client.echo(number, b"\x01"))[0] == (number, b"\x01")
    ways = collections.Counter(client.io.transport() for client in clients)
    assert ways["websocket"] == 6 or "polling" in transports


async def test_a_session_goes_on_when_a_node_in_between_shuts_down(balanced, connect):
    nodes, balancer = balanced
    clients = [await connect(reconnection=False) for _ in range(6)]
    gone = nodes[0]
    stay = [client for client in clients if node_of(client) != await name_of(gone)]
    assert stay
    balancer.take_out(gone.port)
    gone.interrupt()
    for number in range(20):
        for client in stay:
            assert (await client.echo(number))[0] == number
    assert await asyncio.to_thread(gone.wait) == 0
    for client in stay:
        assert all(name != "disconnect" for name, *_ in list(client.events._queue))


def node_of(client):
    return client.io.eio.sid[:6]


async def name_of(node):
    """What a node's sessions begin with."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{node.base}/socket.io/?EIO=4&transport=polling") as response:
            return (await response.text()).split('"sid":"')[1][:6]


async def test_a_node_is_killed_and_its_clients_come_back(balanced, connect):
    nodes, _ = balanced
    clients = [await connect() for _ in range(8)]
    names = [await name_of(node) for node in nodes]
    # One that has sessions.
    dead = names.index(node_of(clients[0]))
    others = [client for client in clients if node_of(client) != names[dead]]
    nodes[dead].process.kill()
    nodes[dead].process.wait()
    for client in clients:
        if client not in others:
            await client.until("disconnect")
            await client.until("connect")
            assert node_of(client) != names[dead]
    # A poll of another node's session that waited at the dead one has failed, too: then that client comes back as well.
    for client in clients:

        async def echoes():
            try:
                async with asyncio.timeout(2):
                    return (await client.io.call("echo", "again", timeout=2)) == "again"
            except Exception:  # noqa: BLE001 - it is between two connections
                return False

        await until(echoes)


async def test_a_session_that_is_gone_is_answered_at_once(balanced):
    nodes, balancer = balanced
    name = await name_of(nodes[0])
    async with aiohttp.ClientSession() as session:
        # Of a node that never was; of a node that is there and does not know it; and of one that is dead.
        sids = ["AAAAAAAAAAAAAAAAAAAA", name + "AAAAAAAAAAAAAA"]
        async with session.get(f"{nodes[0].base}/socket.io/?EIO=4&transport=polling") as response:
            sids.append((await response.text()).split('"sid":"')[1][:20])
        for sid in sids:
            if sid is sids[-1]:
                nodes[0].process.kill()
                nodes[0].process.wait()
            async with asyncio.timeout(PATIENCE):
                async with session.get(f"{nodes[1].base}/socket.io/?EIO=4&transport=polling&sid={sid}") as response:
                    assert response.status == 400
                    assert await response.json() == {"code": 1, "message": "Session ID unknown"}


@pytest.mark.whole
async def test_a_node_that_is_stopped_is_not_waited_for(balanced):
    """Redis still counts it; it is found by asking it, twice within 10 s."""
    nodes, _ = balanced
    query = "/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        async with session.get(nodes[0].base + query) as response:
            sid = (await response.text()).split('"sid":"')[1][:20]
        nodes[0].signal(signal.SIGSTOP)
        try:
            async with session.get(f"{nodes[1].base}{query}&sid={sid}") as response:
                assert response.status == 400
                assert await response.text() == '{"code":1,"message":"Session ID unknown"}'
        finally:
            nodes[0].signal(signal.SIGCONT)


async def test_without_redis_a_session_of_another_node_is_unknown_at_once(balanced, cluster):
    nodes, _ = balanced
    query = "/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        async with session.get(nodes[0].base + query) as response:
            sid = (await response.text()).split('"sid":"')[1][:20]

        async def poll():
            async with session.get(f"{nodes[1].base}{query}&sid={sid}") as response:
                return response.status, await response.text()

        waiting = asyncio.create_task(poll())
        # The poll has arrived: what is posted is answered by it.
        async with session.post(f"{nodes[2].base}{query}&sid={sid}", data="40") as response:
            assert await response.text() == "ok"
        status, text = await waiting
        assert status == 200 and text.startswith("40{")
        waiting = asyncio.create_task(poll())
        stop_group(cluster.redis.process)
        assert await waiting == (400, '{"code":1,"message":"Session ID unknown"}')
        await until_status(nodes[1], "connecting")
        assert (await poll())[0] == 400


@pytest.mark.parametrize("transports", [["polling"], ["polling", "websocket"]])
def test_javascript_by_way_of_any_node(cluster, site, tab, transports):  # noqa: F811
    """The official client in Chromium; the balancer has a thread of its own, as Playwright's waits hold this one up."""
    nodes = [cluster("--allow-origin", site) for _ in range(NODES)]
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE)

    run(until_joined(cluster.redis, NODES))
    balancer = run(Balancer([node.port for node in nodes]).__aenter__())
    try:
        pages = [tab(balancer.base, transports=transports) for _ in range(3)]
        for page in pages:
            page.until("connect")
        for value in VALUES:
            assert pages[0].call("echo", value) == value
        for page in pages:
            page.call("join", "room")
        for number, page in enumerate(pages):
            assert page.run("([name, n]) => call('say', name, n).then(() => true)", ["room", number])
            for listener in pages:
                assert listener.until("say", number) == ["say", number]
    finally:
        run(balancer.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
