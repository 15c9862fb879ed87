"""permessage-deflate (RFC 7692) with others: `websockets`, `aiohttp` and Chromium as clients of `duplex serve`, the two libraries as
servers of `duplex connect`, and ends that do what none of them would.

What was agreed on is asserted to the letter, and that messages really travel compressed is seen on the wire, or in bytes counted.
"""

import asyncio
import contextlib
import json
import random
import re
import zlib
from pathlib import Path

import aiohttp
import pytest
import raw
from aiohttp import web
from programs import Server
from raw import BINARY, CONTINUATION, PING, PONG, TEXT
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websockets_connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websockets_serve
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

NOTHING_KEPT = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
TAIL = b"\x00\x00\xff\xff"  # RFC 7692 §7.2.1: what is taken off every message

JSON = json.dumps([{"id": number, "room": "lobby", "name": f"person {number % 9}", "text": "hello, all"} for number in range(1_400)])
NOISE = random.Random(7692).randbytes(50_000)
# The threshold of `shared` is 512 bytes, that of `dedicated` 32.
MESSAGES = [
    "", "x", "short", "x" * 31, "x" * 32, "y" * 511, "y" * 512, "y" * 513, JSON, "Grüße, 世界 🌍 " * 50, "é" * 40_000,
    b"", b"\x00", b"\x00\xff" * 256, NOISE[:600], NOISE, bytes(100_000), JSON.encode(),
]  # fmt: skip
assert len(JSON) > 100_000


def deflated(message, bits=15, compressor=None):
    """A message compressed by another's zlib."""
    compressor = compressor or zlib.compressobj(9, zlib.DEFLATED, -bits)
    data = message.encode() if isinstance(message, str) else message
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def inflated(payload, bits=15, decompressor=None):
    """What a message was before it was compressed, for a peer that keeps 2^bits bytes of what it has read.

    In small parts: where the output of one call still has it, zlib takes a reference that reaches too far.
    """
    decompressor = decompressor or zlib.decompressobj(-bits)
    whole, rest = b"", payload + TAIL
    while part := decompressor.decompress(rest, 64):
        whole += part
        rest = decompressor.unconsumed_tail
    return whole


class CountingClient(ClientConnection):
    """A client of `websockets` that knows how many bytes came."""

    received = 0

    def data_received(self, data):
        self.received += len(data)
        super().data_received(data)


class CountingServer(ServerConnection):
    """A server of `websockets` that knows how many bytes came."""

    received = 0

    def data_received(self, data):
        self.received += len(data)
        super().data_received(data)


def websockets_client(url, offer=None, **options):
    """A connection of `websockets`, with an offer of its own or of the library's."""
    if offer is not None:
        options |= {"extensions": [offer], "compression": None}
    return websockets_connect(url, proxy=None, max_size=None, create_connection=CountingClient, **options)


@contextlib.asynccontextmanager
async def aiohttp_client(url, **options):
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0, **options) as socket:
        yield socket


def agreed(headers):
    """Sec-WebSocket-Extensions, to the letter; None without."""
    return headers.get("Sec-WebSocket-Extensions")


async def echo_all(socket, messages):
    for message in messages:
        await socket.send(message)
        assert await socket.recv() == message


async def count_echo(socket, message):
    """Has a message echoed; returns how many bytes the echo took, its header included."""
    before = socket.received
    await socket.send(message)
    assert await socket.recv() == message
    return socket.received - before


# How the server compresses, what both libraries' own offers are answered with, and what a client with 15 bits may expect.
SERVERS = {
    "shared": NOTHING_KEPT,
    "dedicated": "permessage-deflate",
    "dedicated:9:1": "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
    "off": None,
}
COMPRESSING = ["shared", "dedicated", "dedicated:9:1"]
TRANSPORTS = ["automatic", "nio"]


@pytest.fixture(scope="module")
def servers(duplex):
    """One `duplex serve` for each way of compressing, by the flag's value."""
    with contextlib.ExitStack() as stack:
        started = {}
        for how in SERVERS:
            started[how] = Server(duplex, "--compression", how)
            stack.callback(started[how].stop)
        yield started


