"""Socket.IO at /socket.io/ of `duplex serve`: python-socketio's client, and the official JavaScript client in Chromium.

Both have their own Engine.IO, so that a mistake which Duplex's own two ends share is seen here.
"""

import asyncio
import functools
import http.server
import importlib.util
import signal
import threading
from pathlib import Path

import aiohttp
import pytest
import socketio
from playwright.sync_api import Browser, Page
from programs import PATIENCE

WAYS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}
# What an ack is compared with: JSON's own kinds, text beyond ASCII, numbers at the edge of a double's exact integers.
VALUES = ["hello", "Grüße, 世界 🌍", "", 0, -1, 2**53, 1.5, True, None, [1, [2, []]], {"a": {"b": [None]}, "": 1}]


# python-socketio


class Client:
    """A client of python-socketio; what comes is waited for."""

    def __init__(self, **options):
        self.io = socketio.AsyncClient(reconnection_delay=0.1, reconnection_delay_max=0.2, handle_sigint=False, **options)
        self.events = asyncio.Queue()
        for name in ("connect", "disconnect", "echo", "say", "connect_error"):
            self.note(name)

    def note(self, name, namespace="/"):
        self.io.on(name, lambda *arguments: self.events.put_nowait((name, *arguments)), namespace=namespace)

    async def next(self):
        async with asyncio.timeout(PATIENCE):
            return await self.events.get()

    async def until(self, name):
        """The arguments of the next event of this name; others are dropped."""
        while (event := await self.next())[0] != name:
            pass
        return event[1:]

    async def echo(self, *arguments):
        """What comes back: as the acknowledgement, and as an event."""
        answer = await self.io.call("echo", arguments, timeout=PATIENCE)
        return answer, await self.until("echo")


@pytest.fixture
async def client():
    """Connects clients; disconnects them after the test."""
    clients = []

    async def connect(base, way="websocket", namespaces=("/",), wait=True, **options):
        client = Client(**options)
        clients.append(client)
        await client.io.connect(base, transports=WAYS[way], namespaces=list(namespaces), wait=wait, wait_timeout=PATIENCE)
        if wait:
            assert await client.next() == ("connect",)
        return client

    yield connect
    for each in clients:
        await each.io.shutdown()


@pytest.mark.parametrize("way", WAYS)
async def test_python_gets_every_value_back(echo_server, client, way):
    python = await client(echo_server.base, way)
    assert python.io.transport() == WAYS[way][-1]
    for value in VALUES:
        answer, event = await python.echo(value)
        assert answer == value and event == (value,), "as the acknowledgement and as an event"


@pytest.mark.parametrize("way", WAYS)
async def test_python_sends_several_arguments_and_none(echo_server, client, way):
    python = await client(echo_server.base, way)
    assert await python.echo(*VALUES) == (tuple(VALUES), tuple(VALUES))
    assert await python.echo() == (None, ())


@pytest.mark.parametrize("way", WAYS)
async def test_python_sends_binary_anywhere(echo_server, client, way):
    python = await client(echo_server.base, way)
    deep = {"files": [{"name": "a", "content": b"\x00\xff"}, {"name": "empty", "content": b""}], "last": [[b"\x80" * 70_000]]}
    for arguments in ([b"\x00\xff\x80"], [b""], [deep], ["text", b"1", deep, b"2"]):
        answer, event = await python.echo(*arguments)
        assert event == tuple(arguments)
        assert answer == (arguments[0] if len(arguments) == 1 else tuple(arguments))
    answer, _ = await python.echo("plain again")
    assert answer == "plain again"


@pytest.mark.parametrize("way", WAYS)
async def test_python_s_events_keep_their_order(echo_server, client, way):
    python = await client(echo_server.base, way)
    for number in range(500):
        await python.io.emit("echo", b"%d" % number if number % 7 == 0 else number)
    for number in range(500):
        assert await python.until("echo") == (b"%d" % number if number % 7 == 0 else number,)


async def test_a_long_event_comes_back(echo_server, client):
    for way in WAYS:
        python = await client(echo_server.base, way)
        # python-socketio writes six bytes for each letter; the limit is a million.
        text = "é" * 150_000
        answer, event = await python.echo(text)
        assert answer == text and event == (text,)


async def test_what_is_said_in_a_room_reaches_those_in_it(echo_server, client):
    clients = [await client(echo_server.base, way) for way in WAYS]
    first, second, third = clients
    for each in (first, second):
        assert await each.io.call("join", "kitchen", timeout=PATIENCE) is None
    await third.io.call("say", ("kitchen", "dinner", {"at": 7}, b"\x01"), timeout=PATIENCE)
    for each in (first, second):
        assert await each.until("say") == ("dinner", {"at": 7}, b"\x01")
    await second.io.call("leave", "kitchen", timeout=PATIENCE)
    await first.io.call("say", ("kitchen", "alone"), timeout=PATIENCE)
    assert await first.until("say") == ("alone",)
    # Whoever is not in the room has heard nothing by the time of a later event.
    for each in (second, third):
        await each.io.emit("echo", "end")
        assert await each.next() == ("echo", "end")


