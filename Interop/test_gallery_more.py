"""The gallery's game, shared document, live stream and support chat, in Chromium: two tabs and more, and nothing in the console.

As elsewhere the pages' policy forbids `eval`, and so every wait is an `expect` on what a page shows, or a loop in here.
"""

import asyncio
import json
import queue
import random
import re
import struct
import threading
import time

import pytest
import socketio
from playwright.sync_api import Browser, Page, expect
from programs import PATIENCE
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as dial

HOSTILE = "<img src=x onerror=alert(1)>"
SECONDS = 45_000


@pytest.fixture
def tab(browser: Browser):
    """Opens pages that share nothing, as two people's browsers would. At the end nothing may have been logged as an error."""
    contexts, complaints = [], []

    def open_tab(url: str, **options) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        expect(page.locator("h1")).to_be_visible()
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert complaints == []


def until(get, what: str, seconds=30):
    """What `get` gives, once it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := get():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


# Game


def play(page: Page, name: str):
    expect(page.locator("#link")).to_have_text("Connected", timeout=SECONDS)
    page.locator("#name").fill(name)
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#trip")).to_have_text(re.compile(r"^\d+ ms$"), timeout=SECONDS)


def test_game_moves_at_once_and_needs_no_correction(start_server, tab):
    base = start_server().base
    ann, ben = tab(base + "/game"), tab(base + "/game")
    play(ann, "Ann")
    play(ben, "Ben")
    expect(ben.locator("#scores")).to_contain_text("Ann")
    expect(ann.locator("#scores")).to_contain_text("Ben")
    # Half a second of distance: the page moves at once, and the server comes to the very same place.
    ann.locator("#lag").fill("500")
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choice = random.Random(seed)
    corrections = int(ann.locator("#corrections").text_content())
    ann.locator("#arena").focus()
    for _ in range(12):
        key = choice.choice(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "w", "a", "s", "d"])
        ann.keyboard.down(key)
        ann.wait_for_timeout(choice.randrange(30, 300))
        ann.keyboard.up(key)
    until(lambda: int(ann.locator("#ahead").text_content()) >= 5, "the page is ahead")
    # It comes to rest, and the server's word of it has come the long way.
    still = "own && known && !(own.vx || own.vy || known.vx || known.vy) && [own.x, own.y, known.x, known.y]"
    rest = until(lambda: ann.evaluate(still), "she stands still")
    assert rest[:2] == rest[2:]
    assert int(ann.locator("#corrections").text_content()) == corrections
    # The other tab knows her to be there, too.
    her = "[...snapshots.at(-1).players.values()].find(({ id }) => names[id] === 'Ann')"
    until(lambda: ben.evaluate(f"(() => {{ const {{ x, y }} = {her}; return [x, y]; }})()") == rest[:2], "the other tab knows her there")


def test_game_is_the_servers_to_decide(start_server, tab):
    server = start_server()
    page = tab(server.base + "/game")
    play(page, "Ann")
    with dial(server.ws + "/game/cheat") as socket:

        def answer(message, reason):
            socket.send(message)
            until(lambda: isinstance(said := socket.recv(5), str) and reason in said, reason)

        answer(b"\0\1\2", "Join the game first.")
        answer('{"join":{"name":"' + "x" * 25 + '"}}', "A name must have 1 to 24 characters.")
        answer('{"join":{"name":"' + HOSTILE[:24] + '"}}', "joined")
        answer(b"\0\1", "An input has 3 bytes")
        answer(b"\0\1\x10", "An input has 3 bytes")
        answer("x" * 300, "Too large: 300 bytes")
        # A hundred steps at once would be a jump.
        mine = until(lambda: page.evaluate("Number(Object.keys(names).find((id) => names[id].startsWith('<img')))"), "the cheat is shown")
        before = page.evaluate(f"snapshots.at(-1).players.get({mine}).x")
        for number in range(60):
            socket.send(struct.pack(">HB", number, 2 if before < 8000 else 1))
        until(lambda: "Too fast: 33 messages" in str(socket.recv(5)), "too fast")
        until(lambda: page.evaluate(f"snapshots.at(-1).players.get({mine}).heeded") > 0, "an input is heeded")
        assert abs(page.evaluate(f"snapshots.at(-1).players.get({mine}).x") - before) < 30 * 168
    expect(page.locator("#scores")).not_to_contain_text("<img", timeout=SECONDS)
    expect(page.locator("#scores img")).to_have_count(0)


# Shared document


def document(tab, base) -> Page:
    page = tab(base + "/document")
    expect(page.locator("#text")).to_be_enabled(timeout=SECONDS)
    return page


def figure(page: Page, name: str) -> int:
    return int(page.locator(f"#{name}").text_content().replace(",", ""))


def all_equal(pages):
    def look():
        shown = [(page.locator("#waiting").text_content(), page.locator("#revision").text_content(), page.locator("#text").input_value()) for page in pages]
        return shown if all(one == shown[0] and one[0] == "0" for one in shown) else None

    shown = until(look, "all pages have the same text")
    # The text field, what the page takes to be in it, and the checksum.
    for page in pages:
        assert page.evaluate("text === field.value && !sent && !waiting")
    until(lambda: len({page.locator("#sum").text_content() for page in pages}) == 1, "the checksums are equal", 10)
    return shown[0][2]


@pytest.mark.parametrize("tabs", [2, pytest.param(3, marks=pytest.mark.whole)])
def test_document_comes_to_the_same_text_everywhere(start_server, tab, tabs):
    base = start_server().base
    pages = [document(tab, base) for _ in range(tabs)]
    # Lines of different lengths, the last one cut meanwhile: the edits cross each other on their way.
    for index, page in enumerate(pages):
        page.locator("#lag").fill(str([150, 400, 0][index]))
        page.get_by_role("button", name="Type by itself").click()
    last = pages[-1]
    until(lambda: all(figure(page, "transformed") >= 5 for page in pages), "edits cross each other")
    last.get_by_role("button", name="Cut the line").click()
    behind = figure(last, "revision")
    until(lambda: figure(last, "waiting") == 2 and figure(pages[0], "revision") > behind + 10, "both sides go on without each other")
    last.get_by_role("button", name="Mend the line").click()
    crossed = figure(last, "transformed")
    until(lambda: figure(last, "revision") > behind + 20 and figure(last, "transformed") > crossed, "the cut one has caught up")
    for page in pages:
        page.get_by_role("button", name="Type by itself").click()
    text = all_equal(pages)
    assert text
    assert document(tab, base).locator("#text").input_value() == text


def test_document_edits_are_transformed_as_they_should(start_server, tab):
    """The page's functions alone, on random edits: transforming and composing must agree, whichever way is gone."""
    page = document(tab, start_server().base)
    seed = random.randrange(2**31)
    print(f"seed {seed}")
    faults = page.evaluate(
        """(seed) => {
            const random = (limit) => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return Math.floor(seed / 2 ** 32 * limit); };
            const letters = [..."abcdeé世🌍\\n "], word = () => Array.from({ length: 1 + random(4) }, () => letters[random(letters.length)]).join("");
            const edit = (text) => {
                const steps = [];
                for (let left = [...text].length; left > 0;) {
                    const count = 1 + random(Math.min(left, 6)), kind = random(4);
                    if (kind === 0) append(steps, word());
                    append(steps, kind === 1 ? -count : count);
                    left -= count;
                }
                if (random(2)) append(steps, word());
                return steps;
            };
            const faults = [];
            for (let round = 0; round < 3000; round++) {
                const text = Array.from({ length: random(8) }, word).join(""), ours = edit(text), servers = edit(text);
                const [our, server] = transform(ours, servers), merged = apply(our, apply(servers, text));
                if (merged !== apply(server, apply(ours, text))) faults.push(["transform", text, ours, servers]);
                const next = edit(apply(ours, text));
                if (apply(compose(ours, next), text) !== apply(next, apply(ours, text))) faults.push(["compose", text, ours, next]);
                const after = apply(ours, text), caret = random([...after].length + 1);
                if (apply(difference(text, after, caret), text) !== after) faults.push(["difference", text, after, caret]);
            }
            return faults;
        }""",
        seed,
    )
    assert faults == []


