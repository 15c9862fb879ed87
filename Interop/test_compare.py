"""What `/compare` and `duplex compare` say of requests and bytes, held against a proxy that counts them; and the page in Chromium.

The page runs under the server's own Content-Security-Policy, which forbids `eval`: every wait is an `expect` on what it shows.
"""

import collections
import json
import re
import socket
import threading
import time

import pytest
from playwright.sync_api import Browser, Page, expect

PATIENCE = 45_000
# The path's last segment, by the method's name.
PATHS = {"polling": "polling", "longPolling": "long-polling", "serverSentEvents": "events", "webSocket": "websocket"}
REQUEST = re.compile(rb"^GET /compare/([^/ ]+)/([a-z-]+)[? ]")


class CountingProxy:
    """Passes TCP on to a port of this machine, and counts the bytes both ways and the requests, by the comparison and the path asked for last.

    No client here sends a request before the last is answered, so what passes between two requests is the first one's.
    """

    def __init__(self, port: int):
        # By a comparison's name and a path's last segment: [requests, bytes up, bytes down].
        self._counts = collections.defaultdict(lambda: [0, 0, 0])
        self._target = port
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def count(self, method: str, run=None) -> list:
        """Requests, bytes up and bytes down of a method, by one comparison or all."""
        with self._lock:
            found = [counts for (name, path), counts in self._counts.items() if path == PATHS[method] and run in (None, name)]
        return [sum(column) for column in zip(*found)] or [0, 0, 0]

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            label = [("", "")]
            threading.Thread(target=self._pass, args=(client, server, label, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, label, False), daemon=True).start()

    def _pass(self, source, sink, label, is_up):
        try:
            while data := source.recv(65_536):
                with self._lock:
                    if is_up and data.startswith(b"GET "):
                        found = REQUEST.match(data)
                        label[0] = tuple(part.decode() for part in found.groups()) if found else ("", "")
                        self._counts[label[0]][0] += 1
                    self._counts[label[0]][1 if is_up else 2] += len(data)
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self._listener.close()


@pytest.fixture
def proxy(start_server):
    proxy = CountingProxy(start_server().port)
    yield proxy
    proxy.close()


@pytest.fixture
def tab(browser: Browser):
    """Opens pages that share nothing; at the end, none may have logged an error."""
    contexts, problems = [], []

    def open_tab(base: str, path="/compare", **options) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(base + path)
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert problems == []


def agree(method: str, shown: list, counted: list):
    """Requests, bytes up and bytes down, as they are told and as the proxy counted them: within 5 %."""
    assert all(count > 0 for count in counted), f"{method}: the proxy counted {counted}"
    told = f"{method}: {shown}, and the proxy counted {counted}"
    assert all(abs(ours - theirs) <= 0.05 * theirs for ours, theirs in zip(shown, counted)), told


@pytest.mark.parametrize("column", range(3))
@pytest.mark.parametrize("factor", [0.94, 1.06])
def test_a_falsified_count_does_not_agree(column, factor):
    counted = [100, 40_000, 20_000]
    agree("polling", [round(count * 1.04) for count in counted], counted)
    with pytest.raises(AssertionError):
        agree("polling", [round(count * factor) if index == column else count for index, count in enumerate(counted)], counted)


# The terminal


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(["--rate", 50, "--interval", 200], id="one client"),
        pytest.param(["--rate", 100, "--interval", 1, "--clients", 3], id="as fast as three can ask", marks=pytest.mark.whole),
    ],
)
def test_the_terminals_figures_agree_with_an_outside_count(run, proxy, settings):
    program = run("compare", proxy.base, "--seconds", 1, "--json", *settings)
    assert program.wait(60) == 0, program.err.text
    result = json.loads(program.out.text)
    assert [method["method"] for method in result["methods"]] == list(PATHS)
    for method in result["methods"]:
        assert method["events"] > 10
        agree(method["method"], [method["requests"], method["bytesUp"], method["bytesDown"]], proxy.count(method["method"]))


def test_a_server_of_its_own_and_a_sentence(run):
    program = run("compare", "--seconds", 1, "--rate", 50)
    assert program.wait(60) == 0, program.err.text
    for title in ("Short polling", "Long polling", "Server-Sent Events", "WebSocket"):
        assert re.search(rf"^{title} +\d", program.out.text, re.MULTILINE)
    assert "Half of the events were there within" in program.out.text
    assert "listening" not in program.out.text, "what the server says is not the comparison's"