# Clients of `duplex serve`


@pytest.mark.parametrize("how", SERVERS)
@pytest.mark.parametrize("path", ["/echo", "/echo-async"])
async def test_websockets_agrees_and_gets_every_message_back(servers, how, path):
    async with websockets_client(servers[how].ws + path) as socket:
        assert agreed(socket.request.headers) == "permessage-deflate; client_max_window_bits"
        assert agreed(socket.response.headers) == SERVERS[how]
        assert len(socket.protocol.extensions) == (how != "off")
        # Twice: what an end remembers of the first round, the second refers to.
        await echo_all(socket, MESSAGES * 2)


@pytest.mark.parametrize("how", SERVERS)
@pytest.mark.parametrize("path", ["/echo", "/echo-async"])
async def test_aiohttp_agrees_and_gets_every_message_back(servers, how, path):
    async with aiohttp_client(servers[how].ws + path, compress=15) as socket:
        assert agreed(socket._response.headers) == SERVERS[how]
        assert bool(socket.compress) == (how != "off")
        for message in MESSAGES * 2:
            if isinstance(message, str):
                await socket.send_str(message)
                assert await socket.receive_str() == message
            else:
                await socket.send_bytes(message)
                assert await socket.receive_bytes() == message


@pytest.mark.parametrize("how", SERVERS)
async def test_who_offers_nothing_gets_nothing(servers, how):
    async with websockets_client(servers[how].ws + "/echo", compression=None) as socket:
        assert agreed(socket.response.headers) is None
        assert await count_echo(socket, JSON) > len(JSON)
    async with aiohttp_client(servers[how].ws + "/echo", compress=0) as socket:
        assert agreed(socket._response.headers) is None


async def test_the_bytes_that_it_saves(servers):
    counts = {}
    for how in SERVERS:
        async with websockets_client(servers[how].ws + "/echo") as socket:
            counts[how] = [await count_echo(socket, message) for message in (JSON, "y" * 400, "y" * 400)]
    assert counts["off"] == [len(JSON) + 10, 404, 404], "a header and the message"
    assert counts["shared"][1:] == [404, 404], "below the threshold they go as they are"
    for how in COMPRESSING:
        assert counts[how][0] < len(JSON) / 5
    for how in ("dedicated", "dedicated:9:1"):
        assert counts[how][1] < 20


@pytest.mark.parametrize("how, remembers", [("shared", False), ("dedicated", True), ("dedicated:9:1", False)])
async def test_a_second_message_refers_to_the_first_where_it_is_kept(servers, how, remembers):
    # 20 KB without repetitions: only a window that reaches back to the first can shorten the second.
    message = NOISE[:10_000].hex()
    async with websockets_client(servers[how].ws + "/echo") as socket:
        first, second, third = [await count_echo(socket, message) for _ in range(3)]
    assert first > 9_000
    if remembers:
        assert second < first / 4 and third < first / 4
    else:
        assert second > 9_000 and third > 9_000


def expected_answer(how, server_bits=None, client_bits=None, server_forgets=False, client_forgets=False):
    """What the server has to answer to an offer of these parameters; `client_bits` of True is the name without a value."""
    own = {"shared": None, "dedicated": 15, "dedicated:9:1": 9}[how]
    words = ["permessage-deflate"]
    if own is None or server_forgets:
        words.append("server_no_context_takeover")
    # A window that the client does not let itself be limited, it is told not to keep.
    if own is None or client_forgets or (own < 15 and client_bits is None):
        words.append("client_no_context_takeover")
    if server_bits or (own or 15) < 15:
        words.append(f"server_max_window_bits={min(server_bits or 15, own or 15)}")
    if own and client_bits:
        bits = min(own, 15 if client_bits is True else client_bits)
        words += [f"client_max_window_bits={bits}"] if bits < 15 else []
    return "; ".join(words)


@pytest.mark.parametrize("how", COMPRESSING)
@pytest.mark.parametrize("bits", range(8, 16))
async def test_a_client_that_limits_the_servers_window(servers, how, bits):
    offer = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
    async with websockets_client(servers[how].ws + "/echo", offer) as socket:
        assert agreed(socket.response.headers) == expected_answer(how, server_bits=bits, client_bits=True)
        await echo_all(socket, MESSAGES * 2)