def test_document_does_not_repeat_what_is_on_its_way_when_the_name_changes(start_server, tab):
    server = start_server()
    ann, ben = document(tab, server.base), document(tab, server.base)
    # The answer to the new name comes while the edit is under way.
    ann.locator("#lag").evaluate("(lag) => { lag.value = 800; lag.dispatchEvent(new Event('input')); }")
    ann.locator("#name").fill("Zoe")
    ann.locator("#name").press("Tab")
    ann.locator("#text").press("Control+Home")
    ann.keyboard.type("!")
    expect(ben.locator("#text")).to_have_value(re.compile("^!"))
    expect(ben.locator(".caret b")).to_have_text("Zoe")
    assert all_equal([ann, ben]).count("!") == 1


def test_document_shows_carets_and_takes_no_nonsense(start_server, tab):
    server = start_server()
    ann, ben = document(tab, server.base), document(tab, server.base)
    ann.locator("#name").fill(HOSTILE[:24])
    ann.locator("#name").press("Tab")
    ann.locator("#text").press("Control+Home")
    ann.keyboard.type(HOSTILE)
    expect(ben.locator("#text")).to_have_value(re.compile("^" + re.escape(HOSTILE)))
    expect(ben.locator(".caret b")).to_have_text(HOSTILE[:24])
    expect(ben.locator("#mirror img")).to_have_count(0)
    text = all_equal([ann, ben])
    with dial(server.ws + "/document/odd") as socket:
        revision = int(ann.locator("#revision").text_content())
        for edit, reason in [
            ([1], "An edit must cover the whole text"),
            ([len(text), 0], "A step has 1 to"),
            ([-(2**63)], "A step has 1 to"),
            ([len(text), "\r"], "Lines end with a line feed"),
            ([len(text), "a" * 20_000], "may have 20000 characters"),
            ([len(text), {}], "Not understood"),
        ]:
            socket.send(json.dumps({"edit": {"revision": revision, "edit": edit}}))
            assert reason in socket.recv(5)
        for bad in (-1, revision + 1, 2**62):
            socket.send(json.dumps({"edit": {"revision": bad, "edit": [len(text)]}}))
            assert "too old" in socket.recv(5)
    assert all_equal([ann, ben]) == text


