"""The console of `duplex serve` in Chromium, driven by Playwright: what a newcomer sees first, over ws:// and wss://.

The page runs under the server's own Content-Security-Policy. That forbids `eval`, and with it Playwright's `wait_for_function`:
every wait here is an `expect` on what the page shows.
"""

import datetime
import json
import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

ALL_OPEN = "Three sockets open, one port"
# A draining server may spread its closes, and the page waits between attempts: generous, since a wait ends when the thing is seen.
PATIENCE = 45_000
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def tab(browser: Browser):
    """Opens pages that share nothing, as two people's browsers would; closes them at the end."""
    contexts = []

    def open_tab(base: str, prepare=None, **options) -> Page:
        context = browser.new_context(ignore_https_errors=True, **options)
        contexts.append(context)
        page = context.new_page()
        if prepare:
            prepare(page)
        page.goto(base + "/console")
        expect(page.locator("#summary")).to_have_text(ALL_OPEN, timeout=PATIENCE)
        return page

    yield open_tab
    for context in contexts:
        context.close()


def said(page: Page, text: str):
    """The lines of the log that say exactly this."""
    return page.locator("#messages li").filter(has=page.locator(".what", has_text=re.compile(f"^{re.escape(text)}$")))


def say(page: Page, text: str):
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")


def wire(page: Page, path: str):
    return page.locator(f'#wires [data-path="{path}"]')


def exchange(first: Page, second: Page, round_: str):
    """Each says something; both hear both, once, and know whose it is."""
    for speaker, listener, text in ((first, second, f"{round_}: here"), (second, first, f"{round_}: and here")):
        say(speaker, text)
        expect(said(speaker, text)).to_have_count(1)
        expect(said(listener, text)).to_have_count(1)
        expect(said(speaker, text).locator(".who")).to_have_text("you")
        expect(said(listener, text).locator(".who")).to_have_text(speaker.locator("#name").input_value())
        # Nothing may be left waiting for a confirmation that has come.
        expect(speaker.locator("#outbox li")).to_have_count(0)


def choose(page: Page, group: str, value: str):
    page.get_by_role("group", name=group).get_by_label(value, exact=True).check()


def speak_raw(page: Page, messages: list[str | int]):
    """Sends what the page itself never would, from a socket of its own: texts as they are, a number as that many bytes."""
    page.evaluate(
        """async (messages) => {
            const socket = new WebSocket(location.origin.replace("http", "ws") + "/broadcast");
            await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = () => reject(new Error("refused")); });
            const closed = new Promise((resolve) => { socket.onclose = resolve; });
            for (const message of messages) socket.send(typeof message === "number" ? new Uint8Array(message) : message);
            socket.close(1000);
            await closed;
        }""",
        messages,
    )


# The first sight


def test_loads_without_an_error_and_asks_nobody_else(start_server, browser):
    server = start_server()
    context = browser.new_context()
    page = context.new_page()
    complaints, asked = [], []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))

    response = page.goto(server.base + "/console")
    expect(page.locator("#summary")).to_have_text(ALL_OPEN)
    expect(page.locator("#median")).to_contain_text("ms")

    # The policy is half of this test: without it the page proves nothing about working under it.
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert complaints == []
    authority = urlsplit(server.base).netloc
    paths = sorted(urlsplit(url).path for url in asked if not url.startswith("data:"))
    assert [url for url in asked if not url.startswith("data:") and urlsplit(url).netloc != authority] == []
    assert paths == ["/broadcast", "/console", "/echo", "/people"]
    context.close()


def test_echo_shows_round_trip_times_and_draws_them(start_server, tab):
    page = tab(start_server().base)
    for figure in ("#last", "#median", "#p99"):
        expect(page.locator(figure)).to_have_text(re.compile(r"^\d+(\.\d+)?ms$"))
    choose(page, "Messages a second", "50")
    choose(page, "Size of each", "64 KB")
    expect(page.locator("#plot")).to_have_attribute("aria-label", re.compile(r"of the last ([2-9]\d|\d{3}) echoes"))
    inked = page.locator("#plot").evaluate(
        """(plot) => {
            const hex = getComputedStyle(document.documentElement).getPropertyValue("--receive").trim().slice(1);
            const [red, green, blue] = hex.match(/../g).map((part) => parseInt(part, 16));
            const { data } = plot.getContext("2d").getImageData(0, 0, plot.width, plot.height);
            let count = 0;
            for (let at = 0; at < data.length; at += 4) count += data[at] === red && data[at + 1] === green && data[at + 2] === blue;
            return count;
        }"""
    )
    assert inked > 500, f"{inked} pixels in the ink of the samples: twenty dots and their median are more"


