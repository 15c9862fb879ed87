"""The gallery's page of nodes, in Chromium: tabs on several `duplex serve` with one Redis, of which nodes die and Redis is killed.

The page's policy forbids `eval`: every wait is an `expect` on what a page shows, or for what Redis hears.
"""

import json
import re
import struct
import time

import pytest
import redis as pypi_redis
from playwright.sync_api import Browser, Page, expect
from redis_server import Redis, needs_redis

pytestmark = needs_redis

# In milliseconds: a machine that is busy may take ten times as long as an idle one.
PATIENCE = 45_000
HOSTILE = "<img src=x onerror=alert(1)>"
CHANNEL = "duplex-gallery:nodes"


@pytest.fixture
def start_node(redis, start_server):
    return lambda: start_server("--redis", f"redis://127.0.0.1:{redis.port}")


@pytest.fixture
def tab(browser: Browser):
    """Opens the page of a node as somebody; at the end, no page may have complained of anything but a server that was ended."""
    contexts, complaints = [], []

    def open_tab(server, name: str) -> Page:
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if "WebSocket connection to" not in message.text else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        page.goto(f"{server.base}/nodes")
        expect(page.locator("#link")).to_have_text("Connected", timeout=PATIENCE)
        page.locator("#name").fill(name)
        page.locator("#enter button").click()
        expect(row(page, server).locator(".who")).to_contain_text(name, timeout=PATIENCE)
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert complaints == []


def place(server):
    return f"127.0.0.1:{server.port}"


def rows(page: Page):
    return page.locator("#rows tr")


def row(page: Page, server):
    return rows(page).filter(has=page.locator(".name bdi", has_text=re.compile(f"^{re.escape(place(server))}$")))


def say(page: Page, text: str):
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")


def has_line(page: Page, text: str, name: str, server):
    """Who said it and on which node, once."""
    line = page.locator("#lines li").filter(has=page.locator(".what", has_text=re.compile(f"^{re.escape(text)}$")))
    expect(line).to_have_count(1, timeout=PATIENCE)
    expect(line.locator(".who")).to_have_text(name)
    expect(line.locator(".where")).to_have_text(place(server))


def test_tabs_on_two_nodes_talk_and_a_node_that_is_killed_is_gone(start_node, tab):
    a, b = start_node(), start_node()
    ann, ben = tab(a, "Ann"), tab(b, HOSTILE)
    for page, own, other, who in [(ann, a, b, f"1 tab: {HOSTILE}"), (ben, b, a, "1 tab: Ann")]:
        expect(page.locator("#redis")).to_have_text("Redis: ready", timeout=PATIENCE)
        expect(row(page, other).locator(".who")).to_have_text(who, timeout=PATIENCE)
        expect(page.locator("#state")).to_contain_text("2 nodes hear each other")
        expect(rows(page)).to_have_count(2)
        expect(row(page, own).locator(".tag")).to_have_text("this one")
        expect(row(page, other).locator(".tag")).to_have_count(0)
        expect(row(page, other).locator("td.number").nth(2)).to_have_text("1", timeout=PATIENCE)
    say(ann, "from A")
    say(ben, HOSTILE)
    for page in (ann, ben):
        has_line(page, "from A", "Ann", a)
        has_line(page, HOSTILE, HOSTILE, b)
    expect(ann.locator("#lines .mine .what")).to_have_text(["from A"])
    second = tab(b, "Cleo")
    has_line(second, "from A", "Ann", a)
    expect(row(ann, b).locator(".who")).to_contain_text("2 tabs", timeout=PATIENCE)
    b.process.kill()
    expect(rows(ann)).to_have_count(1, timeout=PATIENCE)
    expect(row(ann, a)).to_have_count(1)
    expect(ann.locator("#state")).to_contain_text("no other node is heard")
    expect(ben.locator("#link")).not_to_have_text("Connected", timeout=PATIENCE)
    expect(rows(ben)).to_have_count(0)


def test_a_node_that_drains_says_farewell(start_node, tab, redis):
    heard = pypi_redis.Redis(port=redis.port).pubsub(ignore_subscribe_messages=True)
    heard.subscribe(CHANNEL)
    a, b = start_node(), start_node()
    ann = tab(a, "Ann")
    expect(row(ann, b)).to_have_count(1, timeout=PATIENCE)
    gone = row(ann, b).locator(".id").text_content()
    b.interrupt()
    assert b.wait() == 0
    deadline = time.monotonic() + PATIENCE / 1000
    while True:
        message = heard.get_message(timeout=1)
        if message and message["data"].endswith(b'{"gone":{"id":"%s"}}' % gone.encode()):
            break
        assert time.monotonic() < deadline, "no farewell was heard"
    expect(row(ann, b)).to_have_count(0, timeout=PATIENCE)