# Live stream


def watching(page: Page):
    expect(page.locator("#video")).to_be_visible(timeout=SECONDS)
    first = until(lambda: page.evaluate("video.readyState >= 2 && video.currentTime"), "the video has a picture")
    until(lambda: page.evaluate("video.currentTime") > first + 1, "the video plays")


def test_stream_reaches_others_and_late_joiners(start_server, tab):
    server = start_server()
    sender, early = tab(server.base + "/live"), tab(server.base + "/live")
    expect(early.locator("#empty")).to_be_visible()
    expect(early.locator("#link")).to_have_text("Connected")
    sender.get_by_role("button", name="Start a drawing with sound").click()
    watching(early)
    assert early.evaluate("video.videoWidth") == 640
    until(lambda: early.evaluate("clusters") > 6, "clusters come")
    late = tab(server.base + "/live")
    watching(late)
    # The late one did not get what was before it, and is as close to the newest as the other.
    assert late.evaluate("video.buffered.start(0)") > 1
    for page in (early, late):
        assert float(page.locator("#behind").text_content().split()[0]) < 3.5
        assert page.locator("#missed").text_content() == "0"
    # It is the sender's picture, not a black one.
    bright = """(() => { const canvas = document.createElement("canvas"), context = canvas.getContext("2d"); canvas.width = 64; canvas.height = 36;
        context.drawImage(video, 0, 0, 64, 36); return Math.max(...context.getImageData(0, 0, 64, 36).data.filter((_, at) => at % 4 !== 3)); })()"""
    assert late.evaluate(bright) > 100
    late.get_by_role("button", name="Sound on").click()
    assert late.evaluate("!video.muted")
    expect(sender.locator("#viewers")).to_have_text("2")
    sender.get_by_role("button", name="Stop").click()
    expect(late.locator("#state")).to_have_text("The stream is over.")
    # Another may begin now, and the first one watches.
    early.get_by_role("button", name="Start a drawing with sound").click()
    watching(sender)


def test_a_camera_is_seen_by_others(start_server, tab):
    """Chromium's own camera and microphone, which need no device: see conftest.py."""
    server = start_server()
    sender, viewer = tab(server.base + "/live"), tab(server.base + "/live")
    expect(viewer.locator("#link")).to_have_text("Connected")
    sender.get_by_role("button", name="Start the camera").click()
    watching(viewer)
    assert viewer.evaluate("video.videoWidth") == 640
    sender.get_by_role("button", name="Stop").click()
    expect(viewer.locator("#state")).to_have_text("The stream is over.")


