"""The client of Benchmarks/cluster: a WebSocket that sends frames made beforehand, and counts the messages that it hears."""

import json
import select
import socket
import struct
import time

from harness import Trouble

PATIENCE_SECONDS = 30


def frame(payload, opcode=2):
    """A client's frame with a key of zeros, which leaves the payload as it is."""
    length = len(payload)
    head = struct.pack("!BB", 0x80 | opcode, 0x80 | length) if length < 126 else struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    return head + bytes(4) + payload


class Client:
    """A connection to a path of a server."""

    PONG = frame(b"3", 1)  # Engine.IO's

    def __init__(self, port, path):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._bytes, self._ahead = b"", 0
        while b"\r\n\r\n" not in self._bytes:
            self._receive()
        head, _, self._bytes = self._bytes.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Trouble(f"a node answers {path[:40]} with {head[:60]!r}")

    def fileno(self):
        return self._socket.fileno()

    def close(self):
        self._socket.close()

    def send(self, frames):
        self._socket.sendall(frames)

    def read(self):
        """Waits for bytes. Returns how many messages are whole with them; pings, Engine.IO's too, are answered and do not count."""
        self._receive()
        data, start, count = self._bytes, 0, 0
        while (end := self._end(data, start)) is not None:
            if data[start] == 0x88:
                raise Trouble(f"a node has closed a connection: {data[start + 2 : end]!r}")
            if data[start] == 0x89:
                self.send(frame(data[start + 2 : end], 10))
            elif data[start] == 0x81 and end - start == 3:
                self.send(self.PONG)
            else:
                count += 1
            start = end
        self._bytes = data[start:]
        return count

    def hear(self, count=1):
        """Waits for so many messages; those that came with them are heard the next time."""
        while self._ahead < count:
            self._ahead += self.read()
        self._ahead -= count

    def next(self):
        """Waits for one message, and returns it."""
        while (end := self._end(self._bytes, 0)) is None:
            self._receive()
        message, self._bytes = self._bytes[:end], self._bytes[end:]
        return message[4 if message[1] == 126 else 2 :]

    def heard_within(self, seconds):
        """How many messages come with the next bytes; 0 if there are none within so long."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return self.read() if poll.poll(seconds * 1000) else 0

    def _receive(self):
        try:
            piece = self._socket.recv(1 << 16)
        except TimeoutError:
            raise Trouble(f"a client heard nothing for {PATIENCE_SECONDS} s") from None
        if not piece:
            raise Trouble("a node has closed a connection")
        self._bytes += piece

    @staticmethod
    def _end(data, start):
        """Where a server's frame ends; None if it is not whole."""
        if len(data) < start + 2 or data[start + 1] >= 126 and len(data) < start + 4:
            return None
        length = data[start + 1]
        end = start + 2 + length if length < 126 else start + 4 + (data[start + 2] << 8 | data[start + 3])
        return end if end <= len(data) else None


class SocketIOClient(Client):
    """A client of Socket.IO's main namespace, over WebSocket alone."""

    def __init__(self, port):
        super().__init__(port, "/socket.io/?EIO=4&transport=websocket")
        self._expect(b"0")
        self.send(frame(b"40", 1))
        self._expect(b"40")

    def join(self, room):
        self.send(frame(f'421["join",{json.dumps(room)}]'.encode(), 1))
        self._expect(b"431")

    def _expect(self, start):
        if not (message := self.next()).startswith(start):
            raise Trouble(f"a server of Socket.IO said {message[:60]!r} instead of {start!r}")


def drain(speaker, say, listeners):
    """Says things until all have heard one, as a subscription takes effect a moment after the client's; then waits until no more come."""
    end = time.monotonic() + PATIENCE_SECONDS
    for listener in listeners:
        while not (speaker.send(say) or listener.heard_within(0.2)):
            if time.monotonic() > end:
                raise Trouble(f"what is said on one node was not heard on another for {PATIENCE_SECONDS} s")
    for listener in listeners:
        while listener.heard_within(0.5 if listener is listeners[0] else 0.02):
            pass


def chatter(speaker, say, listeners, depth, seconds):
    """Keeps so many messages in flight: half of them are said when all have heard half. Returns how many were said, and heard."""
    half, said = max(depth // 2, 1), 0
    end = time.monotonic() + seconds
    if depth > 1:
        speaker.send(say * half)
    while time.monotonic() < end:
        speaker.send(say * half)
        said += half
        for listener in listeners:
            listener.hear(half)
    if depth > 1:
        said += half
        for listener in listeners:
            listener.hear(half)
    return said