def hide(page: Page, hidden: bool):
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


@pytest.mark.parametrize("how", ["button", "hidden tab"])
def test_the_echo_rests_when_paused_and_goes_on(start_server, tab, how):
    page = tab(start_server().base, prepare=lambda page: page.clock.install())
    expect(page.locator("#last")).to_contain_text("ms")
    choose(page, "Messages a second", "50")
    page.get_by_role("button", name="Pause").click() if how == "button" else hide(page, True)
    out = re.compile(r"^\d+ out")
    count = wire(page, "/echo").locator(".count")
    before = out.match(count.text_content())[0]
    page.clock.run_for(5_000)
    assert out.match(count.text_content())[0] == before
    page.get_by_role("button", name="Resume").click() if how == "button" else hide(page, False)
    page.clock.run_for(1_000)
    expect(count).not_to_have_text(re.compile(f"^{before}"))


# Two tabs


def test_two_tabs_chat_and_are_counted(start_server, tab):
    server = start_server()
    first = tab(server.base)
    expect(first.locator("#people")).to_have_text("1 person here")
    second = tab(server.base)
    for page in (first, second):
        expect(page.locator("#people")).to_have_text("2 people here")
    exchange(first, second, "once")
    second.context.close()
    expect(first.locator("#people")).to_have_text("1 person here")


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_both_tabs_come_back_when_the_server_is_restarted(start_server, tab, certificate, scheme):
    flags = ["--tls-certificate", str(certificate.cert), "--tls-key", str(certificate.key)] if scheme == "wss" else []
    server = start_server(*flags)
    assert server.base.startswith("https:" if scheme == "wss" else "http:")
    first, second = tab(server.base), tab(server.base)
    exchange(first, second, "before")

    server.stop()
    for page in (first, second):
        for path in ("/broadcast", "/people", "/echo"):
            expect(wire(page, path)).to_have_attribute("data-state", "closed", timeout=PATIENCE)
        expect(wire(page, "/broadcast").locator(".state")).to_have_text(re.compile(r"^closed \d{4}, .+; next try in \d+ s$"), timeout=PATIENCE)
        expect(page.locator("#people-count")).to_have_text("–")
        expect(page.get_by_role("button", name="Reconnect now")).to_be_visible()
        expect(page.get_by_role("button", name="Send")).to_be_disabled()
        # What is typed meanwhile is kept, and Enter loses nothing.
        say(page, "typed while away")
        expect(page.locator("#text")).to_have_value("typed while away")

    start_server(*flags, port=server.port)
    for page in (first, second):
        expect(page.locator("#summary")).to_have_text(ALL_OPEN, timeout=PATIENCE)
        expect(page.get_by_role("button", name="Reconnect now")).to_be_hidden()
        expect(page.locator("#text")).to_have_value("typed while away")
        expect(page.locator("#people")).to_have_text("2 people here", timeout=PATIENCE)
        expect(page.locator("#messages .gap")).to_have_count(1)
    exchange(first, second, "after")


# A line that fails


def test_a_message_lost_with_its_connection_can_be_sent_again(start_server, tab):
    losses = []

    def lose_the_first_message(socket):
        server = socket.connect_to_server()

        def pass_on(message):
            if losses:
                return server.send(message)
            losses.append(message)
            server.close()
            socket.close(code=1012, reason="a new version")

        socket.on_message(pass_on)

    server = start_server()
    listener = tab(server.base)
    page = tab(server.base, prepare=lambda page: page.route_web_socket(re.compile("/broadcast$"), lose_the_first_message))
    state = wire(page, "/broadcast").locator(".state")
    # Reconnecting takes half a second at most; the observer sees the state that a person sees.
    page.evaluate(
        """() => {
            window.states = [];
            const state = document.querySelector('[data-path="/broadcast"] .state');
            new MutationObserver(() => states.push(state.textContent)).observe(state, { childList: true });
        }"""
    )
    say(page, "lost at first")
    again = page.get_by_role("button", name="not confirmed; send again")
    expect(again).to_be_visible()
    expect(state).to_have_text("open")
    assert "closed 1012, a new version; next try in 1 s" in page.evaluate("states")
    again.click()
    expect(page.locator("#outbox li")).to_have_count(0)
    for each in (page, listener):
        expect(said(each, "lost at first")).to_have_count(1)
    assert json.loads(losses[0])["text"] == "lost at first"