def test_stream_takes_only_clusters_of_who_is_on_the_air(start_server, tab):
    server = start_server()
    sender, viewer = tab(server.base + "/live"), tab(server.base + "/live")
    expect(sender.locator("#link")).to_have_text("Connected")
    sender.get_by_role("button", name="Start a drawing with sound").click()
    watching(viewer)
    with dial(server.ws + "/live/odd", max_size=None) as socket:
        for message, reason in [
            (b"\x1f\x43\xb6\x75 no", "You are not on the air"),
            (b"<html>", "no cluster of WebM"),
            (b"\x1f\x43\xb6\x75" + bytes(800_000), "768 KB at most"),
            ('{"start":{"type":"video/webm","name":"Eve"}}', "is on the air already"),
            ('{"start":{"type":"text/html","name":"Eve"}}', "is WebM here"),
        ]:
            socket.send(message)
            until(lambda: reason in str(socket.recv(5)), reason)
    watching(viewer)


# Support chat


def support(tab, base, name, role) -> Page:
    page = tab(base + "/support")
    page.locator("#name").fill(name)
    page.get_by_role("button", name="I have a question" if role == "customer" else "I answer questions").click()
    expect(page.locator("#link")).to_have_text("Connected", timeout=SECONDS)
    return page


def say(page: Page, text: str):
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")


def heard(page: Page):
    return page.locator("#lines .what")


def test_support_has_a_queue_agents_and_hand_over(start_server, tab):
    base = start_server().base
    ann, ben = support(tab, base, "Ann", "customer"), support(tab, base, "Ben", "customer")
    say(ann, HOSTILE)
    expect(ann.locator("#case-state")).to_have_text("Waiting, number 1 in the queue")
    say(ben, "Is it open?")
    expect(ben.locator("#case-state")).to_have_text("Waiting, number 2 in the queue")
    gus, hal = support(tab, base, "Gus", "agent"), support(tab, base, "Hal", "agent")
    expect(gus.locator("#queue p")).to_have_text([HOSTILE, "Is it open?"])
    gus.get_by_role("button", name="Take case 1").click()
    expect(ann.locator("#case-state")).to_have_text("Gus is with you")
    expect(ben.locator("#case-state")).to_have_text("Waiting, number 1 in the queue")
    say(gus, "Hello Ann")
    say(ann, "Hello Gus")
    for page in (ann, gus):
        expect(heard(page)).to_have_text([HOSTILE, "Hello Ann", "Hello Gus"])
        expect(page.locator("#lines img")).to_have_count(0)
    expect(hal.locator("#lines li")).to_have_count(0)
    # Hal gets the case, with all that was said; Gus hears no more of it.
    gus.locator("#others").select_option(label="Hal")
    gus.get_by_role("button", name="Hand over").click()
    expect(ann.locator("#case-state")).to_have_text("Hal is with you")
    expect(heard(hal)).to_have_text([HOSTILE, "Hello Ann", "Hello Gus"])
    expect(gus.locator("#case-title")).to_have_text("No case")
    say(hal, "I take over")
    expect(heard(ann)).to_have_count(4)
    # Back to the queue, at its head.
    hal.get_by_role("button", name="Hand over").click()
    expect(ann.locator("#case-state")).to_have_text("Waiting, number 1 in the queue")
    expect(gus.locator("#queue p")).to_have_text([HOSTILE, "Is it open?"])
    gus.get_by_role("button", name="Take case 1").click()
    gus.get_by_role("button", name="Done").click()
    expect(ann.locator("#case-state")).to_have_text("Done")
    # Who leaves needs nobody any more, and an agent who leaves is missed: Ann's next case is not Hal's for ever.
    ben.get_by_role("button", name="Leave").click()
    expect(gus.locator("#queue p")).to_have_count(0)
    say(ann, "One more thing")
    hal.get_by_role("button", name="Take case 3").click()
    expect(ann.locator("#case-state")).to_have_text("Hal is with you")
    hal.get_by_role("button", name="Leave").click()
    expect(ann.locator("#case-state")).to_have_text("Waiting, number 1 in the queue")


def test_support_misses_nothing_while_the_line_is_cut(start_server, tab):
    base = start_server().base
    ann, gus = support(tab, base, "Ann", "customer"), support(tab, base, "Gus", "agent")
    say(ann, "Are you there?")
    gus.get_by_role("button", name="Take case 1").click()
    say(gus, "I am")
    expect(heard(ann)).to_have_count(2)
    ann.get_by_role("button", name="Cut it for 5 s").click()
    expect(ann.locator("#link")).to_have_attribute("data-state", "closed")
    for number in range(3):
        say(gus, f"while you were away {number}")
    say(ann, "said without a line")
    expect(ann.locator("#pending")).to_contain_text("1 not confirmed yet")
    expect(heard(gus)).to_have_count(5)
    expect(ann.locator("#recovery")).to_have_text("Recovered: 3 missed events were sent again.", timeout=SECONDS)
    whole = ["Are you there?", "I am", *(f"while you were away {number}" for number in range(3)), "said without a line"]
    for page in (ann, gus):
        expect(heard(page)).to_have_text(whole)
    expect(ann.locator("#pending")).to_have_text("")


