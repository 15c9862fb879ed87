"""`duplex connect --socketio` against python-socketio's server: another Engine.IO than ours at the other end."""

import asyncio
import contextlib

import pytest
import socketio
from aiohttp import web
from programs import PATIENCE, Program

WAYS = {"polling": ["--transport", "polling"], "websocket": ["--transport", "websocket"], "upgrade": []}


@contextlib.asynccontextmanager
async def serving():
    """A server with `echo`, `add`, `ask` (asks the client back) and a namespace that wants a token; gives its address and itself."""
    io = socketio.AsyncServer(async_mode="aiohttp", ping_interval=1, ping_timeout=1)

    @io.on("echo")
    async def echo(sid, *arguments):
        await io.emit("echo", arguments, to=sid)
        return arguments

    @io.on("add")
    async def add(sid, a, b):
        return a + b

    @io.on("transport")
    async def transport(sid):
        return io.transport(sid)

    @io.on("bytes")
    async def send_bytes(sid, count):
        await io.emit("bytes", {"data": bytes(range(count))}, to=sid)

    @io.on("leave")
    async def leave(sid):
        await io.disconnect(sid)

    @io.on("connect", namespace="/admin")
    async def connect(sid, environ, auth):
        if (auth or {}).get("token") != "good":
            raise socketio.exceptions.ConnectionRefusedError("not allowed")

    @io.on("who", namespace="/admin")
    async def who(sid):
        return "admin"

    app = web.Application()
    io.attach(app)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}", io
    finally:
        await runner.cleanup()


@pytest.fixture
def talk(duplex):
    """Runs `duplex connect --socketio` with lines as its input; gives its exit code, stdout's lines and stderr."""
    programs = []

    async def talk(url, *lines, flags=()):
        program = Program(duplex, "connect", "--socketio", *flags, url)
        programs.append(program)
        program.type("".join(line + "\n" for line in lines))
        program.end_input()
        code = await asyncio.to_thread(program.wait, PATIENCE)
        return code, program.out.lines, program.err.text

    yield talk
    for program in programs:
        program.stop()


@pytest.mark.parametrize("way", WAYS)
async def test_events_and_acknowledgements(talk, way):
    async with serving() as (url, _):
        code, out, err = await talk(url, 'echo 1, "x", {"a": [null, true, 1.5]}', "add 20, 22", "bytes 3", flags=WAYS[way])
        assert code == 0, err
        assert sorted(out) == sorted(
            [
                'echo 1, "x", {"a":[null,true,1.5]}',
                'ack echo: 1, "x", {"a":[null,true,1.5]}',
                "ack add: 42",
                'bytes {"data":"<3 bytes: 000102>"}',
                "ack bytes: ",
            ]
        )
        assert "connected as " in err and "io client disconnect" in err


async def test_the_transport_changes(talk):
    async with serving() as (url, _):
        code, out, err = await talk(url, *["add 1, 1"] * 100, flags=["--wait", "1"])
        assert code == 0, err
        assert out == ["ack add: 2"] * 100


async def test_a_namespace_wants_a_token(talk):
    async with serving() as (url, _):
        code, out, err = await talk(url, "who", flags=["--namespace", "/admin", "--auth", '{"token": "good"}'])
        assert (code, out) == (0, ['ack who: "admin"']), err
        code, out, err = await talk(url, "who", flags=["--namespace", "/admin", "--auth", '{"token": "bad"}'])
        assert (code, out) == (1, []) and "not allowed" in err


async def test_the_server_disconnects(talk):
    async with serving() as (url, _):
        code, _, err = await talk(url, "leave", flags=["--wait", "10"])
        assert code == 0 and "io server disconnect" in err


async def test_no_server(talk):
    code, out, err = await talk("http://127.0.0.1:1", "x")
    assert (code, out) == (1, []) and "refused" in err


async def test_the_heartbeat_keeps_it(talk):
    async with serving() as (url, _):
        code, out, err = await talk(url, "add 1, 2", flags=["--wait", "3", "--transport", "polling"])
        assert (code, out) == (0, ["ack add: 3"]), err
        assert "ping timeout" not in err


@pytest.mark.parametrize("line", ["connect 1", '"unended', "say hello"])
async def test_lines_that_are_no_events(talk, line):
    async with serving() as (url, _):
        code, _, err = await talk(url, line)
        assert code == 1 and "a line is an event's name" in err
