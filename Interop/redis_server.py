"""A Redis of the test's own; `conftest.py` has the fixture."""

import shutil
import socket
import subprocess

import pytest
from programs import Program

from harness import stop

REDIS = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed: apt-get install redis-server")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Redis(Program):
    """A Redis that keeps nothing."""

    def __init__(self, port):
        self.port = port
        arguments = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        super().__init__(REDIS, *arguments, stdin=subprocess.DEVNULL)
        self.out.until("Ready to accept connections")

    def stop(self):
        return stop(self.process)
