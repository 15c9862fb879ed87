"""Two `duplex serve` on one Redis: clients of other people's libraries on either node hear each other, and PyPI's emitter is heard."""

import asyncio
import json
import urllib.request

import pytest
from programs import PATIENCE
from redis_server import Redis, needs_redis
from socket_io_emitter import Emitter
from test_python_clients import client as websocket
from test_socketio import Client

pytestmark = needs_redis


@pytest.fixture
def adapter():
    """What --redis-adapter is, unless a test says more."""
    return "pubsub"


@pytest.fixture
def nodes(redis, start_server, adapter):
    """Two nodes that are ready."""
    servers = [start_server("--redis", f"redis://127.0.0.1:{redis.port}", "--redis-adapter", adapter) for _ in range(2)]
    return servers


def health(server):
    with urllib.request.urlopen(f"{server.base}/health", timeout=PATIENCE) as response:
        return json.load(response)


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while not await condition():
            await asyncio.sleep(0.01)


async def until_status(server, status):
    async def is_it():
        return (await asyncio.to_thread(health, server))["redis"]["status"] == status

    await until(is_it)


@pytest.fixture
async def io(nodes):
    """Connects python-socketio's clients to a node, once it is ready."""
    clients = []

    async def connect(node, way):
        await until_status(nodes[node], "ready")
        client = Client()
        clients.append(client)
        transports = {"polling": ["polling"], "websocket": ["websocket"]}[way]
        await client.io.connect(nodes[node].base, transports=transports, wait_timeout=PATIENCE)
        return client

    yield connect
    for each in clients:
        await each.io.shutdown()


async def heard(client, say):
    """Says something until the client hears it: nobody is told when a node's subscriptions are in effect. Returns what was heard."""
    while True:
        await say()
        try:
            async with asyncio.timeout(0.5):
                return await client.until("say")
        except TimeoutError:
            pass


@pytest.mark.parametrize("adapter", ["pubsub", "sharded", "streams"])
@pytest.mark.parametrize("way", ["websocket", "polling"])
async def test_a_room_is_one_on_both_nodes(io, way):
    a, b, outside = await io(0, way), await io(1, way), await io(1, way)
    for client in (a, b):
        await client.io.call("join", "room", timeout=PATIENCE)
    await heard(b, lambda: a.io.call("say", ("room", "begin"), timeout=PATIENCE))
    await heard(a, lambda: b.io.call("say", ("room", "begin"), timeout=PATIENCE))
    for number in range(50):
        await a.io.call("say", ("room", number, "Grüße", b"\x00\xff"), timeout=PATIENCE)
    for client in (a, b):
        numbers = []
        while not numbers or numbers[-1] != 49:
            event = await client.until("say")
            if event[0] != "begin":
                assert event[1:] == ("Grüße", b"\x00\xff")
                numbers.append(event[0])
        assert numbers == list(range(50)), "in order, and once"
    assert all(name != "say" for name, *_ in list(outside.events._queue))


async def test_the_emitter_of_pypi_is_heard(io, redis):
    a, b = await io(0, "websocket"), await io(1, "websocket")
    emitter = Emitter({"host": "127.0.0.1", "port": redis.port})
    for client in (a, b):
        await client.io.call("join", "room", timeout=PATIENCE)

        async def say():
            await asyncio.to_thread(lambda: emitter.In("room").Emit("say", "from Python", 1, {"a": [None]}))

        assert await heard(client, say) == ("from Python", 1, {"a": [None]})


async def test_topics_are_one_on_both_nodes(nodes, redis):
    for node in nodes:
        await until_status(node, "ready")
    listener = await websocket(f"{nodes[1].ws}/pubsub?topics=a/b&patterns=a/%2B,a/%23")
    sender = await websocket(f"{nodes[0].ws}/pubsub?publish=a/b")
    try:

        async def arrives():
            await sender.send("begin")
            try:
                async with asyncio.timeout(0.2):
                    return await listener.recv() == "begin"
            except TimeoutError:
                return False

        await until(arrives)
        for number in range(100):
            await sender.send(f"{number}")
        texts = []
        while not texts or texts[-1] != "99":
            texts.append(await listener.recv())
        assert [text for text in texts if text != "begin"] == [f"{number}" for number in range(100)], "in order, and once"
    finally:
        await listener.close()
        await sender.close()


async def test_nodes_go_on_without_redis_and_come_back(nodes, redis, io):
    a, b = await io(0, "websocket"), await io(1, "websocket")
    for client in (a, b):
        await client.io.call("join", "room", timeout=PATIENCE)
    redis.process.kill()
    redis.process.wait()
    await until_status(nodes[0], "connecting")
    assert (await a.echo("alone"))[0] == "alone"
    await a.io.call("say", ("room", "alone"), timeout=PATIENCE)
    assert await a.until("say") == ("alone",)
    assert health(nodes[0])["status"] == "ok"
    again = Redis(redis.port)
    try:
        for node in nodes:
            await until_status(node, "ready")
        assert (await heard(b, lambda: a.io.call("say", ("room", "together"), timeout=PATIENCE))) == ("together",)
        assert nodes[0].err.text.count("Redis is not reachable") == 1, "it is said once"
    finally:
        again.stop()


def test_an_address_that_is_none_is_said(run):
    program = run("serve", "--redis", "http://:secret@example.com")
    assert program.wait() == 64
    assert "redis://" in program.err.text and "secret" not in program.err.text
