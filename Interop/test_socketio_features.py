"""Our Socket.IO client against python-socketio's server, which tells it what to do: acknowledgements, volatile events, `retries`, MessagePack.

The client is the program InteropClient: what a terminal can not say, such as bytes, goes over the connection itself.
"""

import asyncio
import contextlib

import pytest
import socketio
from aiohttp import web
from programs import PATIENCE, Program
from test_socketio import VALUES

WAYS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}
PARSERS = {"json": ("default", []), "msgpack": ("msgpack", ["--msgpack"])}
BYTES = [b"\x00\xff\x80", b"", {"files": [{"name": "a", "content": b"\x01"}, b"\x80" * 20_000]}]


class Cable:
    """The way from a client to a server, which can be cut."""

    def __init__(self, port):
        self._target = port
        self._writers = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()

    def cut(self):
        """Ends all connections, without a word."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader, writer):
        there = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._copy(reader, there[1]), self._copy(there[0], writer))

    async def _copy(self, reader, writer):
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()
        self._writers.discard(writer)


class Stage:
    """A server, a client of ours, and what the client says."""

    def __init__(self, io, cable):
        self.io = io
        self.cable = cable
        self.connected = asyncio.Queue()
        self.said = asyncio.Queue()
        self.end = asyncio.Event()
        io.on("connect", lambda sid, environ: self.connected.put_nowait(sid))
        for name in ("note", "answer", "failure"):
            self._hear(name)

    def _hear(self, name):
        async def heard(sid, *arguments):
            self.said.put_nowait((name, *arguments))

        self.io.on(name, heard)

    async def client_joins(self):
        async with asyncio.timeout(PATIENCE):
            return await self.connected.get()

    async def hear(self):
        """The next thing that the client says."""
        async with asyncio.timeout(PATIENCE):
            return await self.said.get()

    async def call(self, sid, event, *arguments, timeout=None):
        """Has the client ask for an acknowledgement."""
        await self.io.emit("call", (timeout, event, *arguments), to=sid)


@pytest.fixture
async def stage(interop_client):
    """Starts a server and a client; ends them after the test."""
    async with contextlib.AsyncExitStack() as ends:

        async def start(way, parser="json", *flags):
            serializer, parser_flags = PARSERS[parser]
            io = socketio.AsyncServer(async_mode="aiohttp", serializer=serializer)
            app = web.Application()
            io.attach(app)
            runner = web.AppRunner(app, shutdown_timeout=1)
            await runner.setup()
            ends.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            cable = await ends.enter_async_context(Cable(site._server.sockets[0].getsockname()[1]))
            stage = Stage(io, cable)
            ends.callback(stage.end.set)
            transports = [flag for name in WAYS[way] for flag in ("--transport", name)]
            client = Program(interop_client, cable.url, *transports, *parser_flags, *flags)
            ends.push_async_callback(asyncio.to_thread, client.stop)
            return stage

        yield start


everyway = pytest.mark.parametrize("way", WAYS)
everyparser = pytest.mark.parametrize("parser", PARSERS)


@everyway
@everyparser
async def test_acknowledgements_both_ways(stage, way, parser):
    stage = await stage(way, parser)

    async def echo(sid, *arguments):
        return arguments

    stage.io.on("echo", echo)
    sid = await stage.client_joins()
    assert await stage.hear() == ("note", "kept")
    for arguments in [(), *((value,) for value in VALUES + BYTES), (*VALUES, *BYTES)]:
        await stage.call(sid, "echo", *arguments)
        assert await stage.hear() == ("answer", *arguments), "our event, their acknowledgement"
        answer = await stage.io.call("echo", arguments, to=sid, timeout=PATIENCE)
        # One value stands for itself.
        assert answer == (arguments if len(arguments) > 1 else arguments[0] if arguments else None), "their event, our acknowledgement"


@everyway
@everyparser
async def test_acknowledgements_that_do_not_come(stage, way, parser):
    stage = await stage(way, parser)

    async def late(sid):
        await stage.end.wait()

    async def leave(sid):
        await stage.io.disconnect(sid)
        await stage.end.wait()

    stage.io.on("late", late)
    stage.io.on("leave", leave)
    sid = await stage.client_joins()
    assert await stage.hear() == ("note", "kept")
    await stage.call(sid, "late", timeout=0.1)
    assert await stage.hear() == ("failure", "no acknowledgement came in time")
    await stage.call(sid, "leave")
    other = await stage.client_joins()
    assert other != sid
    assert {await stage.hear(), await stage.hear()} == {("failure", "the socket has been disconnected"), ("note", "kept")}


@everyway
@everyparser
async def test_what_is_volatile_is_not_kept(stage, way, parser):
    stage = await stage(way, parser)
    for _ in range(3):
        # Before each connection, the client emits a volatile event and another one.
        sid = await stage.client_joins()
        assert await stage.hear() == ("note", "kept")
        # One may be dropped while the transport changes, or a POST is on its way.
        async with asyncio.timeout(PATIENCE):
            while stage.said.empty():
                await stage.io.emit("speak", to=sid)
                await stage.io.call("echo", to=sid, timeout=PATIENCE)
        while not stage.said.empty():
            assert await stage.hear() == ("note", "volatile, connected")
        await stage.io.disconnect(sid)


class Numbers:
    """What a server does with numbers: some of them are not answered at first."""

    def __init__(self, hinder, unanswered):
        self.seen = []
        self._hinder = hinder
        self._unanswered = set(unanswered)

    async def take(self, sid, number):
        self.seen.append(number)
        if number in self._unanswered:
            self._unanswered.remove(number)
            await self._hinder()
        return number

    @property
    def order(self):
        """Without those that came again at once: the last one's acknowledgement may have been late."""
        return [number for number, before in zip(self.seen, [None, *self.seen]) if number != before]


