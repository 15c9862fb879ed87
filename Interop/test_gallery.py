"""The gallery of `duplex serve` in Chromium, driven by Playwright: each exhibit by at least two tabs, and no page logs an error. What all pages
owe their readers is in test_gallery_pages.py.

The pages run under a Content-Security-Policy that forbids `eval`: every wait here is an `expect` on what a page shows.
"""

import json
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

PATIENCE = 45_000
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def server(echo_server):
    return echo_server


@pytest.fixture
def open_page(server, browser: Browser):
    """Opens pages that share nothing; at the end, none may have complained of anything."""
    contexts, complaints = [], []

    def open_(path: str, context=None, base=server.base, **options) -> Page:
        if context is None:
            context = browser.new_context(**options)
            contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{path}: {message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"{path}: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"{path}: a dialog: {dialog.message}"))
        page.goto(f"{base}/{path}")
        expect(page.locator("#link")).to_have_text("Connected", timeout=PATIENCE)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def refused(page: Page, text: str):
    expect(page.get_by_role("alert")).to_contain_text(text, timeout=PATIENCE)


def speak_raw(page: Page, path: str, messages: list):
    """Sends what the page itself never would, from a socket of its own; returns the answer to each."""
    return page.evaluate(
        """async ([path, messages]) => {
            const socket = new WebSocket(location.origin.replace("http", "ws") + path);
            const answers = [];
            await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = () => reject(new Error("refused")); });
            for (const message of messages) {
                const answer = new Promise((resolve) => {
                    socket.onmessage = ({ data }) => { if (data.startsWith('{"refused"')) resolve(JSON.parse(data).refused.reason); };
                });
                socket.send(typeof message === "number" ? new Uint8Array(message) : message);
                answers.push(await answer);
            }
            socket.close();
            return answers;
        }""",
        [path, messages],
    )


# The frame


def test_the_index_leads_to_every_exhibit(open_page):
    page = open_page("")
    links = page.locator(".exhibits a")
    assert len(links.all()) == 13
    expect(page.locator("#open")).not_to_have_text("–")
    for path in [link.get_attribute("href") for link in links.all()]:
        assert page.request.get(page.url.rstrip("/") + path).status == 200


@pytest.mark.parametrize(
    "path", ["/chat/t", "/notifications/t", "/ticker/t", "/auction/t", "/devices/t", "/chat/crowd/t", "/nodes/t"], ids=lambda path: path.strip("/")
)
def test_bad_input_is_answered(open_page, path):
    page = open_page("")
    answers = speak_raw(page, path, ["nonsense", 5, '{"unknown":{}}', json.dumps({"x": "y" * 5000}), "[" * 3000])
    assert [answer.split(":")[0].split(" ")[0] for answer in answers] == ["Not", "A", "Not", "Too", "Not"]


def test_too_fast_is_answered(open_page):
    page = open_page("")
    # The burst is over after ten; then each gets its answer.
    answers = speak_raw(page, "/chat/fast", ['{"typing":{}}'] * 30)
    assert answers[0] == "Join a room first."
    assert answers[-1].startswith("Too fast: 5 messages a second")


# 1: chat


def join(page: Page, name: str, room: str):
    page.locator("#name").fill(name)
    page.locator("#room").fill(room)
    page.locator("#join button").click()
    expect(page.locator("#room-title")).to_have_text(room)


def say(page: Page, text: str):
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")


def line(page: Page, text: str):
    return page.locator("#lines li").filter(has=page.locator(".what", has_text=re.compile(f"^{re.escape(text)}$")))


def test_chat_between_two_and_for_who_comes_late(open_page):
    ann, ben = open_page("chat"), open_page("chat")
    join(ann, "Ann", "tea")
    join(ben, "Ben", "tea")
    expect(ann.locator("#count")).to_have_text("2")
    expect(ann.locator("#here li")).to_have_text(["Ann", "Ben"])
    ben.locator("#text").press_sequentially("he")
    expect(ann.locator("#typing")).to_have_text("Ben typing…")
    say(ben, HOSTILE)
    for page in (ann, ben):
        expect(line(page, HOSTILE)).to_have_count(1)
        expect(line(page, HOSTILE).locator(".who")).to_have_text("Ben")
    expect(ben.locator("#lines .mine")).to_have_count(1)
    expect(ann.locator("#lines .mine")).to_have_count(0)
    late = open_page("chat")
    join(late, HOSTILE, "tea")
    expect(line(late, HOSTILE)).to_have_count(1)
    expect(ann.locator("#here li").filter(has_text=HOSTILE)).to_have_count(1)
    late.close()
    expect(ann.locator("#count")).to_have_text("2")
    # Another room is another room.
    join(ben, "Ben", "elsewhere")
    say(ann, "only for the tea room")
    expect(line(ann, "only for the tea room")).to_have_count(1)
    say(ben, "echo")
    expect(line(ben, "echo")).to_have_count(1)
    expect(line(ben, "only for the tea room")).to_have_count(0)


def test_chat_says_what_it_does_not_take(open_page):
    page = open_page("chat")
    say(page, " ")
    refused(page, "A message must have 1 to 500 characters.")
    say(page, "a" * 501)
    refused(page, "A message must have 1 to 500 characters.")


def test_a_crowd_comes_talks_and_goes(open_page, server):
    page, other = open_page("chat"), open_page("chat")
    try:
        page.get_by_role("button", name="1,000", exact=True).click()
        expect(other.locator("#crowd-state")).to_contain_text("1,000 called in", timeout=PATIENCE)
        expect(other.locator("#count")).to_have_text("1,002", timeout=40_000)
        expect(other.locator("#rate")).to_have_text(re.compile(r"^[2-9]\d$"), timeout=PATIENCE)
        children = [pid for pid in Path("/proc").glob("[0-9]*") if parent(pid) == server.process.pid]
        assert len(children) == 1
        say(page, "can you hear me?")
        expect(line(other, "can you hear me?")).to_have_count(1)
        assert len(other.locator("#lines li").all()) <= 200
    finally:
        other.get_by_role("button", name="Stop").click()
    expect(page.locator("#count")).to_have_text("2", timeout=40_000)
    expect(page.locator("#crowd-state")).to_have_text("Nobody is simulated.")
    assert not any(parent(pid) == server.process.pid for pid in Path("/proc").glob("[0-9]*"))


def parent(process: Path) -> int:
    try:
        return int(process.joinpath("stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def test_a_crowd_ends_with_its_server(start_server, browser):
    server = start_server()
    page = browser.new_page()
    page.goto(server.base + "/chat")
    page.get_by_role("button", name="100", exact=True).click()
    expect(page.locator("#count")).to_have_text("101", timeout=40_000)
    (child,) = [path for path in Path("/proc").glob("[0-9]*") if parent(path) == server.process.pid]
    server.process.kill()
    deadline = time.monotonic() + 10
    while child.exists() and parent(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (child.exists() and b"members" in child.joinpath("cmdline").read_bytes()), "it outlived its server"
    page.close()


# 2: notifications


def test_a_notice_reaches_all_tabs_and_is_acknowledged_once(open_page, browser):
    def be(page, name):
        page.locator("#user").fill(name)
        page.get_by_role("button", name="Be this user").click()
        expect(page.locator("#who")).to_have_text(name)

    ann, grace, again = open_page("notifications"), open_page("notifications"), open_page("notifications")
    be(ann, "Ann")
    for page in (grace, again):
        be(page, "Grace H")
    ann.locator("#to").fill("Grace H")
    ann.locator("#text").fill(HOSTILE)
    ann.locator("#urgent").check()
    ann.get_by_role("button", name="Send").click()
    for page in (grace, again):
        expect(page.locator("#inbox li.urgent")).to_contain_text(HOSTILE)
        expect(page).to_have_title("(1) Notifications · Duplex")
    expect(ann.locator("#sent tr td")).to_have_text(["Grace H", HOSTILE, "2", "waits"])
    # Who was not there finds it waiting.
    late = open_page("notifications#Grace%20H")
    expect(late.locator("#inbox li")).to_have_count(1)
    late.get_by_role("button", name="Acknowledge").click()
    for page in (grace, again, late):
        expect(page.locator("#inbox li")).to_have_count(0)
    expect(ann.locator("#sent .state")).to_have_text("seen")


# 3: dashboard


def test_the_dashboard_counts_the_tabs_that_look(open_page, start_server):
    base = start_server().base
    first = open_page("dashboard", base=base)
    expect(first.get_by_role("img", name=re.compile("^Connections: now 1,"))).to_have_count(1)
    second = open_page("dashboard", base=base)
    for page in (first, second):
        expect(page.get_by_role("img", name=re.compile("^Connections: now 2,"))).to_have_count(1)
        expect(page.get_by_role("img", name=re.compile(r"^Memory: now [1-9][\d,.]* MB"))).to_have_count(1)
        inked = page.locator("canvas").first.evaluate(
            "(canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((part) => part > 0)"
        )
        assert inked
    second.close()
    expect(first.get_by_role("img", name=re.compile("^Connections: now 1, at most 2 "))).to_have_count(1)


# 4: ticker


def number(page: Page, selector: str) -> int:
    return int(page.locator(selector).text_content().replace(",", ""))


def test_a_slow_tab_is_spared_and_the_other_misses_nothing(open_page):
    slow, fast = open_page("ticker"), open_page("ticker")
    for page in (slow, fast):
        expect(page.locator("#rows tr")).to_have_count(300)
        expect(page.locator("#received")).to_have_text(re.compile(r"^[1-9],?\d{2,}$"), timeout=PATIENCE)
    slow.get_by_role("button", name="Make this tab slow").click()
    expect(slow.locator("#spared")).to_have_text(re.compile(r"^[1-9]"), timeout=PATIENCE)
    assert number(fast, "#spared") == 0
    # What it still has to read are some hundred KB, a few dozen rounds of prices at most, and not the megabytes that the system would hold.
    rounds = "[...quotes.values()][0].number"
    assert fast.evaluate(rounds) - slow.evaluate(rounds) < 60
    slow.get_by_role("button", name="Make this tab slow").click()
    # It is up to date again, and at once: there is no backlog of what nobody needs.
    expect(slow.locator("#spared")).to_have_text("0", timeout=PATIENCE)
    expect(slow.locator("#behind")).to_have_text(re.compile(r"^\d{1,3}$"), timeout=PATIENCE)


# 5: auction


def test_bids_come_in_one_order(open_page):
    ann, ben = open_page("auction"), open_page("auction")
    for page, name in ((ann, "Ann"), (ben, HOSTILE)):
        page.locator("#name").fill(name)
    # Not into the last seconds of a lot.
    expect(ann.locator("#left")).to_have_text(re.compile(r"^([89]|[1-4]\d)\.\d$"), timeout=30_000)
    ann.get_by_role("button", name="Bid 1 more").click()
    expect(ben.locator("#standing")).to_have_text("Ann has the highest bid.")
    expect(ann.locator("#standing")).to_have_text("You have the highest bid.")
    ben.get_by_role("button", name="50 more").click()
    expect(ann.locator("#standing")).to_have_text(f"{HOSTILE} has the highest bid.")
    ann.locator("#amount").fill("3")
    ann.get_by_role("button", name="Bid", exact=True).click()
    refused(ann, "Too low: the highest bid is")
    ben.get_by_role("button", name="10 more").click()
    refused(ben, "The highest bid is yours already.")
    assert ann.locator("#bids").inner_text() == ben.locator("#bids").inner_text()


@pytest.mark.whole
def test_after_the_hammer_no_bid_is_taken(open_page):
    """As long as a lot lasts."""
    ann, ben = open_page("auction"), open_page("auction")
    expect(ann.locator("#left")).to_have_text(re.compile(r"^([89]|[1-4]\d)\.\d$"), timeout=30_000)
    title = ann.locator("#lot-number").text_content()
    ann.get_by_role("button", name="Bid 1 more").click()
    expect(ben.locator("#standing")).to_contain_text("Sold to", timeout=50_000)
    assert ann.locator("#lot-number").text_content() == title
    ann.get_by_role("button", name="Bid 1 more").click()
    refused(ann, "Too late: the hammer fell")


# 9: devices


def test_devices_are_watched_by_pattern_and_commanded(open_page):
    watcher, device = open_page("devices"), open_page("devices")
    expect(watcher.locator("#rows tr")).to_have_count(18)
    watcher.get_by_role("button", name="+/+/temperature").click()
    expect(watcher.locator("#rows tr")).to_have_count(9)
    watcher.get_by_role("button", name="tabs/#").click()
    expect(watcher.locator("#rows tr")).to_have_count(0)
    # The other tab is a device: it reports, is turned off, and says so.
    device.locator("#own").fill("80")
    expect(watcher.locator("#rows .value")).to_have_text("80.0 %")
    watcher.locator("#rows button").click()
    expect(device.locator("#own-state")).to_have_text("It was turned off by another tab.")
    expect(device.locator("#own")).to_be_disabled()
    expect(watcher.locator("#rows .value")).to_have_text("off")
    watcher.locator("#rows button").click()
    expect(device.locator("#own")).to_be_enabled()
    # What one turns off is off for the other.
    for page in (watcher, device):
        page.locator("#pattern").fill("north/hall/temperature")
        page.get_by_role("button", name="Watch").click()
        expect(page.locator("#rows tr")).to_have_count(1)
    watcher.locator("#rows button").click()
    expect(device.locator("#rows .value")).to_have_text("off")
    device.locator("#rows button").click()
    expect(watcher.locator("#rows .value")).to_contain_text("°C")
    watcher.locator("#pattern").fill("north/#/x")
    watcher.get_by_role("button", name="Watch").click()
    refused(watcher, "has # before its end")
