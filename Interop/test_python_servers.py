"""`duplex connect` against servers of Python's `websockets` and `aiohttp`: what the client half of Duplex says, and understands."""

import asyncio
import base64
import contextlib
import http
import os
import ssl

import aiohttp
import certificates
import pytest
from aiohttp import web
from cryptography import x509
from websockets.asyncio.server import serve as websockets_serve
from websockets.exceptions import ConnectionClosed

MIB = 1 << 20


@contextlib.asynccontextmanager
async def serving_websockets(handler, tls=None, **options):
    """A server of `websockets`; gives its address, without a path."""
    async with websockets_serve(handler, "127.0.0.1", 0, ssl=tls, max_size=None, close_timeout=5, **options) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'wss' if tls else 'ws'}://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def serving_aiohttp(routes, tls=None):
    """A server of `aiohttp` with these handlers by path; gives its address, without a path."""
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, shutdown_timeout=5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"{'wss' if tls else 'ws'}://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def aiohttp_echo(request):
    socket = web.WebSocketResponse(max_msg_size=0, protocols=("chat.v1",))
    await socket.prepare(request)
    async for message in socket:
        if message.type == aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


async def ended(program):
    """Waits for the command's end, while the server goes on; returns its exit code."""
    return await asyncio.to_thread(program.wait)


def last_line(program):
    return program.err.lines[-1]


async def converse(connect, url, text, *flags):
    """Pipes a text through `duplex connect`, to the end."""
    program = connect(url, *flags)
    # In a thread: a pipe holds 64 KiB, and the server that empties it is in this one.
    await asyncio.to_thread(program.type, text)
    program.end_input()
    return await ended(program), program


# Messages


LINES = ["hello", "", "Grüße, 世界 🌍", "x" * 200_000, " spaces kept ", "tab\tand \x1b[31mescape"]


@pytest.mark.parametrize("kind", ["websockets", "aiohttp"])
async def test_lines_go_out_as_messages_and_answers_come_back(connect, kind):
    server = serving_websockets(echo) if kind == "websockets" else serving_aiohttp({"/": aiohttp_echo})
    async with server as url:
        code, program = await converse(connect, url + "/", "".join(line + "\n" for line in LINES))
    assert program.out.text == "".join(line + "\n" for line in LINES), "in a pipe, payloads are as they came"
    assert program.err.lines == [f"connected to {url}/", "closed by this end: 1000 (normal)"]
    assert code == 0


async def test_each_line_is_one_text_message(connect):
    got = []

    async def listen(socket):
        async for message in socket:
            got.append(message)

    async with serving_websockets(listen) as url:
        code, _ = await converse(connect, url, "one\n\nlast, without a line feed")
    assert got == ["one", "", "last, without a line feed"]
    assert code == 0


async def test_binary_sends_any_bytes(connect):
    got = []

    async def listen(socket):
        async for message in socket:
            got.append(message)
            await socket.send(message)

    async with serving_websockets(listen) as url:
        code, program = await converse(connect, url, b"\xff\x00\xfe\nsecond\n", "--binary")
    assert got == [b"\xff\x00\xfe", b"second"]
    assert program.out.bytes == b"\xff\x00\xfe\nsecond\n"
    assert code == 0


async def test_a_line_that_is_not_utf8_is_not_sent_as_text(connect):
    async with serving_websockets(echo) as url:
        code, program = await converse(connect, url, b"fine\n\xff\n")
    assert code == 1
    assert last_line(program) == "duplex: line 2 of the input is not UTF-8, as a text message has to be; --binary sends any bytes"


@pytest.mark.parametrize("size", [MIB, 8 * MIB])
async def test_big_messages_both_ways(connect, size):
    async with serving_aiohttp({"/": aiohttp_echo}) as url:
        code, program = await converse(connect, url, b"x" * size + b"\n")
    assert program.out.bytes == b"x" * size + b"\n"
    assert code == 0


@pytest.mark.parametrize("pieces", [["a", "é", "c"], [b"\x00", b"", b"\xff" * 70_000]])
async def test_fragments_are_joined(connect, pieces):
    async def speak(socket):
        await socket.send(iter(pieces))
        await socket.close()

    async with serving_websockets(speak) as url:
        program = connect(url)
        assert await ended(program) == 0
    whole = type(pieces[0])().join(pieces)
    assert program.out.bytes == (whole.encode() if isinstance(whole, str) else whole) + b"\n"


