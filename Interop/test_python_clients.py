"""Python's two great WebSocket libraries, `websockets` and `aiohttp`, as clients of `duplex serve`.

Both have their own framing, masking and close handshake, so that a mistake which Duplex's own two ends share is seen here.
"""

import asyncio
import contextlib
import ssl

import aiohttp
import pytest
from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

MIB = 1 << 20
TEXTS = ["", "hello", "Grüße, 世界 🌍", "x" * 125, "x" * 126, "x" * 65_535, "x" * 65_536, "é" * (MIB // 2)]
BINARIES = [b"", b"\x00\xff\x80", bytes(range(256)), b"\x81\x05hello", bytes(126), bytes(65_536), bytes(range(256)) * (MIB // 256)]
ECHOES = ["/echo", "/echo-async"]


def client(url, **options):
    """A connection of `websockets`, straight and not through a proxy of the environment."""
    return websockets_connect(url, proxy=None, max_size=None, **options)


@contextlib.asynccontextmanager
async def aiohttp_client(url, **options):
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0, **options) as socket:
        yield socket


# Messages


@pytest.mark.parametrize("path", ECHOES)
async def test_websockets_gets_every_message_back(echo_server, path):
    async with client(echo_server.ws + path) as socket:
        for message in TEXTS + BINARIES:
            await socket.send(message)
            assert await socket.recv() == message, "type and content are kept"


@pytest.mark.parametrize("path", ECHOES)
async def test_aiohttp_gets_every_message_back(echo_server, path):
    async with aiohttp_client(echo_server.ws + path) as socket:
        for text in TEXTS:
            await socket.send_str(text)
            assert await socket.receive_str() == text
        for binary in BINARIES:
            await socket.send_bytes(binary)
            assert await socket.receive_bytes() == binary


@pytest.mark.parametrize("path", ECHOES)
async def test_answers_keep_their_order_when_nobody_waits_for_them(echo_server, path):
    async with client(echo_server.ws + path) as socket:
        messages = [str(number) * (number % 50) for number in range(2_000)]

        async def send():
            for message in messages:
                await socket.send(message)

        sending = asyncio.create_task(send())
        assert [await socket.recv() for _ in messages] == messages
        await sending


@pytest.mark.parametrize("path", ECHOES)
@pytest.mark.parametrize("pieces", [["a", "b", "c"], ["", "", "end"], ["x" * 70_000, "", "y" * 70_000], [b"\x00", b"", b"\xff" * 300]])
async def test_a_message_in_fragments_is_one_message(echo_server, path, pieces):
    async with client(echo_server.ws + path) as socket:
        await socket.send(iter(pieces))
        assert await socket.recv() == type(pieces[0])().join(pieces)


async def test_a_ping_between_fragments_is_answered_before_the_message(echo_server):
    async with client(echo_server.ws + "/echo") as socket:
        first_sent, ponged = asyncio.Event(), asyncio.Event()

        async def pieces():
            yield "first "
            first_sent.set()
            await ponged.wait()
            yield "second"

        sending = asyncio.create_task(socket.send(pieces()))
        await first_sent.wait()
        await (await socket.ping(b"in between"))
        ponged.set()
        await sending
        assert await socket.recv() == "first second"


# Pings


@pytest.mark.parametrize("payload", [b"", b"x", b"\xff" * 125])
async def test_pings_are_answered_with_their_payload(echo_server, payload):
    async with client(echo_server.ws + "/echo") as socket:
        # `ping` gives a future that only a pong with the same payload completes.
        assert await (await socket.ping(payload)) >= 0


async def test_aiohttp_sees_the_pong_itself(echo_server):
    async with aiohttp_client(echo_server.ws + "/echo", autoping=False) as socket:
        await socket.ping(b"ping of aiohttp")
        message = await socket.receive()
        assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"ping of aiohttp")


async def test_a_pong_nobody_asked_for_is_ignored(echo_server):
    async with client(echo_server.ws + "/echo") as socket:
        await socket.pong(b"unasked")
        await socket.send("still here")
        assert await socket.recv() == "still here"


# Broadcast


@pytest.mark.parametrize("message", ["to all", b"\x00\x01", "", "x" * MIB], ids=["text", "binary", "empty", "1 MiB"])
async def test_a_broadcast_reaches_everyone_once_the_sender_included(start_server, message):
    server = start_server()
    async with client(server.ws + "/broadcast") as speaker, client(server.ws + "/broadcast") as listener:
        async with aiohttp_client(server.ws + "/broadcast") as third:
            await speaker.send(message)
            await speaker.send("after it")
            for socket in (speaker, listener):
                assert [await socket.recv(), await socket.recv()] == [message, "after it"]
            assert [(await third.receive()).data, (await third.receive()).data] == [message, "after it"]


async def test_people_tells_how_many_are_on_the_broadcast(start_server):
    server = start_server()
    async with client(server.ws + "/people") as watcher:
        assert await watcher.recv() == "0"
        async with client(server.ws + "/broadcast"):
            assert await watcher.recv() == "1"
        assert await watcher.recv() == "0"


# Closing


@pytest.mark.parametrize("path", ECHOES)
@pytest.mark.parametrize("code, reason", [(1000, ""), (1000, "bye"), (1001, "ü" * 61), (3000, "mine"), (4999, "last")])
async def test_the_clients_close_is_answered_with_its_code(echo_server, path, code, reason):
    async with client(echo_server.ws + path) as socket:
        await socket.close(code, reason)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert (closed.value.sent.code, closed.value.sent.reason) == (code, reason)
    assert closed.value.rcvd.code == code, "RFC 6455 §5.5.1: the peer's code is echoed"
    assert closed.value.rcvd_then_sent is False, "the client closed first"


async def test_aiohttps_close_is_answered(echo_server):
    async with aiohttp_client(echo_server.ws + "/echo") as socket:
        assert await socket.close(code=4001, message=b"enough")
        assert socket.close_code == 4001


@pytest.mark.parametrize("path", ECHOES + ["/broadcast", "/people"])
async def test_a_stopping_server_closes_with_1001_and_a_reason(start_server, path):
    server = start_server()
    async with client(server.ws + path) as socket, aiohttp_client(server.ws + path) as other:
        server.interrupt()
        # /people may have told of its numbers before that.
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await socket.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd_then_sent) == (1001, True)
        assert closed.value.rcvd.reason
        while (message := await other.receive()).type in (aiohttp.WSMsgType.TEXT,):
            pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
    assert server.wait() == 0


@pytest.mark.parametrize("path", ECHOES)
async def test_a_message_over_the_limit_closes_with_1009(start_server, path):
    server = start_server("--max-message-size", 1_000)
    async with client(server.ws + path) as socket:
        await socket.send("x" * 1_000)
        assert await socket.recv() == "x" * 1_000, "the limit itself is allowed"
        await socket.send("x" * 1_001)
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.recv()
    assert closed.value.rcvd.code == 1009
    assert "maxMessageSize" in closed.value.rcvd.reason, "the limit is named"


@pytest.mark.parametrize("path", ECHOES)
async def test_fragments_are_counted_together_against_the_limit(start_server, path):
    server = start_server("--max-message-size", 1_000)
    async with client(server.ws + path) as socket:
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.send(iter(["x" * 600, "x" * 600]))
            await socket.recv()
    assert closed.value.rcvd.code == 1009


async def test_the_default_limit_is_one_mebibyte(echo_server):
    async with aiohttp_client(echo_server.ws + "/echo") as socket:
        await socket.send_bytes(bytes(MIB + 1))
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)


