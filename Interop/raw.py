"""A server and a client that say only what a test tells them to: for what no honest library would do, or not when the test needs it."""

import asyncio
import base64
import contextlib
import hashlib
import re
from typing import NamedTuple

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Frame(NamedTuple):
    """A frame, its payload unmasked."""

    is_last: bool
    rsv1: bool
    opcode: int
    payload: bytes


async def read_frame(reader) -> Frame:
    first, second = await reader.readexactly(2)
    length = second & 127
    if length > 125:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    mask = await reader.readexactly(4) if second & 128 else bytes(4)
    payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(await reader.readexactly(length)))
    return Frame(bool(first & 128), bool(first & 64), first & 15, payload)


class Peer:
    """A server's end of a connection."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def accept(self, *extensions):
        """Answers the handshake (RFC 6455 §4.2.2), with these lines of Sec-WebSocket-Extensions; returns the request."""
        request = await self.reader.readuntil(b"\r\n\r\n")
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)[1]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        lines = "".join(f"\r\nSec-WebSocket-Extensions: {line}" for line in extensions)
        await self.write(head + accept + lines.encode() + b"\r\n\r\n")
        return request.decode()

    async def write(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def read_frame(self):
        return await read_frame(self.reader)

    async def read_until(self, opcode):
        """The payload of the next frame of this kind; what comes before it is dropped."""
        while True:
            frame = await self.read_frame()
            if frame.opcode == opcode:
                return frame.payload


@contextlib.asynccontextmanager
async def serving(handle):
    """Runs `handle(peer)` for every connection; gives the address."""

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await handle(Peer(reader, writer))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


class Client:
    """A client's end of a connection: what it sends are bytes of the test's own choice."""

    def __init__(self, reader, writer, answer):
        self.reader = reader
        self.writer = writer
        # Sec-WebSocket-Extensions in the server's answer, or None.
        self.extensions = answer

    async def send(self, opcode, payload, rsv1=False, is_last=True):
        """Sends one frame. Its mask is zero, so that what is on the wire can be read by people."""
        length = len(payload)
        if length < 126:
            size = bytes([128 | length])
        else:
            size = b"\xfe" + length.to_bytes(2, "big") if length < 65_536 else b"\xff" + length.to_bytes(8, "big")
        self.writer.write(bytes([is_last << 7 | rsv1 << 6 | opcode]) + size + bytes(4) + payload)
        await self.writer.drain()

    async def read_frame(self):
        return await read_frame(self.reader)

    async def close_code(self):
        """Reads up to the server's close; its code. What the server has sent before it is dropped."""
        while (frame := await self.read_frame()).opcode != CLOSE:
            pass
        return int.from_bytes(frame.payload[:2], "big")


@contextlib.asynccontextmanager
async def connected(port, path, *offers):
    """A connection to a server on 127.0.0.1; every offer is a line of Sec-WebSocket-Extensions."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *(f"Sec-WebSocket-Extensions: {offer}" for offer in offers)]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert answer.startswith("HTTP/1.1 101 "), answer
    found = re.findall(r"(?im)^sec-websocket-extensions: *(.*?)\r$", answer)
    assert len(found) <= 1, answer
    try:
        yield Client(reader, writer, found[0] if found else None)
    finally:
        writer.close()