async def test_many_messages_keep_their_order(connect):
    async def speak(socket):
        for number in range(5_000):
            await socket.send(str(number))
        await socket.close()

    async with serving_websockets(speak) as url:
        program = connect(url)
        assert await ended(program) == 0
    assert program.out.lines == [str(number) for number in range(5_000)]


# Pings


async def test_the_servers_pings_are_answered(connect):
    round_trips = []

    async def ask(socket):
        for payload in (b"", b"\xff" * 125):
            round_trips.append(await (await socket.ping(payload)))

    async with serving_websockets(ask) as url:
        assert await ended(connect(url)) == 0
    assert len(round_trips) == 2


async def test_ping_asks_the_server_and_tells_the_time(connect):
    pings, enough = [], asyncio.Event()

    async def count(request):
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        async for message in socket:
            assert message.type == aiohttp.WSMsgType.PING
            pings.append(message.data)
            await socket.pong(message.data)
            if len(pings) == 3:
                enough.set()
        return socket

    async with serving_aiohttp({"/": count}) as url:
        program = connect(url, "--ping", "0.05")
        await enough.wait()
        await asyncio.to_thread(program.err.until, r"(?:^pong after \d+\.\d\d ms\n){2}")
        program.end_input()
        assert await ended(program) == 0
    assert len(pings) >= 3


# The handshake


async def test_what_the_server_is_told(connect):
    seen = []

    async def look(socket):
        seen.append(socket.request)

    async with serving_websockets(look) as url:
        flags = ["-H", "X-One: 1", "--header", "Authorization: Bearer abc:def", "-H", "X-Two: a", "-H", "X-Two: b", "-H", "X-Empty:"]
        assert await ended(connect(f"{url}/path/%20x?q=1&r=%2F", *flags)) == 0
    headers = seen[0].headers
    assert seen[0].path == "/path/%20x?q=1&r=%2F", "byte for byte"
    assert headers["Host"] == url.removeprefix("ws://")
    assert (headers["Upgrade"].lower(), headers["Connection"].lower()) == ("websocket", "upgrade")
    assert headers["Sec-WebSocket-Version"] == "13"
    assert len(base64.b64decode(headers["Sec-WebSocket-Key"], validate=True)) == 16
    assert (headers["X-One"], headers["Authorization"], headers["X-Empty"]) == ("1", "Bearer abc:def", "")
    assert headers.get_all("X-Two") == ["a", "b"]
    assert "Origin" not in headers, "that is for browsers"


@pytest.mark.parametrize("offered, chosen", [(["chat.v2", "chat.v1"], "chat.v1"), (["chat.v1"], "chat.v1"), (["other"], None), ([], None)])
async def test_the_subprotocol_that_the_server_chooses(connect, offered, chosen):
    async with serving_aiohttp({"/": aiohttp_echo}) as url:
        code, program = await converse(connect, url, "hello\n", *(flag for name in offered for flag in ("--subprotocol", name)))
    assert program.err.lines[0] == f"connected to {url}/" + (f", subprotocol {chosen}" if chosen else "")
    assert program.out.text == "hello\n"
    assert code == 0


async def test_a_subprotocol_that_was_not_offered_is_refused(connect):
    async def insist(socket):
        pass

    async with serving_websockets(insist, select_subprotocol=lambda connection, offered: "unwanted") as url:
        code, program = await converse(connect, url, "")
    # RFC 6455 §4.1: "the client MUST _Fail the WebSocket Connection_".
    assert code == 1
    assert len(program.err.lines) == 1 and "unwanted" in last_line(program)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("form", ["relative", "absolute"])
async def test_a_redirect_is_followed(connect, status, form):
    async def redirect(request):
        return web.Response(status=status, headers={"Location": "/there?x=1" if form == "relative" else f"{here}/there?x=1"})

    async with serving_aiohttp({"/here": redirect, "/there": aiohttp_echo}) as here:
        code, program = await converse(connect, f"{here}/here", "hello\n")
    assert program.err.lines[0] == f"connected to {here}/there?x=1"
    assert program.out.text == "hello\n"
    assert code == 0