@pytest.mark.parametrize("how", COMPRESSING)
@pytest.mark.parametrize("bits", [None, 9, 10, 14, 15])
async def test_a_client_that_limits_its_own_window(servers, how, bits):
    offer = ClientPerMessageDeflateFactory(client_max_window_bits=bits)
    async with websockets_client(servers[how].ws + "/echo", offer) as socket:
        assert agreed(socket.response.headers) == expected_answer(how, client_bits=bits)
        await echo_all(socket, MESSAGES * 2)


@pytest.mark.parametrize("how", COMPRESSING)
@pytest.mark.parametrize("server, client", [(True, False), (False, True), (True, True)])
async def test_a_client_that_wants_nothing_kept(servers, how, server, client):
    offer = ClientPerMessageDeflateFactory(server_no_context_takeover=server, client_no_context_takeover=client)
    async with websockets_client(servers[how].ws + "/echo", offer) as socket:
        answer = expected_answer(how, client_bits=True, server_forgets=server, client_forgets=client)
        assert agreed(socket.response.headers) == answer
        await echo_all(socket, MESSAGES * 2)
        first, second = [await count_echo(socket, "z" * 300 + NOISE[:3_000].hex()) for _ in range(2)]
        assert (second == first) == ("server_no_context_takeover" in answer or how == "dedicated:9:1")


@pytest.mark.parametrize("how", COMPRESSING)
@pytest.mark.parametrize("bits", [9, 12, 15])
async def test_aiohttp_limits_the_servers_window(servers, how, bits):
    async with aiohttp_client(servers[how].ws + "/echo", compress=bits) as socket:
        assert agreed(socket._response.headers) == expected_answer(how, server_bits=bits if bits < 15 else None, client_bits=True)
        for _ in range(3):
            await socket.send_str(JSON)
            assert await socket.receive_str() == JSON


@pytest.mark.parametrize("how", COMPRESSING)
async def test_messages_in_fragments(servers, how):
    pieces = [JSON[start : start + 9_000] for start in range(0, len(JSON), 9_000)]
    async with websockets_client(servers[how].ws + "/echo") as socket:
        assert socket.protocol.extensions
        for parts in (pieces, ["a", "", "c"], ["", "", ""], [b"", NOISE, b"\x00"]):
            await socket.send(iter(parts))
            assert await socket.recv() == type(parts[0])().join(parts)


async def test_a_broadcast_to_clients_that_agreed_on_different_things(start_server):
    server = start_server()
    offers = [None, ClientPerMessageDeflateFactory(server_max_window_bits=9), ClientPerMessageDeflateFactory(server_max_window_bits=8)]
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(websockets_client(server.ws + "/broadcast", offer)) for offer in offers]
        sockets.append(await stack.enter_async_context(websockets_client(server.ws + "/broadcast", compression=None)))
        # Who has its answer may not be on the list yet.
        async with websockets_client(server.ws + "/people") as people:
            while await people.recv() != "4":
                pass
        for message in (JSON, "short", JSON, NOISE):
            before = [socket.received for socket in sockets]
            await sockets[0].send(message)
            assert [await socket.recv() for socket in sockets] == [message] * 4
            took = [socket.received - count for socket, count in zip(sockets, before)]
            if message is JSON:
                # With a window, with none (each character by its own code), and as it is.
                assert max(took[:2]) < took[2] / 4 < took[2] < took[3]


# On the wire


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("how", COMPRESSING)
@pytest.mark.parametrize("bits", [8, 9, 11, 15])
async def test_the_window_is_as_small_as_the_client_asked(start_server, transport, how, bits):
    server = start_server("--transport", transport, "--compression", how)
    async with raw.connected(server.port, "/echo", f"permessage-deflate; server_max_window_bits={bits}") as client:
        assert client.extensions == expected_answer(how, server_bits=bits)
        decompressor = zlib.decompressobj(-bits)
        for message in (JSON, NOISE[:4_000].hex(), "repeats what was before: " + NOISE[:4_000].hex(), "w" * 600):
            await client.send(TEXT, message.encode())
            frame = await client.read_frame()
            assert (frame.is_last, frame.rsv1, frame.opcode) == (True, True, TEXT)
            if "server_no_context_takeover" in client.extensions:
                decompressor = zlib.decompressobj(-bits)
            assert inflated(frame.payload, decompressor=decompressor) == message.encode()


