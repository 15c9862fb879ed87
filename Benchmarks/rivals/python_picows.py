"""A rival: Python's picows, on uvloop. Usage: python_picows.py PORT

/ sends back what it gets; /broadcast sends it to everyone there. Compression does not exist in picows; a listener gets frames, and whoever
wants messages puts them together. Here every frame is a whole message.
"""

import asyncio
import sys

import uvloop
from picows import WSListener, WSMsgType, ws_create_server

DATA = (WSMsgType.TEXT, WSMsgType.BINARY)
members = set()


class Echo(WSListener):
    def on_ws_frame(self, transport, frame):
        if frame.msg_type in DATA:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


class Talk(WSListener):
    def on_ws_connected(self, transport):
        members.add(transport)

    def on_ws_frame(self, transport, frame):
        if frame.msg_type in DATA:
            payload = frame.get_payload_as_memoryview()
            for member in members:
                member.send(frame.msg_type, payload)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport):
        members.discard(transport)


def listener(request):
    return Talk() if request.path == b"/broadcast" else Echo()


async def main():
    server = await ws_create_server(listener, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
asyncio.run(main())