@pytest.mark.parametrize(
    "arguments", [["--rate", 0], ["--interval", 0], ["--clients", 0], ["--seconds", 0], ["wss://127.0.0.1:1"], ["http://127.0.0.1"]], ids=str
)
def test_wrong_arguments(run, arguments):
    program = run("compare", *arguments)
    assert program.wait() == 64
    assert len(program.err.lines) == 1


def test_a_server_that_is_not_there(run):
    program = run("compare", "http://127.0.0.1:1")
    assert program.wait() == 1
    assert len(program.err.lines) == 1


# The page


def number(text: str) -> float:
    value = float(text.replace(",", "").split(" ")[0])
    return value * 1000 if text.endswith("kB") else value


def settled(look, what: str, quiet=1.2, seconds=30):
    """What `look` gives, once it has given the same for a while: the last bytes of a connection are nobody's event."""
    end, since, last = time.monotonic() + seconds, time.monotonic(), look()
    while time.monotonic() < end:
        time.sleep(0.1)
        if (now := look()) != last:
            since, last = time.monotonic(), now
        elif time.monotonic() - since > quiet:
            return last
    raise AssertionError(f"not within {seconds} s: {what}")


def test_two_tabs_compare_and_the_figures_agree_with_an_outside_count(proxy, tab):
    first, second = tab(proxy.base), tab(proxy.base)
    for page in (first, second):
        expect(page.locator("#sentence")).to_contain_text("by WebSocket and within", timeout=PATIENCE)
        for name in PATHS:
            expect(page.locator(f"#row-{name} td").nth(1)).to_contain_text("s", timeout=PATIENCE)
    # The first tab measures anew, from rest to rest, while the second goes on: what is shown is one comparison's own.
    run = first.evaluate("base").split("/")[2]
    counts = lambda: {name: proxy.count(name, run) for name in PATHS}  # noqa: E731
    first.get_by_role("button", name="Pause").click()
    first.locator("#rate").fill("40")
    first.locator("#interval").fill("40")
    expect(first.locator("#rate-value")).to_have_text("100/s")
    before = settled(counts, "the paused tab is quiet")
    first.get_by_role("button", name="Go on").click()
    expect(first.locator("#row-webSocket td").nth(3)).to_have_text(re.compile(r"^[2-9]\d\d$"), timeout=PATIENCE)
    first.get_by_role("button", name="Pause").click()
    rows = lambda: {name: first.locator(f"#row-{name} td").all_inner_texts() for name in PATHS}  # noqa: E731
    shown = settled(rows, "the figures stand")
    after = settled(counts, "the paused tab is quiet")
    for name, cells in shown.items():
        assert number(cells[3]) >= 100, f"{name}: {cells[3]} events"
        agree(name, [number(cell) for cell in cells[4:7]], [now - then for now, then in zip(after[name], before[name])])
    # The figures stay for who wants to read them.
    assert first.locator("#row-polling td").nth(4).inner_text() == shown["polling"][4]
    expect(second.locator("#sentence")).to_contain_text("by WebSocket and within")


def test_polling_every_millisecond(start_server, tab):
    page = tab(start_server().base)
    expect(page.locator("#sentence")).to_contain_text("by WebSocket and within", timeout=PATIENCE)
    page.get_by_role("button", name="Poll every millisecond").click()
    expect(page.locator("#interval-value")).to_have_text("1.0 ms")
    expect(page.locator("#sentence")).to_contain_text("polling every 1.0 ms", timeout=PATIENCE)
    expect(page.locator("#sentence")).to_contain_text("of its requests brought nothing", timeout=PATIENCE)


@pytest.mark.whole
def test_the_servers_work_is_measured_one_method_after_another(start_server, tab):
    page = tab(start_server().base)
    expect(page.locator("#link")).to_have_text("Connected", timeout=PATIENCE)
    # At few events a second the work for them drowns in chance, and the page does not tell it.
    page.locator("#rate").fill("54")
    expect(page.locator("#rate-value")).to_have_text("500/s")
    page.get_by_role("button", name="Measure the server’s work").click()
    expect(page.locator("#state")).to_contain_text("Measured", timeout=PATIENCE)
    for name in PATHS:
        expect(page.locator(f"#row-{name} td").nth(8)).to_contain_text("µs", timeout=PATIENCE)


