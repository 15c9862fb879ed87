"""`duplex connect --socketio` against python-socketio's server, another Engine.IO than ours at the other end, and against `duplex serve`."""

import asyncio
import contextlib
import sys

import pytest
import socketio
from aiohttp import web
from programs import PATIENCE, Program, Server

WAYS = {"polling": ["--transport", "polling"], "websocket": ["--transport", "websocket"], "upgrade": []}


def address_of(site, scheme="http"):
    return f"{scheme}://localhost:{site._server.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def serving(tls=None, port=0):
    """A server with `echo`, `add` and some more, and a namespace that wants a token; gives its address and itself."""
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

    @io.on("length")
    async def length(sid, text):
        return len(text)

    @io.on("shown")
    async def shown(sid):
        environ = io.get_environ(sid)
        return environ.get("HTTP_X_TOKEN"), environ.get("HTTP_COOKIE")

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
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    try:
        yield address_of(site, "https" if tls else "http"), io
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


@pytest.mark.parametrize("way", WAYS)
async def test_duplex_as_the_server(talk, echo_server, way):
    lines = ['echo 1, "x", {"a": [null, true, 1.5]}', 'join "room"', 'say "room", "hi"']
    code, out, err = await talk(echo_server.base, *lines, flags=WAYS[way])
    assert code == 0, err
    expected = ['echo 1, "x", {"a":[null,true,1.5]}', 'ack echo: 1, "x", {"a":[null,true,1.5]}', "ack join: ", 'say "hi"', "ack say: "]
    assert sorted(out) == sorted(expected)


@pytest.mark.parametrize("way", WAYS)
async def test_answers_come_in_order(run, way):
    """Also where the transport changes in their middle."""
    async with serving() as (url, _):
        client = run("connect", "--socketio", *WAYS[way], url)
        client.type("".join(f"add {number}, 1\n" for number in range(100)))
        await asyncio.to_thread(client.out.until, r"^ack add: 100$")
        assert client.out.lines == [f"ack add: {number + 1}" for number in range(100)]


@pytest.mark.parametrize("way", WAYS)
async def test_more_than_a_post_may_hold(run, way):
    """Python's server takes 16 packets a POST. Short ones: its aiohttp driver loses what of a POST's body comes in a second piece."""
    async with serving() as (url, _):
        client = run("connect", "--socketio", *WAYS[way], url)
        client.type('length "text"\n' * 500)
        await asyncio.to_thread(client.out.until, r"(ack length: 4\n){500}")


@pytest.mark.parametrize("way", WAYS)
async def test_a_namespace_wants_a_token(talk, way):
    async with serving() as (url, _):
        code, out, err = await talk(url, "who", flags=[*WAYS[way], "--namespace", "/admin", "--auth", '{"token": "good"}'])
        assert (code, out) == (0, ['ack who: "admin"']), err
        code, out, err = await talk(url, "who", flags=[*WAYS[way], "--namespace", "/admin", "--auth", '{"token": "bad"}'])
        assert (code, out) == (1, []) and "not allowed" in err


@pytest.mark.parametrize("way", WAYS)
async def test_who_asks(talk, way):
    async with serving() as (url, _):
        flags = [*WAYS[way], "--header", "X-Token: t", "--header", "Cookie: mine=1"]
        code, out, err = await talk(url, "shown", flags=flags)
        assert (code, out) == (0, ['ack shown: "t", "mine=1"']), err


@pytest.mark.parametrize("way", WAYS)
async def test_tls(talk, way, certificate, request):
    async with serving(request.getfixturevalue("serving")) as (url, _):
        code, out, err = await talk(url, "add 1, 2", flags=[*WAYS[way], "--ca-certificate", certificate.ca])
        assert (code, out) == (0, ["ack add: 3"]), err
        code, out, err = await talk(url, "add 1, 2", flags=WAYS[way])
        assert (code, out) == (1, []) and "not trusted" in err


@pytest.mark.parametrize("way", WAYS)
async def test_the_server_disconnects(talk, way):
    async with serving() as (url, _):
        code, _, err = await talk(url, "leave", flags=[*WAYS[way], "--wait", "10"])
        # The handler ends the connection before it acknowledges.
        assert code == 1 and "io server disconnect" in err
        assert '"leave" was not acknowledged: the connection ended first' in err and "does not connect again" in err
        assert err.count("connected as") == 1


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


# A server that is killed


class PythonServer(Program):
    """The server above, in a process of its own."""

    def __init__(self, port):
        super().__init__(sys.executable, __file__, str(port))
        self.base = self.out.until(r"^http://\S+$").group()
        self.port = int(self.base.rpartition(":")[2])


async def _run(port):
    async with serving(port=port) as (url, _):
        print(url, flush=True)
        await asyncio.Event().wait()


@pytest.mark.parametrize("kind", ["python-socketio", "duplex"])
@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_is_killed_and_comes_back(duplex, run, way, kind):
    def start(port=0):
        return Server(duplex, port=port) if kind == "duplex" else PythonServer(port)

    server = start()
    try:
        # A server may take its time to come back.
        client = run("connect", "--socketio", "--ack-timeout", "60", *WAYS[way], server.base)
        client.type("echo 1\n")
        client.out.until(r"^ack echo: 1$")
        server.process.kill()
        server.process.wait()
        client.err.until(r"connected as[\s\S]*connecting")
        # Kept until there is a connection.
        client.type("echo 2\n")
        server = start(server.port)
        client.out.until(r"^ack echo: 2$")
        client.end_input()
        assert client.wait() == 0
        assert client.err.text.count("connected as") == 2 and client.out.lines.count("ack echo: 2") == 1
    finally:
        server.stop()


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1])))