@pytest.mark.parametrize("how, threshold", [("shared", 512), ("dedicated", 32)])
async def test_what_is_compressed_has_rsv1_and_the_rest_has_not(servers, how, threshold):
    async with raw.connected(servers[how].port, "/echo", "permessage-deflate") as client:
        decompressor = zlib.decompressobj(-15)
        for message in (b"x" * (threshold - 1), b"x" * threshold, b"", b"x" * 5_000):
            await client.send(BINARY, message)
            frame = await client.read_frame()
            assert frame.rsv1 == (len(message) >= threshold)
            assert (inflated(frame.payload, decompressor=decompressor) if frame.rsv1 else frame.payload) == message
        if how == "shared":
            # It would become longer; a compressor that remembers has to send it all the same, as it will refer to it.
            await client.send(BINARY, NOISE)
            frame = await client.read_frame()
            assert (frame.rsv1, frame.payload) == (False, NOISE)


@pytest.mark.parametrize("how", COMPRESSING)
async def test_a_ping_between_compressed_fragments(servers, how):
    async with raw.connected(servers[how].port, "/echo", "permessage-deflate") as client:
        message = b"between the fragments " * 40
        payload = deflated(message, bits=9)
        await client.send(TEXT, payload[:5], rsv1=True, is_last=False)
        await client.send(PING, b"hello")
        assert await client.read_frame() == raw.Frame(True, False, PONG, b"hello")
        await client.send(CONTINUATION, b"", is_last=False)
        await client.send(CONTINUATION, payload[5:])
        frame = await client.read_frame()
        assert (frame.rsv1, inflated(frame.payload)) == (True, message)


@pytest.mark.parametrize("how", COMPRESSING)
@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x03\x00"], ids=["no byte", "§7.2.3.6", "a last block"])
async def test_a_compressed_message_of_nothing(servers, how, payload):
    async with raw.connected(servers[how].port, "/echo", "permessage-deflate") as client:
        await client.send(TEXT, payload, rsv1=True)
        assert await client.read_frame() == raw.Frame(True, False, TEXT, b"")
        await client.send(TEXT, deflated("and on", bits=9), rsv1=True)
        assert await client.read_frame() == raw.Frame(True, False, TEXT, b"and on")


async def test_two_connections_that_take_turns_see_nothing_of_each_other(start_server):
    # One thread: the two share one decompressor.
    server = start_server("--threads", 1)
    both = [raw.connected(server.port, "/echo", "permessage-deflate") for _ in range(2)]
    async with both[0] as one, both[1] as other:
        assert one.extensions == other.extensions == NOTHING_KEPT
        secret = b"the secret of the one " * 3
        await one.send(TEXT, deflated(secret), rsv1=True)
        assert (await one.read_frame()).payload == secret
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
        deflated(secret, compressor=compressor)
        # What refers to the message before is not DEFLATE's here, be it another's message or its own.
        await other.send(TEXT, deflated(secret, compressor=compressor), rsv1=True)
        assert await other.close_code() == 1007
        await one.send(TEXT, deflated(secret), rsv1=True)
        assert (await one.read_frame()).payload == secret


DECLINED = [
    "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=08", "server_max_window_bits=1000",
    "server_max_window_bits", "server_max_window_bits=9; server_max_window_bits=9", "client_max_window_bits=7",
    "server_no_context_takeover=1", "client_no_context_takeover; client_no_context_takeover", "mode=fast",
]  # fmt: skip