def test_a_dead_line_is_noticed_by_the_missing_echo(start_server, tab):
    def swallow(socket):
        socket.connect_to_server()
        socket.on_message(lambda message: None)

    def prepare(page: Page):
        page.clock.install()
        page.route_web_socket(re.compile("/echo$"), swallow)

    page = tab(start_server().base, prepare=prepare)
    page.evaluate(
        """() => {
            window.states = new Set();
            const note = () => { for (const state of document.querySelectorAll(".state")) states.add(state.textContent.split(";")[0]); };
            new MutationObserver(note).observe(document.querySelector("#wires"), { childList: true, subtree: true });
        }"""
    )
    page.clock.run_for(13_000)
    assert "closed 1006, no echo in 10 s" in page.evaluate("[...states]")
    page.clock.run_for(1_000)
    expect(page.locator("#summary")).to_have_text(ALL_OPEN)


def test_reconnect_now_does_not_wait(start_server, tab):
    server = start_server()
    page = tab(server.base, prepare=lambda page: page.clock.install())
    # With the page's clock stopped, nothing but the button can reconnect it. (A clock stops only at a time to come.)
    soon = page.evaluate("Date.now()") / 1000 + 5
    page.clock.pause_at(datetime.datetime.fromtimestamp(soon, datetime.timezone.utc))
    server.stop()
    paths = ("/broadcast", "/people", "/echo")
    for path in paths:
        expect(wire(page, path)).to_have_attribute("data-state", "closed", timeout=PATIENCE)
    page.clock.run_for(150)  # the summary's own delay; the first wait is 250 ms at the least
    start_server(port=server.port)
    button = page.get_by_role("button", name="Reconnect now")
    button.focus()
    page.keyboard.press("Enter")
    for path in paths:
        expect(wire(page, path)).to_have_attribute("data-state", "open")
    page.clock.run_for(150)
    expect(button).to_be_hidden()
    expect(page.locator("#text")).to_be_focused()


# What others may send


def test_hostile_words_are_shown_as_words(start_server, tab):
    server = start_server()
    first, second = tab(server.base), tab(server.base)
    dialogs = []
    for page in (first, second):
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    first.locator("#name").fill("<b>bold</b>")
    first.locator("#name").press("Tab")
    say(first, HOSTILE)
    speak_raw(first, [f"{HOSTILE} bare"])
    for page in (first, second):
        expect(said(page, HOSTILE)).to_have_count(1)
        expect(said(page, f"{HOSTILE} bare")).to_have_count(1)
        expect(page.locator("#lines img, #lines b")).to_have_count(0)
    expect(said(second, HOSTILE).locator(".who")).to_have_text("<b>bold</b>")
    assert dialogs == []


def test_messages_of_other_makers_are_shown_plainly(start_server, tab):
    page = tab(start_server().base)
    odd = ["hello from a terminal", '{"kind":"chat"}', '{"kind":"chat","name":7,"text":"no"}', "null", "[" * 5000]
    speak_raw(page, [*odd, 5, 1])
    for text in odd[:-1]:
        expect(said(page, text).locator(".who")).to_have_text("anonymous")
    expect(page.locator("#messages")).to_contain_text("[… (1,000 more characters)")
    expect(said(page, "5 bytes of binary")).to_have_count(1)
    expect(said(page, "1 byte of binary")).to_have_count(1)


def test_a_copy_of_my_message_is_not_mine(start_server, tab):
    server = start_server()
    first, second = tab(server.base), tab(server.base)
    # Ids and names are public once broadcast: somebody repeats a message to the letter.
    second.evaluate(
        """() => new Promise((ready) => {
            const socket = new WebSocket(location.origin.replace("http", "ws") + "/broadcast");
            socket.onopen = ready;
            socket.onmessage = ({ data }) => { socket.onmessage = null; socket.send(data); };
        })"""
    )
    name = first.locator("#name").input_value()
    say(first, "the original")
    expect(said(first, "the original")).to_have_count(2)
    expect(said(first, "the original").locator(".who")).to_have_text(["you", name])


