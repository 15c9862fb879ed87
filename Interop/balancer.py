"""A load balancer as bad as there can be: each request goes to a node at random, whoever sends it."""

import asyncio
import random
import re


class Balancer:
    """Listens on a port of its own; every request has a connection of its own to its node."""

    def __init__(self, ports, seed=8):
        self._ports = list(ports)
        self._random = random.Random(seed)
        self._connections = set()
        # Which nodes each session's requests went to: ports, by the session's id.
        self.seen = {}

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def take_out(self, port):
        """As a balancer does with a node that is to be shut down."""
        self._ports.remove(port)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._connections.add(task)
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _carry(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if not re.search(rb"(?im)^upgrade:", head):
            # The next request is to go elsewhere.
            head = re.sub(rb"(?im)^connection:.*\r\n", b"", head)[:-2] + b"Connection: close\r\n\r\n"
        node_reader, node_writer = await self._open(head)
        try:
            node_writer.write(head)
            pumps = [asyncio.create_task(pump(reader, node_writer)), asyncio.create_task(pump(node_reader, writer))]
            # Whoever goes first, the other one's connection ends: a client that is gone is gone for its node.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for each in pumps:
                each.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            node_writer.close()

    async def _open(self, head):
        """A connection to a node, and to another one if that can not be reached."""
        for port in self._random.sample(self._ports, len(self._ports)):
            try:
                streams = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                continue
            if found := re.search(rb"[?&]sid=([\w-]+)", head):
                self.seen.setdefault(found[1].decode(), set()).add(port)
            return streams
        raise ConnectionRefusedError("no node is there")


async def pump(reader, writer):
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