@pytest.mark.parametrize("parameters", DECLINED)
async def test_an_offer_that_is_wrong_is_declined_and_the_next_one_taken(servers, parameters):
    async with raw.connected(servers["shared"].port, "/echo", f"permessage-deflate; {parameters}") as client:
        assert client.extensions is None
        await client.send(TEXT, JSON.encode())
        frame = await client.read_frame()
        assert (frame.rsv1, frame.payload) == (False, JSON.encode())
    for offers in ([f"permessage-deflate; {parameters}, permessage-deflate"], [f"permessage-deflate; {parameters}", "permessage-deflate"]):
        async with raw.connected(servers["dedicated"].port, "/echo", *offers) as client:
            assert client.extensions == "permessage-deflate"


async def test_rsv1_without_an_agreement_is_1002(servers):
    for how, offers in (("off", ["permessage-deflate"]), ("shared", [])):
        async with raw.connected(servers[how].port, "/echo", *offers) as client:
            assert client.extensions is None
            await client.send(TEXT, deflated("hello"), rsv1=True)
            assert await client.close_code() == 1002


# Hostile


def memory_peak(server):
    """The most bytes that were resident so far (proc_pid_status(5))."""
    return 1024 * int(re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())[1])


@pytest.fixture(scope="module")
def bomb():
    return deflated(bytes(100_000_000))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("how", COMPRESSING)
@pytest.mark.parametrize("fragment", [None, 500], ids=["whole", "in fragments"])
async def test_a_bomb_is_1009_and_costs_nothing(start_server, bomb, transport, how, fragment):
    server = start_server("--transport", transport, "--compression", how)
    assert len(bomb) < 150_000
    async with raw.connected(server.port, "/echo", "permessage-deflate") as client:
        # So that what any first message costs is not counted.
        await client.send(BINARY, deflated(JSON, bits=9), rsv1=True)
        await client.read_frame()
        before = memory_peak(server)
        pieces = [bomb[start : start + fragment] for start in range(0, len(bomb), fragment)] if fragment else [bomb]
        for number, piece in enumerate(pieces):
            await client.send(CONTINUATION if number else BINARY, piece, rsv1=not number, is_last=piece is pieces[-1])
        assert await client.close_code() == 1009
    assert memory_peak(server) - before < 20_000_000


@pytest.mark.parametrize("how", COMPRESSING)
async def test_the_limit_is_of_what_comes_out(start_server, how):
    server = start_server("--compression", how, "--max-message-size", 1_000)
    async with raw.connected(server.port, "/echo", "permessage-deflate") as client:
        await client.send(BINARY, deflated(bytes(1_000), bits=9), rsv1=True)
        assert inflated((await client.read_frame()).payload) == bytes(1_000)
        await client.send(BINARY, deflated(bytes(1_001), bits=9), rsv1=True)
        assert await client.close_code() == 1009


async def test_compressed_bytes_count_as_well(start_server):
    server = start_server("--max-message-size", 1_000)
    async with raw.connected(server.port, "/echo", "permessage-deflate") as client:
        # Empty blocks: not a byte comes out of any of them.
        await client.send(BINARY, b"\x00\x00\x00\xff\xff" * 300, rsv1=True)
        assert await client.close_code() == 1009


