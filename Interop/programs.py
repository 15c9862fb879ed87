"""Processes under test: what they print is waited for, line by line, and no test outlives its own."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Scripts"))

from harness import stop as stop_group  # noqa: E402

# How long anything may take before the test fails. A limit and no wait: whoever waits goes on at the event.
PATIENCE = 20


class Stream:
    """What a process prints to one pipe, as it comes."""

    def __init__(self, pipe):
        self._bytes = bytearray()
        self._isEnded = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._reader.start()

    def _read(self, pipe):
        while piece := _read_some(pipe):
            with self._changed:
                self._bytes += piece
                self._changed.notify_all()
        with self._changed:
            self._isEnded = True
            self._changed.notify_all()
        pipe.close()

    @property
    def bytes(self):
        with self._changed:
            return bytes(self._bytes)

    @property
    def text(self):
        return self.bytes.decode(errors="replace")

    @property
    def lines(self):
        return self.text.splitlines()

    def until(self, pattern, within=PATIENCE):
        """Waits until the text so far has the regular expression in it; returns the match."""
        deadline = time.monotonic() + within
        with self._changed:
            while True:
                text = bytes(self._bytes).decode(errors="replace")
                if found := re.search(pattern, text, re.MULTILINE):
                    return found
                left = deadline - time.monotonic()
                if self._isEnded or left <= 0:
                    state = "it has ended" if self._isEnded else f"{within} s have passed"
                    raise AssertionError(f"{pattern!r} was not printed, and {state}; printed was:\n{text}")
                self._changed.wait(left)

    def end(self, within=PATIENCE):
        """Waits for the end; returns all of the text."""
        self._reader.join(within)
        assert not self._reader.is_alive(), f"still open after {within} s; printed was:\n{self.text}"
        return self.text


def _read_some(pipe):
    try:
        return os.read(pipe.fileno(), 65_536)
    except OSError:
        # A terminal whose last user has gone reports EIO instead of an end.
        return b""


class Program:
    """A running process, its output collected."""

    def __init__(self, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=None, **options):
        environment = {**os.environ, "NO_PROXY": "*", **(env or {})}
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            **options,
        )
        # Where the output goes elsewhere, there is nothing to collect.
        self.out = Stream(self.process.stdout or open(os.devnull, "rb"))
        self.err = Stream(self.process.stderr)

    def type(self, text):
        """Writes to its standard input."""
        self.process.stdin.write(text if isinstance(text, bytes) else text.encode())
        self.process.stdin.flush()

    def end_input(self):
        self.process.stdin.close()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, within=PATIENCE):
        """Waits for its end and for all that it printed; returns the exit code."""
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within} s; stdout:\n{self.out.text}\nstderr:\n{self.err.text}") from None
        self.out.end()
        self.err.end()
        return code

    def stop(self):
        """Ends it, if it has not ended; returns the exit code."""
        if self.process.stdin and not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        return stop_group(self.process)


class Server(Program):
    """`duplex serve`, listening."""

    def __init__(self, duplex, *flags, port=None, **options):
        super().__init__(duplex, "serve", "--port", port or 0, *flags, stdin=subprocess.DEVNULL, **options)
        try:
            ready = self.out.until(r"^Duplex is listening on (https?)://(\S+):(\d+)/$")
        except AssertionError:
            self.stop()
            raise AssertionError(f"duplex serve {' '.join(map(str, flags))} did not start:\n{self.err.text}") from None
        scheme, host, number = ready.groups()
        self.port = int(number)
        self.base = f"{scheme}://{host}:{self.port}"
        self.ws = self.base.replace("http", "ws", 1)

    @property
    def cpu_ticks(self):
        """The CPU time used so far, of all threads, user and system, in clock ticks (proc_pid_stat(5))."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def interrupt(self):
        """SIGINT, as Ctrl-C sends it."""
        self.signal(signal.SIGINT)


class Terminal(Program):
    """A program with a terminal of its own: 80 by 24, at its input, output and errors; `out` is all that the terminal was sent."""

    def __init__(self, *arguments, env=None):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "", **(env or {})}
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            # Ctrl-C goes to whose terminal it is.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._master = os.fdopen(master, "r+b", buffering=0)
        self.out = self.err = Stream(self._master)

    def type(self, text):
        self._master.write(text.encode())