def test_support_talks_with_python_socketio(start_server, tab):
    """Another client's idea of the protocol, so that the page's own small one does not only agree with our server."""
    base = start_server().base
    gus = support(tab, base, "Gus", "agent")
    with PythonClient(base, "customer", "Pia") as pia:
        assert pia.until("welcome")
        opened = pia.call("ask", "from Python")
        assert (opened["number"], opened["customer"]) == (1, "Pia")
        gus.get_by_role("button", name="Take case 1").click()
        say(gus, "Hello Pia")
        assert pia.until("said")[:2] == (1, {"number": 1, "role": "agent", "name": "Gus", "text": "Hello Pia"})
        # The same thing, said twice with one key as no answer came, is heard once.
        for _ in range(2):
            pia.call("say", (1, "Hello Gus", "key 1"))
        expect(heard(gus)).to_have_text(["from Python", "Hello Pia", "Hello Gus"])
        for event, arguments, reason in [
            ("say", (1, "x" * 501, "key 2"), "1 to 500 characters"),
            ("say", (7, "x", "key 3"), "Case 7 is not yours"),
            ("say", ("one", "x", "key 4"), "argument"),
            ("take", 1, "Only agents"),
            ("ask", "again", "Your case 1 is open"),
            ("sing", "la", "There is no event of this name"),
        ]:
            assert reason in pia.call(event, arguments)["error"]
        answers = [pia.call("say", (1, "spam", f"key {number}")) for number in range(5, 40)]
        assert any(answer and "Too fast" in answer["error"] for answer in answers)
        # Its own way to leave may lose the packet that says so; then its session waits for it to come back.
        until(lambda: pia.call("finish", 1) is None, "no longer too fast")
        expect(gus.locator("#case-state")).to_have_text("Done")
    with pytest.raises(socketio.exceptions.ConnectionError):
        PythonClient(base, "king", "Eve").__enter__()  # a role is customer or agent


def test_support_tells_what_it_can_not_take(start_server):
    """Over a line without a client of Socket.IO: what is no packet, and what is too large."""
    url = start_server().ws + "/support/socket.io/?EIO=4&transport=websocket"
    for message, code in [("nonsense", None), ("42{}", None), ("42" + json.dumps(["say", 1, "x" * 20_000, "key"]), 1009)]:
        with dial(url) as socket:
            assert socket.recv(5).startswith("0{")
            socket.send('40{"role":"customer","name":"Eve"}')
            assert socket.recv(5).startswith("40{")
            socket.recv(5)
            socket.send(message)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(5)
            assert closed.value.rcvd is not None, "closed without a word"
            assert code is None or closed.value.rcvd.code == code and closed.value.rcvd.reason
    # A role that there is not, and a name that is too long.
    for auth, reason in [({"role": "king", "name": "Eve"}, "customer or agent"), ({"role": "agent", "name": "x" * 25}, "1 to 24"), ({}, "")]:
        with dial(url) as socket:
            socket.recv(5)
            socket.send("40" + json.dumps(auth))
            answer = socket.recv(5)
            assert answer.startswith("44{") and reason in answer


class PythonClient:
    """python-socketio in a thread: Playwright has this one's event loop."""

    def __init__(self, base, role, name):
        self.base, self.auth = base, {"role": role, "name": name}
        self.events = queue.Queue()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.io = self.run(self.make())
        try:
            self.run(self.io.connect(self.base, auth=self.auth, transports=["websocket"], socketio_path="/support/socket.io/"))
        except socketio.exceptions.ConnectionError:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.run(self.io.disconnect())
        self.end()

    def end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    async def make(self):
        io = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        io.on("*", lambda event, *arguments: self.events.put((event, arguments)))
        return io

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def call(self, event, arguments):
        return self.run(self.io.call(event, arguments, timeout=PATIENCE))

    def until(self, event):
        """The arguments of the next event of this name."""
        while (found := self.events.get(timeout=PATIENCE))[0] != event:
            pass
        return found[1]
