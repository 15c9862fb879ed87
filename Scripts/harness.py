"""What the scripts and the interoperation tests share: where things are, and processes that do not outlive their owner."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"

# How long a process may take to leave after SIGTERM: `duplex serve` may spend 30 s draining, but nobody is connected by then.
GRACE_SECONDS = 10


class Trouble(Exception):
    """What keeps a script from its work, in one line for the reader: what happened and what to do."""


def program(product, variable):
    """The program under test: the one that the environment variable names, else the release build, brought up to date first."""
    if named := os.environ.get(variable):
        if not os.access(named, os.X_OK):
            raise Trouble(f"{variable} names {named}, which is not an executable file")
        return Path(named).resolve()
    build = ["swift", "build", "-c", "release", "--product", product]
    try:
        subprocess.run(build, cwd=ROOT, check=True, stdout=sys.stderr)
        folder = subprocess.run([*build, "--show-bin-path"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        raise Trouble(f"there is no `swift` to build {product} with; install it, or set {variable} to the built program") from None
    except subprocess.CalledProcessError as error:
        raise Trouble(f"`{' '.join(map(str, error.cmd))}` failed; what it printed is above") from None
    return Path(folder) / product


def free_port():
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(arguments, log, **options):
    """A process for as long as the block lasts, in a process group of its own; what it prints goes to the file `log`."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            list(map(str, arguments)),
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", output),
            stderr=options.pop("stderr", output),
            start_new_session=True,
            **options,
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process, grace=GRACE_SECONDS):
    """Ends a process and what it started: SIGTERM, then SIGKILL for what is left. Returns its exit code."""
    try:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(grace)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        pass
    finally:  # also on a second Ctrl-C
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def wait_until(ready, process, log, what, seconds=30):
    """Returns once `ready()` is true; raises Trouble when the process ends before that, or the time is up."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise Trouble(f"{what} ended at once with exit code {process.returncode}: {last_line(log)}")
        if time.monotonic() > deadline:
            raise Trouble(f"{what} was not ready within {seconds} s; what it printed is in {log}")
        time.sleep(0.02)


def healthy(port, tls=False):
    """Whether GET /health on 127.0.0.1 answers 200. A certificate is not checked: this asks for life, not for identity."""
    try:
        if tls:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=ssl._create_unverified_context())
        else:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.closing(connection):
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def listening(port):
    """Whether somebody accepts TCP connections on 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def make_certificate(folder):
    """A key and a certificate for 127.0.0.1, which it signs itself."""
    if not shutil.which("openssl"):
        raise Trouble("needs `openssl` (Debian: apt-get install openssl)")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", key, "-out", certificate]
    name = ["-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    done = subprocess.run(["openssl", "req", "-x509", *map(str, kind), *name], capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(f"`openssl req` failed: {done.stderr.strip().splitlines()[-1]}")
    return certificate, key


def last_line(log):
    """The last line that a process printed, for an error message."""
    lines = Path(log).read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "(it printed nothing)"


def run_script(main):
    """Runs a script's `main`: Trouble is one line and exit code 1, and a signal unwinds, so that every child is ended."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(main())
    except Trouble as trouble:
        print(f"{Path(sys.argv[0]).name}: {trouble}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
