/* Wiring: the address, the session, the stream, the view and the page, one with the store, and drawing once a frame. */

import { html, render } from "./vendor/htm-preact.js";
import { change, follow as followAddress, present, takeLogin } from "./address.js";
import * as api from "./api.js";
import { Door, Frame } from "./frame.js";
import { openPalette } from "./palette.js";
import { listenToKeys } from "./shortcuts.js";
import { Store } from "./store.js";
import { Follower } from "./stream.js";
import { VIEWS } from "./views.js";

const CALM_FRAME_MS = 1000;
/** With a look each second, that leaves a second for the answer before what is shown is called stale. */
const CONFIRM_AFTER_MS = 1500;
const FETCH_VIEWS_AFTER_MS = 1500;
/** Of the fleet the frame needs little, so it asks now and then; a view that shows it has it streamed. */
const FRAME_TOPICS = ["operations", "alerts"];
const FLEET_EVERY_MS = 2000;
/** How a stream of something that is no process, or none any more, is refused. */
const NOT_A_PROCESS = [400, 404, 422];

/** @typedef {import("./views.js").View} View */

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const app = /** @type {HTMLElement} */ (document.getElementById("app"));
let drawing = false;
let drawingIn = /** @type {ReturnType<typeof setTimeout>|undefined} */ (undefined);
let drawingFrame = 0;
let drawnAt = 0;
let drawnPlace = "";
let confirming = false;
/** The stream goes without what the view needs, since tallyd did not know the process: no id, or nobody's pid. */
let without = false;
let fleetAt = -Infinity;
let entering = 0;
let address = present();
/** What is shown: the module of `shown` once it has come. */
let shown = "";
let view = /** @type {View|null} */ (null);
let viewProblem = /** @type {Error|null} */ (null);

const store = new Store(() => {
    if (!drawing && !document.hidden) {
        drawing = true;
        const draw = () => { drawingFrame = requestAnimationFrame(page); };
        const wait = calm.matches ? drawnAt + CALM_FRAME_MS - performance.now() : 0;
        wait > 0 ? drawingIn = setTimeout(draw, wait) : draw();
    }
});

const follower = new Follower({
    onMessage: (event, data) => store.take(event, data),
    onLink(link) {
        store.setLink(link);
        if (link.state === "live") {
            refresh();
        }
    },
    onRefused(problem) {
        if (NOT_A_PROCESS.includes(problem.status) && follower.topics.length > FRAME_TOPICS.length) {
            without = true;
            noSuchProcess();
            follower.follow(FRAME_TOPICS);
        }
    },
});
store.hurry = () => follower.hurry();

api.whenUnauthorized(() => {
    follower.stop();
    api.forgetSession();
    store.setSession("out", "This session is no longer valid.");
});

/** The title of the row that the address names. */
const rowOf = () => VIEWS.find(({ id }) => id === address.view);

function page() {
    clearTimeout(drawingIn);
    cancelAnimationFrame(drawingFrame);
    drawing = false;
    drawnAt = performance.now();
    if (store.session !== "in") {
        document.title = "tally";
        render(html`<${Door} store=${store} />`, app);
        return;
    }
    const title = view?.title ?? rowOf()?.title ?? "No such view";
    const name = address.process && view?.needsProcess !== false ? store.summary?.name ?? store.stats?.name : "";
    document.title = [name, title, "tally"].filter(Boolean).join(" – ");
    render(html`<${Frame} store=${store} address=${address} title=${title} view=${view} problem=${viewProblem} again=${load} />`, app);
    arrive();
}

/** At another view, another process, snapshot or object of one, reading begins at the title; the first one is where the page
 * begins anyway. */
function arrive() {
    const place = view ? [shown, address.process, address.get("artifact"), address.get("object")].join(" ") : drawnPlace;
    if (drawnPlace && place !== drawnPlace) {
        scrollTo(0, 0);
        document.getElementById("title")?.focus({ preventScroll: true });
    }
    drawnPlace = place;
}

/** Brings the module of the view that the address names. */
async function load() {
    const row = rowOf();
    const id = shown = address.view;
    view = null;
    viewProblem = row ? null : new Error(`There is no view ${id}`);
    try {
        const module = await row?.load();
        if (shown === id) {
            view = module?.default ?? null;
        }
    } catch (error) {
        if (shown === id) {
            viewProblem = new Error(`The view could not be loaded: ${/** @type {Error} */ (error).message}`);
        }
    }
    if (shown === id) {
        listen();
        store.changed();
    }
}

function noSuchProcess() {
    store.setStatsProblem("No such process: it never attached to this tallyd, or it ended long ago.");
}

/** Fetches what the stream tells only from now on. */
async function refresh() {
    const quiet = () => undefined;
    await Promise.all([
        api.info().then((info) => store.setInfo(info), quiet),
        api.session().then((who) => store.setWho(who), quiet),
        askFleet(),
        refreshAlerts(),
        api.operations().then(({ operations }) => operations.reverse().forEach((operation) => store.setOperation(operation)), quiet),
        store.chosen ? refreshChosen(store.chosen) : null,
    ]);
}