GARBAGE = {
    "a reserved block": b"\x06",
    "ones": b"\xff" * 100,
    "noise": b"\x07" + NOISE[:500],
    "cut in a block": deflated("cut in the middle of it")[:7],
    "lengths that differ": b"\x00\x05\x00\x00\x00",
    "a reference to before the beginning": b"\xf2\x00\x11\x00\x00",
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("how", ["shared", "dedicated"])
@pytest.mark.parametrize("payload", GARBAGE.values(), ids=GARBAGE.keys())
async def test_what_is_not_deflate_is_1007(start_server, transport, how, payload):
    server = start_server("--transport", transport, "--compression", how)
    async with raw.connected(server.port, "/echo", "permessage-deflate") as client:
        await client.send(BINARY, payload, rsv1=True)
        assert await client.close_code() == 1007


@pytest.mark.parametrize("how", ["shared", "dedicated"])
async def test_compressed_text_that_is_not_utf8_is_1007(servers, how):
    async with raw.connected(servers[how].port, "/echo", "permessage-deflate") as client:
        await client.send(TEXT, deflated(b"fine so far \xff"), rsv1=True)
        assert await client.close_code() == 1007


@pytest.mark.parametrize("frames", [[(CONTINUATION, True)], [(PING, True)]], ids=["continuation", "ping"])
async def test_rsv1_belongs_on_the_first_frame_of_a_message(servers, frames):
    async with raw.connected(servers["shared"].port, "/echo", "permessage-deflate") as client:
        await client.send(TEXT, deflated("hello")[:2], rsv1=True, is_last=False)
        for opcode, rsv1 in frames:
            await client.send(opcode, b"", rsv1=rsv1)
        assert await client.close_code() == 1002


# Servers for `duplex connect`

OFFERS = {
    "shared": NOTHING_KEPT + "; client_max_window_bits",
    "dedicated": "permessage-deflate; client_max_window_bits",
    "dedicated:9:1": "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
    "off": None,
}
# `websockets` limits both windows to 12 bits of its own accord. `aiohttp` repeats of the offer what binds itself.
WEBSOCKETS_ANSWERS = {
    "shared": NOTHING_KEPT + "; server_max_window_bits=12; client_max_window_bits=12",
    "dedicated": "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
    "dedicated:9:1": "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
    "off": None,
}
AIOHTTP_ANSWERS = {
    "shared": "permessage-deflate; server_no_context_takeover",
    "dedicated": "permessage-deflate",
    "dedicated:9:1": "permessage-deflate; server_max_window_bits=9",
    "off": None,
}
LINES = ["short", "", "x" * 31, "x" * 32, "y" * 511, "y" * 512, JSON, "Grüße, 世界 🌍 " * 50, NOISE.hex(), JSON, JSON]


async def converse(connect, url, *flags, lines=LINES):
    """Pipes lines through `duplex connect`, to the end; returns it."""
    program = connect(url, *flags)
    # In a thread: a pipe holds 64 KiB, and the server that empties it is in this one.
    await asyncio.to_thread(program.type, "".join(line + "\n" for line in lines))
    program.end_input()
    await asyncio.to_thread(program.wait)
    return program


@pytest.mark.parametrize("how", OFFERS)
async def test_websockets_as_the_server(connect, how):
    seen = []

    async def echo(socket):
        seen.append(socket)
        async for message in socket:
            await socket.send(message)

    async with websockets_serve(echo, "127.0.0.1", 0, max_size=None, create_connection=CountingServer) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        program = await converse(connect, url, "--compression", how)
    assert program.out.lines == LINES
    assert program.process.returncode == 0
    assert agreed(seen[0].request.headers) == OFFERS[how]
    assert agreed(seen[0].response.headers) == WEBSOCKETS_ANSWERS[how]
    whole = sum(len(line.encode()) for line in LINES)
    assert (seen[0].received > whole) if how == "off" else (seen[0].received < whole / 2)


@pytest.mark.parametrize("how", OFFERS)
async def test_aiohttp_as_the_server(connect, how):
    seen = []

    async def echo(request):
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        seen.append((agreed(request.headers), agreed(socket.headers)))
        async for message in socket:
            assert message.type == aiohttp.WSMsgType.TEXT
            await socket.send_str(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/", echo)
    runner = web.AppRunner(app, shutdown_timeout=5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        program = await converse(connect, f"ws://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/", "--compression", how)
    finally:
        await runner.cleanup()
    assert program.out.lines == LINES
    assert program.process.returncode == 0
    assert seen == [(OFFERS[how], AIOHTTP_ANSWERS[how])]


@pytest.mark.parametrize("how, threshold", [("shared", 512), ("dedicated", 32)])
async def test_what_the_client_compresses_has_rsv1(connect, how, threshold):
    frames = []

    async def note(peer):
        await peer.accept(NOTHING_KEPT)
        while (frame := await peer.read_frame()).opcode != raw.CLOSE:
            # There is a ping as well, whose answer would show that the server has read all.
            if frame.opcode == TEXT:
                frames.append(frame)
        await peer.write(b"\x88\x02\x03\xe8")

    lines = ["z" * (threshold - 1), "z" * threshold, JSON]
    async with raw.serving(note) as url:
        program = await converse(connect, url, "--compression", how, "--wait", "0", lines=lines)
    assert program.process.returncode == 0, program.err.text
    assert [frame.rsv1 for frame in frames] == [False, True, True]
    assert [inflated(frame.payload) if frame.rsv1 else frame.payload for frame in frames] == [line.encode() for line in lines]


async def test_a_server_that_declines_is_fine(connect):
    async with websockets_serve(lambda socket: socket.wait_closed(), "127.0.0.1", 0, compression=None) as server:
        program = await converse(connect, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", "--wait", "0", lines=["hello"])
    assert program.process.returncode == 0


WRONG_ANSWERS = [
    ("shared", ["permessage-deflate"], "server_no_context_takeover"),
    ("shared", [NOTHING_KEPT + "; mode=fast"], "mode=fast"),
    ("shared", [NOTHING_KEPT + "; server_max_window_bits=7"], "server_max_window_bits=7"),
    ("shared", [NOTHING_KEPT + "; server_max_window_bits=9; server_max_window_bits=9"], "twice"),
    ("shared", [NOTHING_KEPT + "; client_max_window_bits"], "client_max_window_bits"),
    ("shared", [NOTHING_KEPT + ", " + NOTHING_KEPT], "twice"),
    ("shared", [NOTHING_KEPT, NOTHING_KEPT], "twice"),
    ("dedicated", ["permessage-deflate; server_no_context_takeover=1"], "server_no_context_takeover=1"),
    ("dedicated", ["x-other"], "x-other"),
    ("dedicated:9:1", ["permessage-deflate"], "server_max_window_bits"),
    ("dedicated:9:1", ["permessage-deflate; server_max_window_bits=10"], "server_max_window_bits"),
    ("off", ["permessage-deflate"], "permessage-deflate"),
]


@pytest.mark.parametrize("how, answer, told", WRONG_ANSWERS)
async def test_a_wrong_answer_fails_the_handshake(connect, how, answer, told):
    async def serve(peer):
        await peer.accept(*answer)
        await peer.reader.read()

    async with raw.serving(serve) as url:
        program = connect(url, "--compression", how)
        assert await asyncio.to_thread(program.wait) == 1
    assert program.out.text == ""
    assert len(program.err.lines) == 1, program.err.text
    assert program.err.lines[0].startswith("duplex: ") and told in program.err.lines[0]


# Chromium

IN_THE_PAGE = """async () => {
    const socket = new WebSocket(location.origin.replace("http", "ws") + "/echo");
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = () => reject(new Error("refused")); });
    const list = [];
    while (JSON.stringify(list).length < 100_000) list.push({ id: list.length, room: "lobby", text: "hello, all" });
    const bytes = new Uint8Array(70_000).map((_, index) => index * index >> 3);
    const equal = [];
    for (const message of [JSON.stringify(list), "short", bytes, "🌍👋🏽".repeat(500), "", JSON.stringify(list)]) {
        const echo = new Promise((resolve, reject) => {
            socket.onmessage = ({ data }) => resolve(data);
            socket.onclose = ({ code }) => reject(new Error(`closed ${code}`));
        });
        socket.send(message);
        const data = await echo;
        const isEqual = typeof message === "string"
            ? data === message
            : data.byteLength === message.length && new Uint8Array(data).every((byte, index) => byte === message[index]);
        equal.push(isEqual);
    }
    const closed = new Promise((resolve) => { socket.onclose = resolve; });
    socket.close(1000);
    const { code, wasClean } = await closed;
    return { extensions: socket.extensions, equal, code, wasClean };
}"""


@pytest.mark.parametrize("flags, extensions", [([], NOTHING_KEPT), *(([f"--compression={how}"], SERVERS[how] or "") for how in SERVERS)])
def test_chromium(start_server, browser, flags, extensions):
    page = browser.new_page()
    page.goto(start_server(*flags).base + "/")
    seen = page.evaluate(IN_THE_PAGE)
    page.close()
    assert seen == {"extensions": extensions, "equal": [True] * 6, "code": 1000, "wasClean": True}