async def test_an_argument_of_the_wrong_type_is_answered_with_an_error(echo_server, client):
    python = await client(echo_server.base)
    answer = await python.io.call("join", {"room": 1}, timeout=PATIENCE)
    assert "argument 1" in answer["error"]
    assert (await python.echo("still here"))[0] == "still here"


@pytest.mark.parametrize("way", WAYS)
async def test_an_unknown_namespace_is_refused_and_the_connection_stays(echo_server, client, way):
    python = Client()
    for name in ("connect", "connect_error"):
        python.note(name, "/nowhere")
    try:
        await python.io.connect(echo_server.base, transports=WAYS[way], namespaces=["/", "/nowhere"], wait=False)
        seen = [await python.next(), await python.next()]
        assert sorted(seen, key=lambda event: event[0]) == [("connect",), ("connect_error", {"message": "Invalid namespace"})]
        assert (await python.echo("main"))[0] == "main"
    finally:
        await python.io.shutdown()


@pytest.mark.whole
@pytest.mark.parametrize("way", WAYS)
async def test_python_reconnects_after_a_restart(start_server, client, way):
    server = start_server()
    python = await client(server.base, way)
    # A server that ends in order sends a close packet by polling, after which this client, unlike the JavaScript one, stays away.
    server.signal(signal.SIGKILL)
    await python.until("disconnect")
    server.wait()
    start_server(port=server.port)
    await python.until("connect")
    assert (await python.echo("again"))[0] == "again"


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_that_shuts_down_says_so(start_server, client, way):
    server = start_server()
    python = await client(server.base, way, reconnection=False)
    server.interrupt()
    (reason,) = await python.until("disconnect")
    assert reason in (python.io.reason.SERVER_DISCONNECT, python.io.reason.TRANSPORT_ERROR)
    assert server.wait() == 0, "and does not wait for who does not come back"
    assert server.err.text == ""


@pytest.mark.parametrize("way", WAYS)
async def test_python_over_tls(start_server, tls_flags, trusting, client, way):
    server = start_server(*tls_flags)
    assert server.base.startswith("https:")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
        python = await client(server.base, way, http_session=session)
        assert python.io.transport() == WAYS[way][-1]
        assert await python.echo("secret", b"\x01") == (("secret", b"\x01"), ("secret", b"\x01"))
        await python.io.disconnect()


async def test_many_clients_come_and_go(echo_server, client):
    async def visit(number):
        python = await client(echo_server.base, list(WAYS)[number % 3])
        await python.io.call("join", "crowd", timeout=PATIENCE)
        return python

    crowd = await asyncio.gather(*(visit(number) for number in range(30)))
    await crowd[0].io.emit("say", ("crowd", "all"))
    for each in crowd:
        assert await each.until("say") == ("all",)


