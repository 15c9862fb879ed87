"""The command itself: what it says when something is wrong, its exit codes, signals, file descriptors running out, pipes and terminals."""

import asyncio
import json
import re
import resource
import signal
import socket

import certificates
import pytest
import raw
from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosed

PROMPT = "\x1b[32m>\x1b[0m "


async def ended(program):
    return await asyncio.to_thread(program.wait)


def complaint(program):
    """The one line on stderr. Two would be one too many, and a line that shows a type's name was not written for a reader."""
    program.wait()
    assert program.out.text == ""
    lines = program.err.lines
    assert len(lines) == 1, f"one line, not {len(lines)}:\n{program.err.text}"
    assert lines[0].startswith("duplex: ")
    return lines[0].removeprefix("duplex: ")


# What can be wrong with `serve`


def test_a_port_in_use(run, start_server):
    port = start_server().port
    second = run("serve", "--port", port)
    assert second.wait() == 1
    assert complaint(second) == f"port {port} on 127.0.0.1 is in use: stop the other server, or choose another port"


@pytest.fixture
def bad_file(tmp_path, certificate):
    """Files that are no certificate and no key."""
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("This is no PEM.\n")
    return {"missing": tmp_path / "missing", "empty": tmp_path / "empty", "text": tmp_path / "text", "folder": tmp_path, "other": certificate}


@pytest.mark.parametrize("what", ["missing", "empty", "text", "folder"])
def test_an_unreadable_certificate(run, certificate, bad_file, what):
    server = run("serve", "--port", 0, "--tls-certificate", bad_file[what], "--tls-key", certificate.key)
    assert server.wait() == 1
    assert str(bad_file[what]) in complaint(server) and "certificate" in complaint(server)


@pytest.mark.parametrize("what", ["missing", "empty", "text", "folder"])
def test_an_unreadable_key(run, certificate, bad_file, what):
    server = run("serve", "--port", 0, "--tls-certificate", certificate.cert, "--tls-key", bad_file[what])
    assert server.wait() == 1
    assert str(bad_file[what]) in complaint(server) and "key" in complaint(server)


def test_a_key_of_another_certificate(run, certificate, tmp_path):
    other = certificates.make(tmp_path)
    server = run("serve", "--port", 0, "--tls-certificate", certificate.cert, "--tls-key", other.key)
    assert server.wait() == 1
    assert "key" in complaint(server) and "match" in complaint(server)


@pytest.mark.parametrize("host, why", [("203.0.113.9", "(?i)cannot assign requested address"), ("no-such-host.invalid", "no-such-host")])
def test_an_address_that_is_not_ours(run, host, why):
    server = run("serve", "--host", host, "--port", 0)
    assert server.wait() == 1
    assert re.search(why, complaint(server))


BAD_SERVE_FLAGS = [
    (["--bogus"], "--bogus"),
    (["--prot", "1"], "--port"),
    (["--port", "70000"], "0 to 65535"),
    (["--port", "http"], "http"),
    (["--port"], "--port"),
    (["--threads", "0"], "1 to 1024"),
    (["--max-message-size=-1"], "negative"),
    (["--max-connections", "0"], "at least 1"),
    (["--tls-certificate", "a.pem"], "go together"),
    (["--tls-key", "a.pem"], "go together"),
    (["--allow-origin", "example.com"], "scheme://host"),
    (["--log-level", "loud"], "loud"),
    (["stray"], "stray"),
]


@pytest.mark.parametrize("flags, named", BAD_SERVE_FLAGS, ids=[" ".join(flags) for flags, _ in BAD_SERVE_FLAGS])
def test_bad_flags_of_serve(run, flags, named):
    server = run("serve", *flags)
    assert server.wait() == 64
    assert named in complaint(server) and complaint(server).endswith("(see `duplex serve --help`)")


# What can be wrong with `connect`


BAD_CONNECT_FLAGS = [
    ([], "<url>"),
    (["ws://a", "ws://b"], "ws://b"),
    (["ws://a", "--bogus"], "--bogus"),
    (["ws://a", "--header", "no colon"], "no colon"),
    (["ws://a", "--header", "a: b\r\nc: d"], "--header"),
    (["ws://a", "--ping", "0"], "--ping"),
    (["ws://a", "--ping", "nan"], "--ping"),
    (["ws://a", "--wait=-1"], "--wait"),
    (["ws://a", "--insecure", "--ca-certificate", "a.pem"], "leave one out"),
]


