// What the pages of the gallery share: a connection that is kept open, elements without markup, and a look at the code.
"use strict";
const $ = (id) => document.getElementById(id);

/** Makes an element. What it shows goes in as text and never as markup: anyone may say anything. */
function make(tag, className = "", ...content) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...content);
    return element;
}

/** Who this tab is: an id and a name, made up once. Two tabs are two people. */
function me() {
    const names = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Tony", "Frances", "Ken", "Margaret", "Vint"];
    const random = crypto.getRandomValues(new Uint32Array(3));
    const made = { id: Array.from(random, (word) => word.toString(36)).join("-"), name: names[random[0] % names.length] };
    try {
        const kept = JSON.parse(sessionStorage.getItem("me")) ?? made;
        sessionStorage.setItem("me", JSON.stringify(kept));
        return kept;
    } catch {
        return made;    // Storage is forbidden here: then this tab is somebody else after each reload.
    }
}

/**
 * Opens a WebSocket and keeps it open: after a loss it comes back, after waits that double up to 10 s and are randomised.
 *
 * An event {"said":{…}} goes to handlers.said({…}); handlers.opened() is called for each connection. `send("say", { text })` sends
 * {"say":{"text":…}}, and is false without a connection. The page's first link is the one that the bar tells of.
 */
function connect(path, handlers) {
    const isShown = !connect.links++;
    const url = () => location.origin.replace(/^http/, "ws") + (typeof path === "function" ? path() : path);
    let socket, timer, attempt = 0, openedAt = 0;
    const show = (state, text) => {
        if (isShown && $("link")) { $("link").dataset.state = state; $("link").textContent = text; }
        handlers.state?.(state);
    };
    function open() {
        clearTimeout(timer);
        show("connecting", "Connecting…");
        const mine = socket = new WebSocket(url());
        mine.binaryType = "arraybuffer";
        mine.onopen = () => { openedAt = performance.now(); show("open", "Connected"); handlers.opened?.(); };
        mine.onmessage = ({ data }) => {
            if (typeof data !== "string") return handlers.binary?.(data);
            const event = JSON.parse(data), name = Object.keys(event)[0];
            if (name === "refused") notify(event.refused.reason);
            handlers[name]?.(event[name]);
        };
        mine.onclose = ({ code, reason }) => {
            if (mine !== socket) return;
            // Who is let in and sent away at once does not come back four times a second.
            if (openedAt && performance.now() - openedAt > 5000) attempt = 0;
            openedAt = 0;
            show("closed", `Lost (${code})`);
            if (reason) notify(`The server closed the connection: ${reason}`);
            handlers.closed?.(code, reason);
            timer = setTimeout(open, Math.min(10_000, 250 * 2 ** attempt++) * (0.5 + Math.random()));
        };
    }
    open();
    return {
        send(name, values = {}) { return this.raw(JSON.stringify({ [name]: values })); },
        raw(data) {
            if (socket?.readyState !== WebSocket.OPEN) return false;
            socket.send(data);
            return true;
        },
        get buffered() { return socket.bufferedAmount; },
        reopen() { const former = socket; open(); former.close(); },
        close() { clearTimeout(timer); const former = socket; socket = null; former.close(); show("closed", "Closed"); },
        open,
    };
}
connect.links = 0;

/** Says what went wrong, for six seconds. */
function notify(text) {
    if (!notify.box) {
        notify.box = make("p", "notice");
        notify.box.setAttribute("role", "alert");
        document.body.append(notify.box);
    }
    notify.box.textContent = text;
    clearTimeout(notify.timer);
    notify.timer = setTimeout(() => { notify.box.textContent = ""; }, 6000);
}

/** Calls a function once for the next frame, however often it is asked to; in a hidden tab, once a second. */
function onFrame(draw) {
    let isDue = false;
    const run = () => { isDue = false; draw(); };
    return () => {
        if (isDue) return;
        isDue = true;
        if (document.hidden) setTimeout(run, 1000); else requestAnimationFrame(run);
    };
}

/** Counts what happens in a second. */
class Rate {
    #times = []; #sum = 0;
    add(count = 1, now = performance.now()) { this.#times.push([now, count]); this.#sum += count; }
    value(now = performance.now()) {
        while (this.#times.length && this.#times[0][0] <= now - 1000) this.#sum -= this.#times.shift()[1];
        return this.#sum;
    }
}

/** A number as a person reads it. */
function figure(number, digits = 0) { return number.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }); }

/** A canvas's context, with a pixel of the canvas for each of the screen; what is drawn is in CSS pixels. */
function surface(canvas) {
    const scale = devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = canvas;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    return { context, width, height };
}

/** A colour of the stylesheet, by its name. */
function ink(name) { return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`); }

// Comments, strings and keywords, told apart well enough for a page. The code is text, and the pieces stay text.
const syntax = /(\/\/[^\n]*|\/\*[^]*?\*\/)|("(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\b(import|public|private|static|final|class|struct|enum|case|func|init|let|var|const|if|else|guard|for|while|in|switch|return|throws|throw|try|await|async|function|new|extension|protocol|some|any|of|default|do|catch|defer|self|nil|true|false|null)\b/g;
for (const code of document.querySelectorAll("code[data-language]")) {
    const text = code.textContent, pieces = [];
    let end = 0;
    for (const found of text.matchAll(syntax)) {
        pieces.push(text.slice(end, found.index), make("span", found[1] ? "c" : found[2] ? "s" : "k", found[0]));
        end = found.index + found[0].length;
    }
    code.replaceChildren(...pieces, text.slice(end));
}
document.querySelector(".bar [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
