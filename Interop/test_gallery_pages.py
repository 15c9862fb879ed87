"""What every page of `duplex serve` owes its reader, measured in Chromium: names for its controls, a way to all of them without a mouse, legible
text, nothing that jumps or hangs over, nothing in the console, and its own source.

The pages run under a Content-Security-Policy that forbids `eval`; Playwright's own scripts stand outside of it.
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

PATIENCE = 45_000
# The gallery's own page, the exhibits, and the console.
EXHIBITS = ["compare", "chat", "notifications", "dashboard", "ticker", "auction", "game", "document", "live", "devices", "support", "nodes"]
PAGES = ["", *EXHIBITS, "console"]
# What the size of a page may be: old and new telephones, a tablet, a laptop, a large screen.
WIDTHS = [320, 360, 390, 768, 1280, 1920]

WATCH_SHIFTS = """
    window.shifts = [];
    new PerformanceObserver((list) => {
        for (const { value, sources } of list.getEntries())
            shifts.push([value, ...sources.map(({ node }) => node?.id || node?.className || node?.nodeName || "gone")]);
    }).observe({ type: "layout-shift", buffered: true });
"""

# Text and what lies behind it, as the browser mixes it: a canvas says what any notation of a colour is in red, green and blue.
FAINT_TEXTS = """() => {
    const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
        return [red, green, blue, alpha / 255];
    };
    const over = (top, below) => [0, 1, 2].map((part) => top[part] * top[3] + below[part] * (1 - top[3])).concat(1);
    const paper = (element) => {
        const layers = [];
        for (let each = element; each; each = each.parentElement) layers.push(rgba(getComputedStyle(each).backgroundColor));
        return layers.reduceRight((below, top) => over(top, below), [255, 255, 255, 1]);
    };
    const opacity = (element) => element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;
    const luminance = ([red, green, blue]) => [red, green, blue].map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const faint = new Set();
    let count = 0;
    const judge = (element, colour, what) => {
        const below = paper(element), [red, green, blue, alpha] = rgba(colour);
        const text = over([red, green, blue, alpha * opacity(element)], below);
        const [light, dark] = [luminance(text), luminance(below)].sort((one, other) => other - one);
        const contrast = (light + 0.05) / (dark + 0.05);
        count++;
        if (contrast < 4.5) faint.add(`${what} ${contrast.toFixed(2)}`);
    };
    for (const element of document.querySelectorAll("body *")) {
        if (!element.checkVisibility({ visibilityProperty: true }) || element.matches(":disabled")) continue;
        const what = `${element.tagName.toLowerCase()}${element.id ? "#" + element.id : ""}.${element.className}`;
        const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (hasText && !(element instanceof SVGElement)) judge(element, getComputedStyle(element).color, what);
        if (element.matches("input:not([type=checkbox], [type=radio], [type=range]), textarea, select")) judge(element, getComputedStyle(element).color, what);
        if (element.placeholder) judge(element, getComputedStyle(element, "::placeholder").color, what + "::placeholder");
    }
    return [count, [...faint]];
}"""

# What a mouse can act on, numbered; a group of radio buttons is one stop of the Tab key.
NUMBER_CONTROLS = """() => {
    const controls = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
        .filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.disabled
            && !(element.type === "radio" && !element.checked && document.querySelector(`input[name="${element.name}"]:checked`)));
    controls.forEach((element, index) => { element.dataset.stop = index; });
    return controls.map((element) => `${element.tagName} ${element.id} ${element.textContent.trim().slice(0, 30)}`);
}"""

WHERE = """() => {
    const element = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(element);
    return [element.dataset.stop ?? null, outlineStyle !== "none" && outlineWidth !== "0px"];
}"""


# WCAG 2.5.8 asks for 24 pixels; a finger is glad of 44.
LOW_CONTROLS = """() => [...document.querySelectorAll("main :is(button, select, textarea, input:not([type=checkbox], [type=radio], [type=range]))")]
    .filter((control) => control.checkVisibility() && control.offsetHeight < 44)
    .map((control) => `${control.id} ${control.textContent} ${control.offsetHeight}`)"""

HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4")].filter((each) => each.checkVisibility())
    .map((each) => Number(each.tagName[1]))"""


@pytest.fixture(scope="module")
def server(echo_server):
    return echo_server