BAD_BENCH_FLAGS = [
    (["echo"], "<url>"),
    (["bogus", "ws://a"], "bogus"),
    (["echo", "ws://a", "--depth", "0"], "--depth"),
    (["echo", "ws://a", "--rate", "5", "--depth", "2"], "leave one out"),
    (["broadcast", "ws://a", "--size", "3"], "at least 16"),
    (["idle", "ws://a", "--rate", "5"], "--rate"),
]


@pytest.mark.parametrize("flags, named", BAD_BENCH_FLAGS, ids=[" ".join(flags) for flags, _ in BAD_BENCH_FLAGS])
def test_bad_flags_of_bench(run, flags, named):
    client = run("bench", *flags)
    assert client.wait() == 64
    help_of = "bench" if flags[0] == "bogus" else f"bench {flags[0]}"
    assert named in complaint(client) and complaint(client).endswith(f"(see `duplex {help_of} --help`)")


@pytest.mark.parametrize("flags, named", BAD_CONNECT_FLAGS, ids=[" ".join(flags) for flags, _ in BAD_CONNECT_FLAGS])
def test_bad_flags_of_connect(run, flags, named):
    client = run("connect", *flags)
    assert client.wait() == 64
    assert named in complaint(client) and complaint(client).endswith("(see `duplex connect --help`)")


BAD_URLS = [
    ("nonsense", "ws:// or wss://"),
    ("", "ws:// or wss://"),
    ("ftp://a/", "ws or wss"),
    ("ws://", "no host"),
    ("ws://a:99999/", "1 to 65535"),
    ("ws://a/b c", "%20"),
    ("ws://a/#part", "fragment"),
    ("ws://user:secret@a b/", "%20"),
]


@pytest.mark.parametrize("url, why", BAD_URLS, ids=[url for url, _ in BAD_URLS])
def test_bad_addresses(run, url, why):
    client = run("connect", url)
    assert client.wait() == 64
    assert why in complaint(client)
    assert "secret" not in complaint(client)