def test_the_log_is_bounded_and_says_what_is_unread(start_server, tab):
    page = tab(start_server().base)
    lines = page.locator("#messages li")
    speak_raw(page, [f"line {number}" for number in range(600)])
    expect(said(page, "line 599")).to_be_in_viewport()
    expect(lines).to_have_count(500)

    page.locator("#lines").evaluate("(lines) => { lines.scrollTop = 0; }")
    speak_raw(page, ["one more", "and another"])
    expect(page.locator("#unread")).to_have_text("2 new ↓")
    expect(said(page, "and another")).not_to_be_in_viewport()
    page.locator("#unread").click()
    expect(page.locator("#unread")).to_be_hidden()
    expect(said(page, "and another")).to_be_in_viewport()
    expect(page.locator("#text")).to_be_focused()


def test_an_echo_above_the_servers_limit_falls_back(start_server, tab):
    page = tab(start_server("--max-message-size", "4096").base)
    choose(page, "Size of each", "64 KB")
    expect(page.get_by_role("group", name="Size of each").get_by_label("16 B")).to_be_checked()
    expect(page.locator("#summary")).to_have_text(ALL_OPEN, timeout=PATIENCE)


# Everybody's hands


def test_keyboard_alone_is_enough(start_server, tab):
    page = tab(start_server().base)
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "text":
            break
    expect(page.locator("#text")).to_be_focused()
    outline = page.locator("#text").evaluate("(input) => getComputedStyle(input).outlineStyle")
    assert outline == "solid", "whoever comes by keyboard must see where they are"
    page.keyboard.type("no mouse needed")
    page.keyboard.press("Enter")
    expect(said(page, "no mouse needed")).to_have_count(1)
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator("#text")).to_be_focused()


def test_a_name_is_kept_for_the_next_visit(start_server, tab):
    server = start_server()
    page = tab(server.base)
    random_name = page.locator("#name").input_value()
    assert random_name.strip()
    page.reload()
    expect(page.locator("#name")).to_have_value(random_name)
    page.locator("#name").fill("Ada")
    page.locator("#name").press("Enter")
    later = page.context.new_page()
    later.goto(server.base + "/console")
    expect(later.locator("#name")).to_have_value("Ada")


def test_works_where_storage_is_forbidden(start_server, browser):
    context = browser.new_context()
    for area in ("localStorage", "sessionStorage"):
        context.add_init_script(f"Object.defineProperty(window, '{area}', {{ get() {{ throw new DOMException('denied'); }} }});")
    page = context.new_page()
    page.goto(start_server().base + "/console")
    expect(page.locator("#summary")).to_have_text(ALL_OPEN)
    page.locator("#name").fill("Grace")
    say(page, "without a memory")
    expect(said(page, "without a memory")).to_have_count(1)
    context.close()


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_small_screen_never_scrolls_sideways(start_server, tab, width):
    page = tab(start_server().base, viewport={"width": width, "height": 844}, has_touch=True)
    speak_raw(page, ["a" * 400])
    expect(said(page, "a" * 400)).to_have_count(1)
    expect(page.locator("#median")).to_contain_text("ms")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said(page, "a" * 400).locator(".what").evaluate("(words) => words.scrollWidth <= words.clientWidth"), "a long word is cut off"
    # A finger needs room, and a telephone zooms into a field whose letters are under 16 px.
    for control in ("#text", "#send"):
        assert page.locator(control).bounding_box()["height"] >= 44
    assert page.locator("#text").evaluate("(input) => parseFloat(getComputedStyle(input).fontSize)") >= 16


def test_dark_and_light_follow_the_system_and_stay_legible(start_server, tab):
    server = start_server()
    papers = set()
    for scheme in ("light", "dark"):
        page = tab(server.base, color_scheme=scheme)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        papers.add(paper)
        for selector in (".lede", ".lede span", "#people", ".figures dt", "#note", "pre b", "pre i"):
            colour = page.locator(selector).first.evaluate("(element) => getComputedStyle(element).color")
            assert contrast(colour, paper) >= 4.5, f"{selector} in {scheme}: {colour} on {paper} (WCAG 2.2, 1.4.3)"
    assert len(papers) == 2


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours of the form rgb(r, g, b)."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_reduced_motion_is_respected(start_server, tab):
    page = tab(start_server().base, reduced_motion="reduce")
    expect(page.locator("#median")).to_contain_text("ms")
    expect(page.locator("#wires b")).to_have_count(0)