def expect_plain_http_to_be_better(page: Page):
    expect(page.locator("#plain-socketQuestions td").nth(5)).to_have_text(re.compile("s$"), timeout=PATIENCE)
    cells = {name: page.locator(f"#plain-{name} td") for name in ("pages", "socketPages", "questions", "socketQuestions")}
    told = {name: [number(it) for it in row.all_inner_texts()[2:5]] for name, row in cells.items()}
    assert {name: row[0] for name, row in told.items()} == dict.fromkeys(told, 1), "the browser's cache answers the other nineteen"
    assert all(up > 0 and down > 0 for _, up, down in told.values()), told
    assert told["pages"][2] < told["socketPages"][2]
    expect(page.get_by_role("button", name="Try both")).to_be_enabled()


def test_plain_http_is_better_at_what_a_cache_keeps(start_server, tab):
    page = tab(start_server().base)
    expect(page.locator("#link")).to_have_text("Connected", timeout=PATIENCE)
    page.get_by_role("button", name="Try both").click()
    expect_plain_http_to_be_better(page)


def test_plain_http_before_the_first_report(start_server, tab):
    page = tab("about:", "blank")
    held = True

    def hold(route):
        route.connect_to_server().on_message(lambda text: None if held and "counts" in text else route.send(text))

    page.route_web_socket(re.compile("/control$"), hold)
    page.goto(f"{start_server().base}/compare")
    expect(page.locator("#link")).to_have_text("Connected", timeout=PATIENCE)
    page.get_by_role("button", name="Try both").click()
    held = False
    expect_plain_http_to_be_better(page)


def test_plain_http_while_the_rest_is_paused(start_server, tab):
    page = tab(start_server().base)
    expect(page.locator("#sentence")).to_contain_text("by WebSocket and within", timeout=PATIENCE)
    page.get_by_role("button", name="Pause").click()
    row = page.locator("#row-polling td")
    settled(row.all_inner_texts, "the figures stand")
    page.get_by_role("button", name="Try both").click()
    expect_plain_http_to_be_better(page)


def test_a_lost_connection_ends_what_was_begun(start_server, tab):
    page = tab("about:", "blank")
    controls = []

    def keep(route):
        route.connect_to_server()
        controls.append(route)

    page.route_web_socket(re.compile("/control$"), keep)
    page.goto(f"{start_server().base}/compare")
    expect(page.locator("#link")).to_have_text("Connected", timeout=PATIENCE)
    measure = page.get_by_role("button", name="Measure the server’s work")
    measure.click()
    expect(page.locator("#state")).to_contain_text("Nothing runs")
    controls[0].close()
    expect(page.locator("#state")).to_contain_text("The connection was lost", timeout=PATIENCE)
    expect(measure).to_be_enabled()


def test_a_connection_byte_by_byte(start_server, tab):
    page = tab(start_server().base)
    expect(page.locator("#link")).to_have_text("Connected", timeout=PATIENCE)
    wire = page.locator("#wire")
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(wire).to_contain_text("Handshake, the request", timeout=PATIENCE)
    expect(wire).to_contain_text("HTTP/1.1 101 Switching Protocols")
    page.locator("#wire-text").fill("Hello")
    page.locator("#wire-text").press("Enter")
    # RFC 6455 §5.7: a single-frame unmasked text message.
    expect(wire.locator("li", has_text="payload “Hello”").filter(has_text="48 65 6c 6c 6f")).to_have_count(1)
    expect(wire.locator("li", has_text="payload “Hello”").filter(has_text="masking key")).to_have_count(1)
    page.get_by_role("button", name="Have the server ping").click()
    expect(wire.locator("h3", has_text="Ping frame")).to_have_count(1)
    expect(wire.locator("h3", has_text="Pong frame")).to_have_count(1)
    page.get_by_role("button", name="Close", exact=True).click()
    expect(wire.locator("h3", has_text="Close frame")).to_have_count(2)
    expect(wire.locator("li", has_text="close code 1000").filter(has_text="reason “enough”")).not_to_have_count(0)
    expect(page.locator("#wire-state")).to_contain_text("Closed with 1000")
    expect(wire).to_contain_text("The TCP connection has ended")