# The handshake


async def test_a_subprotocol_the_server_does_not_speak_is_not_agreed_on(echo_server):
    async with client(echo_server.ws + "/echo", subprotocols=["chat.v2", "chat.v1"]) as socket:
        assert socket.subprotocol is None
    async with aiohttp_client(echo_server.ws + "/echo", protocols=["chat.v2"]) as socket:
        assert socket.protocol is None


async def test_a_page_of_another_origin_is_refused(start_server):
    server = start_server("--allow-origin", "https://friend.example")
    for origin in (None, server.base, "https://friend.example"):
        async with client(server.ws + "/echo", origin=origin) as socket:
            await socket.send("let in")
            assert await socket.recv() == "let in"
    with pytest.raises(InvalidStatus) as refused:
        await client(server.ws + "/echo", origin="https://stranger.example")
    assert refused.value.response.status_code == 403


async def test_a_path_that_is_not_there_is_404(echo_server):
    with pytest.raises(InvalidStatus) as refused:
        await client(echo_server.ws + "/nowhere")
    assert refused.value.response.status_code == 404
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as failed:
            await session.ws_connect(echo_server.ws + "/nowhere")
    assert failed.value.status == 404


async def test_connections_over_the_limit_are_refused_and_the_others_served(start_server):
    server = start_server("--max-connections", 2)
    async with client(server.ws + "/echo") as first, client(server.ws + "/echo"):
        with pytest.raises(InvalidStatus) as refused:
            await client(server.ws + "/echo")
        assert refused.value.response.status_code == 503
        await first.send("still served")
        assert await first.recv() == "still served"


async def test_health_counts(start_server):
    # With one thread, the counts of a message are taken before anything else is answered; with more they may lag by a moment.
    server = start_server("--threads", 1)
    async with client(server.ws + "/echo") as socket, aiohttp.ClientSession() as session:
        await socket.send("one")
        await socket.recv()
        async with session.get(server.base + "/health") as response:
            assert response.content_type == "application/json"
            assert await response.json() == {
                "status": "ok", "connections": 1, "connectionsTotal": 1, "messagesReceived": 1, "messagesSent": 1,
            }  # fmt: skip


# TLS


@pytest.mark.parametrize("path", ECHOES + ["/broadcast"])
async def test_websockets_over_tls(start_server, tls_flags, trusting, path):
    server = start_server(*tls_flags)
    assert server.ws.startswith("wss:")
    async with client(server.ws + path, ssl=trusting) as socket:
        for message in TEXTS + BINARIES:
            await socket.send(message)
            assert await socket.recv() == message
        assert socket.transport.get_extra_info("ssl_object").version() == "TLSv1.3"


async def test_aiohttp_over_tls(start_server, tls_flags, trusting):
    server = start_server(*tls_flags)
    async with aiohttp_client(f"wss://localhost:{server.port}/echo", ssl=trusting) as socket:
        await socket.send_bytes(bytes(MIB))
        assert await socket.receive_bytes() == bytes(MIB)
        await socket.close(code=4000)
        assert socket.close_code == 4000


@pytest.mark.parametrize("version, served", [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
async def test_tls_from_1_2_on(start_server, tls_flags, certificate, version, served):
    server = start_server(*tls_flags)
    context = ssl.create_default_context(cafile=certificate.ca)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns() if not served else contextlib.nullcontext():
        context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    if not served:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await client(server.ws + "/echo", ssl=context)
        return
    async with client(server.ws + "/echo", ssl=context) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