@pytest.mark.parametrize("name", ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol"])
def test_a_header_that_belongs_to_the_handshake(run, name):
    client = run("connect", "ws://127.0.0.1:1/", "--header", f"{name}: x")
    assert client.wait() == 64
    assert name in complaint(client)


def test_an_unknown_subcommand(run):
    for arguments in (["bogus"], ["--bogus"]):
        program = run(*arguments)
        assert program.wait() == 64
        assert "bogus" in complaint(program) and complaint(program).endswith("(see `duplex --help`)")


def test_nobody_listens(run):
    # Bound and not listening: nobody else can take the port meanwhile.
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        client = run("connect", f"ws://127.0.0.1:{port}/")
        assert client.wait() == 1
        assert f"127.0.0.1 cannot be reached on port {port}" in complaint(client) and "refused" in complaint(client)


def test_an_unknown_host(run):
    client = run("connect", "ws://no-such-host.invalid/")
    assert client.wait() == 1
    assert "no address was found for no-such-host.invalid" in complaint(client)


def test_tls_to_a_server_without_tls(run, start_server):
    client = run("connect", start_server().base.replace("http:", "wss:"))
    assert client.wait() == 1
    assert "TLS" in complaint(client)


def test_no_tls_to_a_server_with_tls(run, start_server, tls_flags):
    client = run("connect", start_server(*tls_flags).base.replace("https:", "ws:"))
    assert client.wait() == 1
    assert complaint(client).startswith("cannot connect to ws://127.0.0.1")


@pytest.mark.parametrize("what", ["missing", "empty", "text"])
def test_roots_that_hold_no_certificate(run, bad_file, what):
    client = run("connect", "wss://127.0.0.1:1/", "--ca-certificate", bad_file[what])
    assert client.wait() == 1
    assert str(bad_file[what]) in complaint(client)


# Help


def test_help_says_what_the_flags_are(run):
    whole = run("--help")
    assert whole.wait() == 0
    assert all(name in whole.out.text for name in ("serve", "connect", "bench"))
    flags = {
        "serve": "host port threads tls-certificate tls-key max-message-size max-connections allow-origin transport compression socketio-recovery redis redis-adapter log-level",
        "connect": "header subprotocol ca-certificate insecure binary ping wait compression log-level",
    }
    for name, expected in flags.items():
        for form in ([name, "--help"], ["help", name]):
            program = run(*form, env={"COLUMNS": "80"})
            assert program.wait() == 0 and program.err.text == ""
            described = re.findall(r"^  (?:-\w, )?--([\w-]+)", program.out.text, re.MULTILINE)
            assert described == [*expected.split(), "version", "help"] if name == "serve" else set(expected.split()) <= set(described)


def test_serve_prints_an_address_that_can_be_opened(start_server, tls_flags):
    for flags, start in (([], "http://127.0.0.1:"), (["--host", "localhost"], "http://localhost:"), (["--host", "::1"], "http://[::1]:")):
        server = start_server(*flags)
        assert server.out.text == f"Duplex is listening on {start}{server.port}/\n"
    assert start_server(*tls_flags).base.startswith("https://")


# Benchmarks


BRIEFLY = ["--seconds", "0.2", "--connections", "4", "--threads", "1"]


@pytest.mark.parametrize("kind, path, count", [("echo", "echo", "messages"), ("latency", "echo", "messages"), ("broadcast", "broadcast", "messages"), ("handshake", "echo", "handshakes"), ("idle", "echo", "handshakes")])
def test_a_benchmark_in_json(run, echo_server, kind, path, count):
    warm_up = [] if kind == "idle" else ["--warm-up", "0.1"]
    bench = run("bench", kind, f"{echo_server.ws}/{path}", *BRIEFLY, *warm_up, "--json")
    assert bench.wait() == 0
    result = json.loads(bench.out.text)
    assert result["kind"] == kind and result["problems"] == [] and result[count] > 0
    assert result["server"]["pid"] == echo_server.process.pid
    assert bench.err.text == "", "no bar where there is no terminal"


def test_a_benchmark_as_a_table(run, echo_server):
    bench = run("bench", "echo", echo_server.ws + "/echo", *BRIEFLY)
    assert bench.wait() == 0
    assert re.search(r"^ +messages/s +MB/s +p50 +p90 +p99 +p99.9 +max +errors\ndelay +[\d,.]+ ", bench.out.text, re.MULTILINE)
    assert "\x1b" not in bench.out.text


def test_a_benchmark_of_what_is_no_echo_server(run, echo_server):
    bench = run("bench", "echo", echo_server.ws + "/people", *BRIEFLY)
    assert bench.wait() == 1
    assert "has to send back what it gets" in bench.err.text


def test_a_benchmark_of_nobody(run):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        bench = run("bench", "echo", f"ws://127.0.0.1:{holder.getsockname()[1]}/")
        assert bench.wait() == 1
        assert "refused" in complaint(bench)


async def test_ctrl_c_ends_a_benchmark_and_it_tells_what_there_is(terminal, echo_server):
    window = terminal("bench", "echo", echo_server.ws + "/echo", "--seconds", "3600", "--connections", "4", "--warm-up", "0")
    await until(window, r"\[#*\.+\] [\d,]+ s left, [\d,.]+/s")
    window.type("\x03")
    assert await ended(window) == 0
    assert "messages/s" in window.out.text and "ended early, by an interrupt" in window.out.text


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_drains_the_server(start_server, number):
    server = start_server()
    async with websockets_connect(server.ws + "/echo", proxy=None) as one, websockets_connect(server.ws + "/broadcast", proxy=None) as two:
        server.signal(number)
        for socket_ in (one, two):
            with pytest.raises(ConnectionClosed) as closed:
                await socket_.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "the server shuts down")
    assert await ended(server) == 0
    assert server.err.text == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_server_that_serves_nobody(start_server, number):
    server = start_server()
    server.signal(number)
    assert server.wait() == 0
    assert server.err.text == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_closes_a_connection_politely(run, start_server, number):
    client = run("connect", start_server().ws + "/echo")
    await asyncio.to_thread(client.err.until, "connected to")
    client.signal(number)
    assert await ended(client) == 0
    assert client.err.lines[-1] == "closed by this end: 1000 (normal)"


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_second_signal_quits(run, number, status):
    closing = asyncio.Event()

    async def never_answer(peer):
        await peer.accept()
        await peer.read_until(raw.CLOSE)
        closing.set()
        await peer.reader.read()

    async with raw.serving(never_answer) as url:
        client = run("connect", url)
        await asyncio.to_thread(client.err.until, "connected to")
        client.signal(number)
        await closing.wait()
        client.signal(number)
        assert await ended(client) == status


