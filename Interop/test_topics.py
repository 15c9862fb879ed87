"""Publish/subscribe at /pubsub of `duplex serve`, as a client of another library sees it."""

import pytest
from test_python_clients import client
from websockets.exceptions import InvalidStatus


async def subscribe(server, stack, query):
    socket = await client(f"{server.ws}/pubsub?{query}")
    stack.append(socket)
    return socket


@pytest.fixture
async def sockets():
    opened = []
    yield opened
    for socket in opened:
        await socket.close()


async def test_a_message_reaches_who_listens_once(echo_server, sockets):
    everyone = await subscribe(echo_server, sockets, "topics=a,a/b&patterns=a/%2B,%23")
    one = await subscribe(echo_server, sockets, "topics=a/b")
    sender = await subscribe(echo_server, sockets, "publish=a/b")
    other = await subscribe(echo_server, sockets, "topics=c&publish=c")
    for number in range(100):
        await sender.send(f"{number}")
    await other.send("last")
    assert [await one.recv() for _ in range(100)] == [f"{number}" for number in range(100)]
    heard = [await everyone.recv() for _ in range(101)]
    assert [text for text in heard if text != "last"] == [f"{number}" for number in range(100)], "once, though four filters match"
    assert await other.recv() == "last"


async def test_binary_stays_binary(echo_server, sockets):
    socket = await subscribe(echo_server, sockets, "topics=a&publish=a")
    await socket.send(b"\x00\xff")
    assert await socket.recv() == b"\x00\xff"


async def test_a_long_message_is_compressed_for_those_who_take_it(echo_server, sockets):
    plain = await client(f"{echo_server.ws}/pubsub?topics=z", compression=None)
    sockets.append(plain)
    several = [await subscribe(echo_server, sockets, "topics=z&publish=z") for _ in range(3)]
    text = "abc " * 20_000
    for _ in range(5):
        await several[0].send(text)
    for socket in [plain, *several]:
        assert [await socket.recv() for _ in range(5)] == [text] * 5


async def test_a_name_is_no_pattern(echo_server, sockets):
    listener = await subscribe(echo_server, sockets, "topics=%23,room/%2B,room/1/end")
    witness = await subscribe(echo_server, sockets, "topics=room/1&publish=room/1/end")
    sender = await subscribe(echo_server, sockets, "publish=room/1")
    await sender.send("not for the listener")
    assert await witness.recv() == "not for the listener"
    await witness.send("end")
    assert await listener.recv() == "end"


async def test_a_bad_pattern_is_refused(echo_server):
    with pytest.raises(InvalidStatus) as refusal:
        await client(f"{echo_server.ws}/pubsub?patterns=a%23")
    assert refusal.value.response.status_code == 400
    assert "wildcard" in refusal.value.response.body.decode()