def test_without_its_redis_a_node_says_so_and_goes_on(start_node, tab, redis):
    a, b = start_node(), start_node()
    ann, ben = tab(a, "Ann"), tab(b, "Ben")
    eve = tab(a, "Eve")
    expect(row(ann, b).locator(".who")).to_have_text("1 tab: Ben", timeout=PATIENCE)
    redis.process.kill()
    redis.process.wait()
    expect(ann.locator("#redis")).to_have_text("Redis: gone (connecting)", timeout=PATIENCE)
    expect(ann.locator("#state")).to_contain_text("Redis can not be reached: this node is on its own")
    say(ann, "alone")
    for page in (ann, eve):
        has_line(page, "alone", "Ann", a)
    expect(rows(ann)).to_have_count(1, timeout=PATIENCE)
    again = Redis(redis.port)
    try:
        expect(row(ann, b).locator(".who")).to_have_text("1 tab: Ben", timeout=PATIENCE)
        expect(row(ben, a).locator(".who")).to_have_text("2 tabs: Ann, Eve", timeout=PATIENCE)
        expect(ann.locator("#redis")).to_have_text("Redis: ready", timeout=PATIENCE)
        say(ben, "together")
        has_line(ann, "together", "Ben", b)
        say(ann, "again")
        has_line(ben, "again", "Ann", a)
        # What was said meanwhile is not said later.
        expect(ben.locator("#lines .what")).to_have_text(["together", "again"])
    finally:
        again.stop()


def test_a_server_without_redis_says_so_and_how_to_start_a_second(start_server, tab):
    server = start_server()
    ann, ben = tab(server, "Ann"), tab(server, "Ben")
    for page in (ann, ben):
        expect(page.locator("#redis")).to_have_text("Redis: none")
        expect(page.locator("#state")).to_contain_text("This server is alone")
        expect(page.locator("#commands")).to_contain_text("duplex serve --port 8081 --redis redis://127.0.0.1")
        expect(rows(page)).to_have_count(1)
        expect(row(page, server).locator(".who")).to_have_text("2 tabs: Ann, Ben", timeout=PATIENCE)
    say(ann, "hello")
    for page in (ann, ben):
        has_line(page, "hello", "Ann", server)


def test_what_is_made_up_on_redis_is_bounded_and_harms_nobody(start_node, tab, redis):
    node = start_node()
    ann = tab(node, "Ann")
    expect(ann.locator("#redis")).to_have_text("Redis: ready", timeout=PATIENCE)
    client, number = pypi_redis.Redis(port=redis.port), 0

    def publish(content):
        nonlocal number
        number += 1
        text = content if isinstance(content, str) else json.dumps(content)
        # The envelope of a publication: version, text, node, number.
        client.publish(CHANNEL, struct.pack(">BBQQ", 1, 1, 4711, number) + text.encode())

    figures = {"connections": 1, "tabs": 1, "names": [HOSTILE]}
    # Until it is heard: nobody is told when a subscription is in effect.
    deadline = time.monotonic() + PATIENCE / 1000
    while not (hostile := ann.locator("#rows bdi", has_text=HOSTILE)).count():
        publish({"here": {"node": {"id": "aaaaaaaa", "name": HOSTILE, **figures}}})
        assert time.monotonic() < deadline
        ann.wait_for_timeout(50)
    client.publish(CHANNEL, b"\xff" * 10_000)
    for content in ["nonsense", "[" * 5000, "{}", {"said": {"line": {"text": "x"}}}, {"gone": {"id": 5}}, {"here": {"node": figures}}]:
        publish(content)
    publish({"said": {"line": {"node": "aaaaaaaa", "place": HOSTILE, "user": "", "name": HOSTILE, "text": HOSTILE}}})
    expect(ann.locator("#lines .what")).to_have_text([HOSTILE], timeout=PATIENCE)
    assert ann.locator("#rows img, #lines img").count() == 0
    # Again and again, as they would go from the table where this test is slow.
    while (count := rows(ann).count()) < 100:
        assert time.monotonic() < deadline, count
        for number_of_node in range(300):
            publish({"here": {"node": {"id": f"x{number_of_node:07}", "name": f"made up {number_of_node}", **figures}}})
        ann.wait_for_timeout(600)
    assert count == 100
    # It goes from the table by itself, as what says nothing more.
    expect(rows(ann)).to_have_count(1, timeout=PATIENCE)
    expect(hostile).to_have_count(0)
    expect(row(ann, node).locator(".tag")).to_have_text("this one")