# The JavaScript client, in Chromium


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The origin of a page with the official client; it stands beside other things in a package, and only that one file is served."""
    package = Path(importlib.util.find_spec("nicegui").origin).parent
    script = (package / "static" / "socket.io.min.js").read_bytes()
    assert b"Socket.IO v4." in script[:100]
    served = {"/": ("text/html", b"<!doctype html><script src=/client.js></script>"), "/client.js": ("text/javascript", script)}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            kind, body = served.get(self.path, (None, b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Tab:
    """A page whose `socket` is the official client; what it hears is kept there, and waited for."""

    def __init__(self, page: Page, base: str, **options):
        self.page = page
        page.evaluate(
            """([base, options]) => {
                window.heard = [];
                window.socket = io(base, { reconnectionDelay: 100, reconnectionDelayMax: 200, ...options });
                socket.onAny((...event) => heard.push(event));
                for (const name of ["connect", "disconnect", "connect_error"])
                    socket.on(name, (what) => heard.push([name, what?.message ?? what ?? null]));
                window.seen = async (condition) => { while (!condition()) await new Promise((soon) => setTimeout(soon, 5)); };
                window.call = (...event) => socket.timeout(20_000).emitWithAck(...event);
            }""",
            [base, options],
        )

    def until(self, name, *arguments):
        """Waits until it has heard this, whatever arguments follow, and forgets all up to it; returns the whole event."""
        return self.page.evaluate(
            """async ([name, wanted]) => {
                const fits = ([first, ...rest]) => first === name && wanted.every((value, index) => rest[index] === value);
                await seen(() => heard.some(fits));
                const index = heard.findIndex(fits);
                const [event] = heard.splice(0, index + 1).slice(-1);
                return event;
            }""",
            [name, list(arguments)],
        )

    def run(self, script, argument=None):
        return self.page.evaluate(script, argument)

    def call(self, *event):
        return self.page.evaluate("(event) => call(...event)", list(event))

    @property
    def transport(self):
        return self.page.evaluate("socket.io.engine.transport.name")


@pytest.fixture
def tab(browser: Browser, site):
    """Opens pages with the official client, in a browser context of each its own."""
    contexts = []

    def open_tab(base, **options) -> Tab:
        contexts.append(browser.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(site)
        return Tab(page, base, **options)

    yield open_tab
    for context in contexts:
        context.close()


@pytest.fixture
def serve_site(start_server, site):
    """Starts `duplex serve`, to which pages of the site may connect."""
    return functools.partial(start_server, "--allow-origin", site)


@pytest.mark.parametrize("way", WAYS)
def test_javascript_gets_every_value_back(serve_site, tab, way):
    page = tab(serve_site().base, transports=WAYS[way])
    page.until("connect")
    page.run("(name) => seen(() => socket.io.engine.transport.name === name)", WAYS[way][-1])
    for value in VALUES:
        assert page.call("echo", value) == value
        assert page.until("echo") == ["echo", value]
    assert page.call("echo", *VALUES) == VALUES[0], "emitWithAck gives the first of an acknowledgement's arguments"
    assert page.until("echo") == ["echo", *VALUES]
    assert page.transport == WAYS[way][-1]


@pytest.mark.parametrize("way", WAYS)
def test_javascript_sends_binary_anywhere(serve_site, tab, way):
    page = tab(serve_site().base, transports=WAYS[way])
    page.until("connect")
    echoed = page.run(
        """async () => {
            const shown = (value) => {
                if (value instanceof ArrayBuffer) return "bytes " + [...new Uint8Array(value)].join(" ");
                if (value && typeof value === "object") {
                    return Array.isArray(value) ? value.map(shown) : Object.fromEntries(Object.entries(value).map(([k, v]) => [k, shown(v)]));
                }
                return value;
            };
            const back = new Promise((done) => socket.once("echo", (...event) => done(event)));
            const bytes = new Uint8Array([0, 255, 128]);
            const sent = ["text", bytes, { deep: [{ in: bytes.buffer, also: new Blob(["hi"]) }], empty: new ArrayBuffer(0) }];
            const acknowledged = await new Promise((done) => socket.emit("echo", ...sent, (...answer) => done(answer)));
            return [shown(acknowledged), shown(await back)];
        }"""
    )
    expected = ["text", "bytes 0 255 128", {"deep": [{"in": "bytes 0 255 128", "also": "bytes 104 105"}], "empty": "bytes "}]
    assert echoed == [expected, expected]


def test_two_tabs_chat_in_a_room(serve_site, tab):
    base = serve_site().base
    first, second, outside = tab(base), tab(base, transports=["polling"]), tab(base)
    for page in (first, second, outside):
        page.until("connect")
    for page in (first, second):
        page.call("join", "room")
    for number in range(20):
        for speaker in (first, second):
            speaker.run("(text) => { socket.emit('say', 'room', text); }", f"{number}")
        for listener in (first, second):
            assert listener.until("say") == ["say", f"{number}"]
            assert listener.until("say") == ["say", f"{number}"]
    assert second.transport == "polling"
    outside.call("echo", "end")
    assert outside.run("heard.filter(([name]) => name === 'say').length") == 0


def test_javascript_is_refused_an_unknown_namespace(serve_site, tab):
    server = serve_site()
    page = tab(f"{server.base}/nowhere")
    assert page.until("connect_error") == ["connect_error", "Invalid namespace"]


def test_a_page_of_another_origin_is_refused(start_server, tab):
    for way in ("polling", "websocket"):
        page = tab(start_server().base, transports=[way], reconnection=False)
        assert page.until("connect_error")[1] in ("xhr poll error", "websocket error")


@pytest.mark.parametrize("way", ["upgrade", *(pytest.param(way, marks=pytest.mark.whole) for way in ("polling", "websocket"))])
def test_a_cut_connection_misses_nothing_with_recovery(serve_site, tab, way):
    base = serve_site("--socketio-recovery").base
    lost, other = tab(base, transports=WAYS[way], reconnectionDelay=500, reconnectionDelayMax=500), tab(base)
    for page in (lost, other):
        page.until("connect")
    lost.call("join", "room")
    other.call("say", "room", "before")
    lost.until("say", "before")
    name = lost.run("socket.id")
    for round_ in range(3):
        lost.run("() => { socket.io.engine.close(); }")
        lost.until("disconnect")
        for number in range(5):
            other.call("say", "room", f"missed {round_}.{number}")
        # What was missed comes before the answer to CONNECT, and the client keeps it until it is connected.
        lost.run("() => seen(() => socket.connected)")
        assert lost.run("[socket.recovered, socket.id]") == [True, name]
        other.call("say", "room", f"after {round_}")
        for text in (*(f"missed {round_}.{number}" for number in range(5)), f"after {round_}"):
            assert lost.until("say")[1] == text, "in order, and once"


@pytest.mark.whole
def test_javascript_reconnects_after_a_restart(serve_site, tab):
    for way in WAYS:
        server = serve_site()
        page = tab(server.base, transports=WAYS[way])
        page.until("connect")
        first = page.run("socket.id")
        server.interrupt()
        page.until("disconnect")
        assert server.wait() == 0
        serve_site(port=server.port)
        page.until("connect")
        assert page.run("!socket.recovered && socket.id") not in (False, first)
        page.call("echo", "again")
        page.until("echo", "again")