async def test_credentials_stay_with_the_origin_they_were_meant_for(connect):
    seen = []

    async def note(request):
        seen.append({name: request.headers.get(name) for name in ("Authorization", "Cookie", "X-Other")})
        return await aiohttp_echo(request)

    async def redirect(request):
        raise web.HTTPFound(f"{elsewhere}/there")

    async with serving_aiohttp({"/there": note}) as elsewhere, serving_aiohttp({"/here": redirect, "/there": note}) as here:
        flags = ["-H", "Authorization: Basic eDp5", "-H", "Cookie: a=b", "-H", "X-Other: goes along"]
        for address in (f"{here}/there", f"{here}/here"):
            code, _ = await converse(connect, address, "", *flags)
            assert code == 0
    assert seen[0] == {"Authorization": "Basic eDp5", "Cookie": "a=b", "X-Other": "goes along"}
    assert seen[1] == {"Authorization": None, "Cookie": None, "X-Other": "goes along"}


async def test_a_redirect_in_circles_ends(connect):
    async def redirect(request):
        raise web.HTTPFound("/again")

    async with serving_aiohttp({"/again": redirect}) as url:
        code, program = await converse(connect, f"{url}/again", "")
    assert code == 1
    assert len(program.err.lines) == 1 and "redirect" in last_line(program)


async def test_a_redirect_from_wss_to_ws_is_not_followed(connect, serving, certificate):
    async def redirect(request):
        raise web.HTTPFound(f"{plain}/there")

    async with serving_aiohttp({"/there": aiohttp_echo}) as plain, serving_aiohttp({"/here": redirect}, tls=serving) as secure:
        code, program = await converse(connect, f"{secure}/here", "", "--ca-certificate", certificate.ca)
    assert code == 1
    assert "not encrypted" in last_line(program)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 426, 429, 500, 503])
async def test_a_refusal_is_told_with_its_status_and_what_it_says(connect, status):
    def refuse(connection, request):
        return connection.respond(http.HTTPStatus(status), "come back on Monday\nand other lines\n")

    async with serving_websockets(echo, process_request=refuse) as url:
        code, program = await converse(connect, url, "never sent\n")
    assert code == 1
    assert program.out.text == ""
    assert len(program.err.lines) == 1
    assert f"the server answered {status}" in last_line(program) and "come back on Monday" in last_line(program)