async def _ask(stage, sid, count):
    """Has the client emit numbers; returns once it has all answers. Those come again, too, when they are not acknowledged in time."""
    for number in range(count):
        await stage.call(sid, "number", number)
    answers = []
    while len(answers) < count:
        name, answer = await stage.hear()
        if name == "answer" and answer not in answers:
            answers.append(answer)
    assert answers == list(range(count))


@everyway
@everyparser
async def test_retries_until_there_is_an_answer(stage, way, parser):
    stage = await stage(way, parser, "--retries", 100, "--ack-timeout", 0.25)
    numbers = Numbers(stage.end.wait, [1, 3])
    stage.io.on("number", numbers.take)
    await _ask(stage, await stage.client_joins(), 5)
    assert numbers.order == [0, 1, 2, 3, 4]
    assert numbers.seen.count(1) > 1 and numbers.seen.count(3) > 1, "not answered at first, and sent again"


@everyway
@everyparser
async def test_retries_across_connections(stage, way, parser):
    stage = await stage(way, parser, "--retries", 100)

    async def cut():
        stage.cable.cut()

    numbers = Numbers(cut, [1, 3])
    stage.io.on("number", numbers.take)
    await _ask(stage, await stage.client_joins(), 5)
    assert numbers.order == [0, 1, 2, 3, 4]
    assert numbers.seen.count(1) > 1 and numbers.seen.count(3) > 1, "their acknowledgements were lost, and they were sent again"
    assert stage.connected.qsize() >= 2, "the connection was lost, and made anew"


@everyway
async def test_retries_come_to_an_end(stage, way):
    stage = await stage(way, "json", "--retries", 2, "--ack-timeout", 0.25)
    seen = []

    async def never(sid):
        seen.append(sid)
        await stage.end.wait()

    stage.io.on("never", never)
    await stage.call(await stage.client_joins(), "never")
    while (said := await stage.hear())[0] == "note":
        pass
    assert said == ("failure", "no acknowledgement came in time")
    assert len(seen) == 3, "once, and two retries"