@pytest.fixture
def visit(server, browser: Browser):
    """Opens a page; at the end it must not have complained of anything."""
    contexts, complaints = [], []

    def open_(path: str) -> Page:
        context = browser.new_context(viewport={"width": 390, "height": 900}, color_scheme="light")
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(WATCH_SHIFTS)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{server.base}/{path}")
        settle(page, path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def settle(page: Page, path: str):
    """Waits until the page shows what it has to show."""
    if path == "console":
        expect(page.locator("#summary")).to_have_text("Three sockets open, one port", timeout=PATIENCE)
    elif path != "support":
        expect(page.locator("#link")).to_have_text("Connected", timeout=PATIENCE)
    shown = {
        "": ("#open", r"\d"), "compare": ("#sentence", "by WebSocket"), "chat": ("#count", r"[1-9]"), "dashboard": (".value", r"\d"),
        "ticker": ("#rows tr:first-child .last", r"\d"), "auction": ("#lot-number", r"Lot \d"), "game": ("#scores", "Bot Ping"),
        "document": ("#state", "confirmed"), "live": ("#viewers", r"\d"), "devices": ("#rows tr:nth-child(18) .value", r"\d"),
        "nodes": ("#rows .tag", "this one"),
    }  # fmt: skip
    if path in shown:
        selector, text = shown[path]
        expect(page.locator(selector).first).to_have_text(re.compile(text), timeout=PATIENCE)


def enter(page: Page, path: str):
    """Goes on to where the support desk's work is done; the other pages have all of it at once."""
    if path == "support":
        page.get_by_role("button", name="I answer questions").click()
        expect(page.locator("#link")).to_have_text("Connected", timeout=PATIENCE)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_manners(visit, path):
    """One visit, as all of it takes a page that has come to rest."""
    page = visit(path)
    nothing_has_jumped(page)
    nothing_hangs_over(page)
    every_text_is_legible(page)
    if path != "console":
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
    enter(page, path)
    if path == "support":
        nothing_hangs_over(page)
        every_text_is_legible(page)
    all_is_reached_by_keys(page)
    all_is_named(page)
    assert page.evaluate("document.documentElement.lang && document.title")


# What a reader can do before anything has come: presses every button twice, moves and fills in every field.
HURRY = """() => {
    for (const control of document.querySelectorAll("main :is(input, select, textarea)")) {
        if (control.disabled || !control.checkVisibility() || control.type === "file") continue;
        if (control.type === "checkbox" || control.type === "radio") { control.click(); continue; }
        if (control.type === "range") control.value = control.max; else if (control.matches("input, textarea")) control.value ||= "1";
        for (const name of ["input", "change"]) control.dispatchEvent(new Event(name, { bubbles: true }));
        control.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    }
    let pressed = 0;
    for (let round = 0; round < 2; round++) {
        for (const button of document.querySelectorAll("main button")) if (!button.disabled && button.checkVisibility()) { button.click(); pressed++; }
    }
    return pressed;
}"""


# The one page of which it once was not so is always tried.
@pytest.mark.parametrize("path", ["compare", *(pytest.param(path, marks=pytest.mark.whole) for path in EXHIBITS if path != "compare")])
def test_a_reader_is_faster_than_the_server(server, browser: Browser, path):
    """What is done before the first answer is answered later or does nothing: the page is whole afterwards."""
    complaints, messages = [], []
    is_held = True

    def pass_on():
        while messages and not is_held:
            route, message = messages.pop(0)
            route.send(message)

    def hold(route):
        route.connect_to_server().on_message(lambda message: (messages.append((route, message)), pass_on()))

    with browser.new_context() as context:
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(error.stack))
        page.route_web_socket(re.compile("."), hold)
        page.goto(f"{server.base}/{path}")
        # The support desk's is a Socket.IO connection, which is none before the server's first words.
        if path != "support":
            expect(page.locator("#link")).to_have_text("Connected", timeout=PATIENCE)
        assert page.evaluate(HURRY) > 0 or path == "dashboard"
        is_held = False
        pass_on()
        # The last of the support desk's buttons leaves it.
        enter(page, path)
        expect(page.locator("#link")).to_have_text("Connected", timeout=PATIENCE)
        # What follows from the first answers: the slowest page asks again after a second.
        page.wait_for_timeout(1500)
    assert complaints == []


def nothing_has_jumped(page: Page):
    """What came with the first answers has not pushed away what was there: Core Web Vitals call less than 0.1 good."""
    shifts = page.evaluate("new Promise((done) => setTimeout(() => done(shifts), 500))")
    assert sum(shift[0] for shift in shifts) < 0.02, shifts


def nothing_hangs_over(page: Page):
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"at {width}"
        if width == 360:
            assert page.evaluate(LOW_CONTROLS) == []
    page.set_viewport_size({"width": 390, "height": 900})


def every_text_is_legible(page: Page):
    """WCAG 2.2, 1.4.3."""
    for details in page.locator("details").all()[:2]:
        details.evaluate("(details) => { details.open = true; }")
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        count, faint = page.evaluate(FAINT_TEXTS)
        assert count > 10
        assert faint == [], scheme


def all_is_reached_by_keys(page: Page):
    """Every control is a stop of the Tab key and shows that it is; and all are of kinds that the browser has keys for."""
    page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges()")
    controls = page.evaluate(NUMBER_CONTROLS)
    reached, unseen = set(), set()
    for _ in range(2 * len(controls) + 10):
        page.keyboard.press("Tab")
        stop, is_shown = page.evaluate(WHERE)
        if stop is None:
            continue
        if int(stop) in reached and len(reached) == len(controls):
            break
        reached.add(int(stop))
        if not is_shown:
            unseen.add(controls[int(stop)])
    assert [name for index, name in enumerate(controls) if index not in reached] == []
    assert unseen == set(), "the focus can not be seen"


def all_is_named(page: Page):
    """The browser's own idea of names, as a screen reader gets it; and headings without gaps."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    nameless = [
        node["role"]["value"]
        for node in nodes
        if any(each["name"] == "focusable" and each["value"]["value"] for each in node.get("properties", []))
        and node["role"]["value"] not in ("RootWebArea", "generic")
        and not node.get("name", {}).get("value")
    ]
    assert nameless == []
    levels = page.evaluate(HEADINGS)
    assert levels.count(1) == 1 and all(after <= before + 1 for before, after in zip(levels, levels[1:])), levels


@pytest.mark.parametrize("path", EXHIBITS)
def test_an_exhibit_shows_its_own_source(server, browser, path):
    page = browser.new_page()
    page.goto(f"{server.base}/{path}")
    listings = page.locator(".listing")
    name = listings.first.locator("summary b").text_content()
    assert listings.first.locator("pre").text_content() == (Path(__file__).parent.parent / "Sources/Gallery" / name).read_text()
    # The page's script is what runs in it.
    script = listings.nth(1)
    assert script.locator("summary b").text_content() == f"{path}.html"
    assert script.locator("pre").text_content().strip() == page.locator("script").last.text_content().strip()
    page.close()
