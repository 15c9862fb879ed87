"""What every interoperation test stands on: the program under test, servers and clients started from it, a certificate, a browser."""

import os
import shutil
import ssl

import certificates
import pytest
from playwright.sync_api import sync_playwright
from programs import Program, Server, Terminal
from redis_server import Redis, free_port

from harness import Trouble, program


@pytest.fixture(scope="session")
def duplex():
    """The path of the command: what $DUPLEX names, else the release build, brought up to date."""
    try:
        return program("duplex", "DUPLEX")
    except Trouble as trouble:
        pytest.exit(str(trouble), returncode=1)


@pytest.fixture(scope="session")
def interop_client():
    """The path of the Socket.IO client that servers tell what to do: what $INTEROP_CLIENT names, else the release build."""
    try:
        return program("InteropClient", "INTEROP_CLIENT")
    except Trouble as trouble:
        pytest.exit(str(trouble), returncode=1)


@pytest.fixture
def run(duplex):
    """Starts `duplex` with any arguments; ends it after the test."""
    programs = []

    def start(*arguments, **options) -> Program:
        programs.append(Program(duplex, *arguments, **options))
        return programs[-1]

    yield start
    for each in programs:
        each.stop()


@pytest.fixture
def connect(run):
    """Starts `duplex connect` with a pipe at its input and output."""

    def start(*arguments, **options) -> Program:
        return run("connect", *arguments, **options)

    return start


@pytest.fixture
def terminal(duplex):
    """Starts `duplex` in a terminal; ends it after the test."""
    terminals = []

    def start(*arguments, **options) -> Terminal:
        terminals.append(Terminal(duplex, *arguments, **options))
        return terminals[-1]

    yield start
    for each in terminals:
        each.stop()


@pytest.fixture
def start_server(duplex):
    """Starts `duplex serve` on a free port, or on this one, and returns once it listens; ends it after the test."""
    servers = []

    def start(*flags, port=None, **options) -> Server:
        servers.append(Server(duplex, *flags, port=port, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
        # pytest shows this with a test that failed, and else not at all.
        if server.err.text:
            print(f"--- stderr of duplex serve, port {server.port}:\n{server.err.text}")


@pytest.fixture
def redis():
    """A Redis; ended after the test."""
    server = Redis(free_port())
    yield server
    server.stop()


@pytest.fixture(scope="module")
def echo_server(duplex):
    """One `duplex serve` for the tests of a module that only talk to it."""
    server = Server(duplex)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> certificates.Certificate:
    """A certificate for localhost, 127.0.0.1 and ::1, and the authority that signed it."""
    return certificates.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def trusting(certificate):
    """A client's TLS settings: the test's authority is trusted, and nobody else."""
    return ssl.create_default_context(cafile=certificate.ca)


@pytest.fixture(scope="session")
def serving(certificate):
    """A server's TLS settings with the test's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    return context


@pytest.fixture(scope="session")
def tls_flags(certificate):
    """What makes `duplex serve` speak wss."""
    return ["--tls-certificate", certificate.cert, "--tls-key", certificate.key]


# A camera and a microphone that Chromium makes up, and may be used without asking anybody.
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def browser():
    """Chromium, without a page."""
    # A module's lifetime and not the session's: while Playwright runs, no other test could start an event loop.
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    path = next((found for name in names if name and (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("no Chromium here: run Scripts/install-chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *CAMERA])
        yield browser
        browser.close()
