"""A rival: python-socketio on uvicorn. Usage: python_socketio.py PORT [redis://HOST:PORT]

Its main namespace answers as that of `duplex serve` does: `echo` is acknowledged with its arguments and sent back, `join` and `leave` a
room are acknowledged, `say` goes to everyone in the room. With a Redis, it is
a node among those that share it.
"""

import sys

import socketio
import uvicorn

manager = socketio.AsyncRedisManager(sys.argv[2]) if len(sys.argv) > 2 else None
server = socketio.AsyncServer(async_mode="asgi", client_manager=manager, logger=False, engineio_logger=False)


@server.event
async def echo(sid, *arguments):
    await server.emit("echo", arguments, to=sid)
    return arguments


@server.event
async def join(sid, room):
    await server.enter_room(sid, room)
    return True


@server.event
async def leave(sid, room):
    await server.leave_room(sid, room)
    return True


@server.event
async def say(sid, room, *arguments):
    await server.emit("say", arguments, room=room)


uvicorn.run(socketio.ASGIApp(server), host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", log_level="warning")