async def test_a_signal_before_the_connection_is_open_quits(run):
    asked = asyncio.Event()

    async def never_answer(peer):
        await peer.reader.readuntil(b"\r\n\r\n")
        asked.set()
        await peer.reader.read()

    async with raw.serving(never_answer) as url:
        client = run("connect", url)
        await asked.wait()
        client.signal(signal.SIGINT)
        assert await ended(client) == 130


# Whoever does not answer: these take as long as the limits are, seconds


@pytest.mark.whole
async def test_a_peer_that_never_answers_does_not_keep_a_draining_server(start_server):
    server = start_server()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    writer.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    # An empty text message, masked with zeros: once its echo is here, the connection is open at both ends.
    writer.write(b"\x81\x80\0\0\0\0")
    assert await reader.readexactly(2) == b"\x81\x00"
    server.signal(signal.SIGTERM)
    assert await reader.readexactly(25) == b"\x88\x17\x03\xe9the server shuts down"
    # The close handshake has 5 s, draining 30.
    assert await ended(server) == 0
    writer.close()


@pytest.mark.whole
async def test_a_server_that_never_answers_a_close_does_not_keep_connect(run):
    async def never_answer(peer):
        await peer.accept()
        await peer.reader.read()

    async with raw.serving(never_answer) as url:
        client = run("connect", url, "--wait", "0")
        client.end_input()
        assert await ended(client) == 1
    assert client.err.lines[-1] == "closed by this end: 1000 (normal), without a complete close handshake"


@pytest.mark.whole
async def test_a_server_that_never_answers_the_handshake_is_given_up(run):
    async def never_answer(peer):
        await peer.reader.read()

    async with raw.serving(never_answer) as url:
        client = run("connect", url)
        assert await ended(client) == 1
    assert "10" in complaint(client)


# Out of file descriptors