async def test_a_server_that_is_no_http_server(connect):
    async def babble(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        code, program = await converse(connect, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", "")
    assert code == 1
    assert len(program.err.lines) == 1 and last_line(program).startswith("duplex: cannot connect to ws://127.0.0.1")


# Closing


CLOSES = [
    (1000, "", "1000 (normal)", 0),
    (1000, "bye", "1000 (normal) “bye”", 0),
    (1001, "", "1001 (going away)", 0),
    (1008, "no", "1008 (policy violation) “no”", 1),
    (1011, "ü" * 61, f"1011 (internal error) “{'ü' * 61}”", 1),
    (1012, "", "1012 (service restart)", 1),
    (3000, "", "3000", 1),
    (4999, "own", "4999 “own”", 1),
]


@pytest.mark.parametrize("code, reason, told, status", CLOSES)
@pytest.mark.parametrize("kind", ["websockets", "aiohttp"])
async def test_a_close_by_the_server_is_told_and_answered(connect, kind, code, reason, told, status):
    answered = []

    async def close(socket):
        await socket.send("before the end")
        await socket.close(code, reason)
        answered.append(socket.protocol.close_rcvd.code)

    async def aiohttp_close(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("before the end")
        await socket.close(code=code, message=reason.encode())
        answered.append(socket.close_code)
        return socket

    server = serving_websockets(close) if kind == "websockets" else serving_aiohttp({"/": aiohttp_close})
    async with server as url:
        program = connect(url)
        assert await ended(program) == status
    assert answered == [code], "the close was answered with its own code"
    assert program.out.text == "before the end\n"
    assert last_line(program) == f"closed by the server: {told}"


async def test_a_close_without_a_code_is_clean(connect):
    async def close(socket):
        # A close frame that holds nothing: RFC 6455 §7.1.5 calls that 1005.
        socket.transport.write(b"\x88\x00")
        await socket.wait_closed()

    async with serving_websockets(close) as url:
        program = connect(url)
        assert await ended(program) == 0
    assert last_line(program) == "closed by the server: 1005 (no code given)"


async def test_a_connection_that_breaks_is_1006(connect):
    async def vanish(socket):
        socket.transport.abort()

    async with serving_websockets(vanish) as url:
        program = connect(url)
        assert await ended(program) == 1
    assert last_line(program) == "closed by the server: 1006 (connection lost), without a complete close handshake"


BAD_FRAMES = [
    (b"\x81\x85\x00\x00\x00\x00hello", 1002, "a masked frame"),
    (b"\xa1\x00", 1002, "a reserved bit"),
    (b"\x83\x00", 1002, "a reserved opcode"),
    (b"\x81\x01\xff", 1007, "text that is not UTF-8"),
    (b"\x80\x01a", 1002, "a continuation of nothing"),
    (b"\x89\x7e\x00\x7e" + bytes(126), 1002, "a long ping"),
]


@pytest.mark.parametrize("frame, code", [(frame, code) for frame, code, _ in BAD_FRAMES], ids=[what for *_, what in BAD_FRAMES])
async def test_a_server_that_breaks_the_protocol_is_told_so(connect, frame, code):
    answers = []

    async def offend(socket):
        socket.transport.write(frame)
        await socket.wait_closed()
        answers.append(socket.close_code)

    async with serving_websockets(offend) as url:
        program = connect(url)
        assert await ended(program) == 1
    assert answers == [code]
    assert last_line(program).startswith(f"closed by this end: {code} ")


async def test_the_end_of_the_input_waits_for_late_answers(connect):
    async def answer_late(socket):
        asked = await socket.recv()
        # Not a rest for luck: the lateness is the thing tested, above the default of --wait and far below the one given.
        await asyncio.sleep(0.8)
        await socket.send(f"late answer to {asked}")
        await socket.close()

    async with serving_websockets(answer_late) as url:
        code, program = await converse(connect, url, "question\n", "--wait", "20")
    assert program.out.text == "late answer to question\n"
    assert code == 0


async def test_wait_0_does_not_linger(connect):
    async def say_nothing(socket):
        await socket.wait_closed()

    async with serving_websockets(say_nothing) as url:
        code, program = await converse(connect, url, "question\n", "--wait", "0")
    assert code == 0
    assert program.out.text == ""


async def test_nobody_reading_the_output_is_no_fault(connect):
    async def flood(socket):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send("x" * 1_000)

    reader, writer = os.pipe()
    async with serving_websockets(flood) as url:
        program = connect(url, stdout=writer)
        os.close(writer)
        assert await asyncio.to_thread(os.read, reader, 1) == b"x"
        # As with `| head -1`: a write that finds nobody is the end.
        os.close(reader)
        assert await ended(program) == 0
    assert last_line(program) == "closed by this end: 1000 (normal)"


# TLS


@pytest.mark.parametrize("kind", ["websockets", "aiohttp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_wss_with_the_authority_given(connect, certificate, serving, kind, host):
    server = serving_websockets(echo, tls=serving) if kind == "websockets" else serving_aiohttp({"/": aiohttp_echo}, tls=serving)
    async with server as url:
        url = url.replace("127.0.0.1", host)
        code, program = await converse(connect, url, "over TLS\n", "--ca-certificate", certificate.ca)
    assert program.out.text == "over TLS\n"
    assert program.err.lines == [f"connected to {url}/", "closed by this end: 1000 (normal)"]
    assert code == 0


async def test_wss_whose_certificate_nobody_vouches_for(connect, serving):
    got = []

    async def listen(socket):
        got.append(socket)

    async with serving_websockets(listen, tls=serving) as url:
        code, program = await converse(connect, url, "secret\n")
    assert code == 1
    assert got == []
    assert len(program.err.lines) == 1 and "certificate" in last_line(program)


async def test_wss_insecure_checks_nothing_and_says_so(connect, serving):
    async with serving_websockets(echo, tls=serving) as url:
        code, program = await converse(connect, url, "trusting\n", "--insecure")
    assert program.out.text == "trusting\n"
    assert program.err.lines[0] == "the server's certificate is not checked (--insecure)"
    assert code == 0


async def test_wss_for_another_name(connect, tmp_path):
    other = certificates.make(tmp_path, names=[x509.DNSName("other.example")])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(other.cert, other.key)
    async with serving_websockets(echo, tls=context) as url:
        code, program = await converse(connect, url, "secret\n", "--ca-certificate", other.ca)
    assert code == 1
    assert len(program.err.lines) == 1 and "certificate" in last_line(program)
