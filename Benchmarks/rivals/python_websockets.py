"""A rival: Python's `websockets`, with its C extension, on uvloop. Usage: python_websockets.py PORT

/ sends back what it gets; /broadcast sends it to everyone there. Compression and keepalive pings are off.
"""

import asyncio
import sys

import uvloop
import websockets.speedups  # noqa: F401  fails where the C extension is missing: without it, another library would be measured
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed

members = set()


async def serve_one(socket):
    try:
        if socket.request.path == "/broadcast":
            await talk(socket)
        else:
            async for message in socket:
                await socket.send(message)
    except ConnectionClosed:
        pass


async def talk(socket):
    members.add(socket)
    try:
        async for message in socket:
            broadcast(members, message)
    finally:
        members.discard(socket)


async def main():
    async with serve(serve_one, "127.0.0.1", int(sys.argv[1]), compression=None, ping_interval=None, backlog=4096):
        await asyncio.Future()


uvloop.run(main())