async def test_without_descriptors_the_server_serves_who_is_there(start_server):
    server = start_server("--threads", 2, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    url = server.ws + "/echo"
    waiting = {asyncio.create_task(websockets_connect(url, proxy=None, open_timeout=None, ping_interval=None).__aenter__()) for _ in range(80)}
    sockets = []

    async def open_at_least(count):
        while len(sockets) < count:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            waiting.difference_update(done)
            sockets.extend(task.result() for task in done)

    async def all_are_served(text):
        for each in sockets:
            await each.send(text)
        assert [await each.recv() for each in sockets] == [text] * len(sockets)

    try:
        await open_at_least(20)
        await asyncio.to_thread(server.err.until, "limit of open files")
        await all_are_served("still here")
        assert waiting, "80 connections do not fit into 64 descriptors"

        # Where accept(2) fails and the listening socket is watched on, a core spins: 100 ticks a second. The two seconds are the measure.
        before = server.cpu_ticks
        await asyncio.sleep(2)
        assert server.cpu_ticks - before < 20

        await all_are_served("and still")
        there = len(sockets)
        for _ in range(10):
            await sockets.pop(0).close()
        await open_at_least(there - 5)
        await all_are_served("newcomers too")
        assert len(server.err.lines) <= 3, "a few lines tell it; one for each attempt would be a flood"
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.gather(*(each.close() for each in sockets))


# Pipes


async def test_a_pipe_gets_plain_lines(run, echo_server):
    client = run("connect", echo_server.ws + "/echo", env={"TERM": "xterm-256color"})
    client.type("a\n\x1b[31mb\n")
    client.end_input()
    assert await ended(client) == 0
    assert client.out.text == "a\n\x1b[31mb\n", "payloads are as they are"
    assert client.err.lines == [f"connected to {echo_server.ws}/echo", "closed by this end: 1000 (normal)"]


async def test_lines_are_answered_as_they_are_typed(run, echo_server):
    client = run("connect", echo_server.ws + "/echo")
    for line in ("first", "second"):
        client.type(line + "\n")
        await asyncio.to_thread(client.out.until, f"^{line}\n")
    client.end_input()
    assert await ended(client) == 0


async def test_an_empty_input_opens_and_closes(run, echo_server):
    client = run("connect", echo_server.ws + "/echo")
    client.end_input()
    assert await ended(client) == 0
    assert client.out.text == ""


# Terminals


async def until(terminal, pattern):
    await asyncio.to_thread(terminal.out.until, pattern)


async def test_a_terminal_gets_colour_and_a_prompt(terminal, echo_server):
    window = terminal("connect", echo_server.ws + "/echo")
    await until(window, re.escape(PROMPT))
    window.type("hello\n")
    await until(window, re.escape("\x1b[36m<\x1b[0m hello"))
    window.type("\x04")
    assert await ended(window) == 0
    assert "closed by this end: 1000 (normal)" in window.out.text


@pytest.mark.parametrize("environment, has_prompt", [({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False)])
async def test_colour_can_be_refused(terminal, echo_server, environment, has_prompt):
    window = terminal("connect", echo_server.ws + "/echo", env=environment)
    await until(window, "connected to")
    window.type("hello\n")
    await until(window, "< hello")
    window.type("\x04")
    assert await ended(window) == 0
    assert not re.search("\x1b\\[[0-9;]*m", window.out.text)
    assert ("> " in window.out.text) == has_prompt


async def test_a_message_does_not_mangle_what_is_being_typed(terminal):
    typed = asyncio.Event()

    async def interrupt(peer):
        await peer.accept()
        await typed.wait()
        await peer.write(b"\x81\x05while")
        await peer.read_until(1)
        await peer.write(b"\x88\x02\x03\xe8")
        await peer.read_until(raw.CLOSE)

    async with raw.serving(interrupt) as url:
        window = terminal("connect", url)
        await until(window, re.escape(PROMPT))
        window.type("half a")
        await until(window, "half a")
        typed.set()
        # Room is made above the line, the message is put there, and the cursor goes back to where it was (ESC 7, ESC 8).
        await until(window, "\x1b7\r\x1b\\[1L.*while\x1b8")
        window.type(" line\n")
        assert await ended(window) == 0


async def test_a_server_can_not_command_the_terminal(terminal):
    async def attack(peer):
        await peer.accept()
        await peer.write(b"\x81\x0e\x1b]0;owned\x07\x1b[2J" + b"\x82\x03\x00\x1b\xff" + b"\x88\x02\x03\xe8")
        await peer.read_until(raw.CLOSE)

    async with raw.serving(attack) as url:
        window = terminal("connect", url, env={"NO_COLOR": "1"})
        assert await ended(window) == 0
    assert "\x1b]0;" not in window.out.text and "\x1b[2J" not in window.out.text
    assert r"\u{1b}]0;owned\u{7}\u{1b}[2J" in window.out.text
    assert "binary, 3 bytes: 00 1b ff |...|" in window.out.text


async def test_ctrl_d_closes_with_1000_and_waits_for_the_answer(terminal):
    closing, answer = asyncio.Event(), asyncio.Event()
    closes = []

    async def answer_late(peer):
        await peer.accept()
        closes.append(await peer.read_until(raw.CLOSE))
        closing.set()
        await answer.wait()
        await peer.write(b"\x88\x02\x03\xe8")

    async with raw.serving(answer_late) as url:
        window = terminal("connect", url)
        await until(window, re.escape(PROMPT))
        window.type("\x04")
        await closing.wait()
        assert window.process.poll() is None, "the answer has not come yet"
        answer.set()
        assert await ended(window) == 0
    assert closes == [b"\x03\xe8"]


async def test_ctrl_c_closes_too(terminal, echo_server):
    window = terminal("connect", echo_server.ws + "/echo")
    await until(window, re.escape(PROMPT))
    window.type("\x03")
    assert await ended(window) == 0
    assert "closing; Ctrl-C again quits at once" in window.out.text
    assert "closed by this end: 1000 (normal)" in window.out.text


async def test_the_servers_end_ends_the_prompt(terminal, start_server):
    server = start_server()
    window = terminal("connect", server.ws + "/echo")
    await until(window, re.escape(PROMPT))
    server.interrupt()
    assert await ended(window) == 0
    assert "closed by the server: 1001 (going away) “the server shuts down”" in window.out.text
