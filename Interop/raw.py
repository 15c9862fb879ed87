"""A server that says only what a test tells it to: for what no honest library would do, or not at the moment that the test needs."""

import asyncio
import base64
import contextlib
import hashlib
import re

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
CLOSE, PING = 8, 9


class Peer:
    """One connection, after the handshake."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def accept(self):
        """Answers the handshake (RFC 6455 §4.2.2)."""
        request = await self.reader.readuntil(b"\r\n\r\n")
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)[1]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        await self.write(head + accept + b"\r\n\r\n")

    async def write(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def read_frame(self):
        """The next frame: its opcode and payload, unmasked. For short frames only, which is what the tests send."""
        first, second = await self.reader.readexactly(2)
        mask = await self.reader.readexactly(4)
        masked = await self.reader.readexactly(second & 0x7F)
        return first & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))

    async def read_until(self, opcode):
        """The payload of the next frame of this kind; what comes before it is dropped."""
        while True:
            kind, payload = await self.read_frame()
            if kind == opcode:
                return payload


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