/** What the stream tells meanwhile is newer than the answer. */
async function refreshAlerts() {
    const news = /** @type {import("./types").Alert[]} */ ([]);
    const end = store.listen("alert", (alert) => news.push(alert));
    await api.alerts().then(({ alerts }) => store.setAlerts(alerts, news), () => undefined);
    end();
}

async function askFleet() {
    fleetAt = performance.now();
    const fleet = await api.processes().catch(() => null);
    if (fleet) {
        store.setFleet(fleet);
        welcome();
    }
}

/** An address may name a process by its pid, as tallyd lets it: the id takes its place. @param {string} id */
async function refreshChosen(id) {
    const still = (/** @type {(value: any) => void} */ use) => (/** @type {any} */ value) => { if (store.chosen === id) { use(value); } };
    await Promise.all([
        api.stats(id).then(still((stats) => stats.id === id ? store.setStats(stats) : change({ process: stats.id })), still((problem) =>
            problem.status === 404 ? noSuchProcess() : store.setStatsProblem(problem.message))),
        api.collections(id).then(still(({ collections }) => store.addCollections(collections)), () => undefined),
    ]);
}

/** Somebody has the pid now. */
function welcome() {
    if (without && store.fleet?.processes.some(({ id, pid }) => store.chosen === id || store.chosen === String(pid))) {
        without = false;
        store.setStatsProblem("");
        listen();
    }
}

/** One stream of all that the frame and the view need; none while nobody looks. */
function listen() {
    if (store.session !== "in" || document.hidden) {
        follower.stop();
        return;
    }
    const own = view && (!view.needsProcess || address.process) ? view.topics(address) : [];
    const topics = [...FRAME_TOPICS, ...own.filter((topic) => !FRAME_TOPICS.includes(topic))];
    if (!follower.run || topics.join() !== follower.topics.join()) {
        follower.follow(topics);
    }
}

/** Changes a link's code for a session; whether that worked. @param {string} code @param {boolean} again the page was reloaded while it waited for that */
async function enter(code, again) {
    store.setSession("checking");
    try {
        await api.login(code);
        return true;
    } catch (problem) {
        const known = problem instanceof api.Problem && problem.status > 0;
        store.setSession("out", known && again ? "The page was reloaded before it was logged in, and a link works once: another one is needed."
            : `${known ? "This link no longer works" : "Logging in failed"}: ${/** @type {Error} */ (problem).message}.`);
        return false;
    }
}

/** The address has changed; a login link's code leaves it at once. It may change again while a login is under way, whose
 * end reads it once more. */
async function onAddress() {
    const fresh = takeLogin();
    const code = fresh ?? (entering || api.hasSession() ? null : api.unansweredLogin());
    if (code !== null) {
        entering++;
        const entered = await enter(code, fresh === null);
        entering--;
        if (!entered) {
            return;
        }
    }
    if (entering) {
        return;
    }
    if (!api.hasSession()) {
        store.setSession("out");
        return;
    }
    address = present();
    store.setSession("in");
    store.choose(address.process);
    if (address.view !== shown) {
        await load();
    } else {
        listen();
    }
    page(); /* what a reader does shows at once, and the next thing that they do finds it so */
}

/** Once a second: ages are redrawn, and a silence is looked into, since a process in which nothing happens sends
 * nothing: tallyd's answer tells rest from staleness. */
async function tick() {
    const id = store.chosen;
    if (store.session !== "in" || document.hidden) {
        return;
    }
    store.changed();
    if (store.link.state === "live" && !follower.topics.includes("fleet") && performance.now() - fleetAt >= FLEET_EVERY_MS - 100) {
        askFleet();
    }
    if (id && store.link.state === "live" && store.stats?.state !== "gone" && !store.statsProblem && store.silence > CONFIRM_AFTER_MS && !confirming) {
        confirming = true;
        await api.stats(id).then((stats) => store.setStats(stats), () => undefined);
        confirming = false;
    }
}

let ticking = /** @type {ReturnType<typeof setInterval>|undefined} */ (undefined);

/** A hidden tab has no stream and no timer; one that is looked at again has the whole state anew. */
function onVisible() {
    clearInterval(ticking);
    if (!document.hidden) {
        store.resume();
        ticking = setInterval(tick, 1000);
    }
    listen();
}

/** The other views come when there is nothing else to do, so that going there waits for nothing. */
function fetchViews() {
    VIEWS.forEach((row) => row.load().catch(() => undefined));
}

followAddress(onAddress);
document.addEventListener("visibilitychange", onVisible);
addEventListener("online", () => follower.hurry());
listenToKeys(() => store.session === "in" && openPalette(store));
page();
onVisible();
onAddress().then(() => setTimeout(fetchViews, FETCH_VIEWS_AFTER_MS));
