/* Wiring: the address bar, the session, the stream and the page, one with the store, and drawing once a frame. */

import { html, render } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { ProcessView } from "./process.js";
import { ProcessList, addressOf } from "./processes.js";
import { LoggedOut, TopBar } from "./status.js";
import { Store } from "./store.js";
import { Follower } from "./stream.js";

const CALM_FRAME_MS = 1000;
const CONFIRM_AFTER_MS = 2000;
const TYPES_EVERY_MS = 2000;
const FLEET = ["fleet", "operations"];
/** How a stream of something that is no process, or none any more, is refused. */
const NOT_A_PROCESS = [400, 404, 422];

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const app = /** @type {HTMLElement} */ (document.getElementById("app"));
let drawing = false;
let drawnAt = 0;
let typesAt = -Infinity;
let confirming = false;
let entering = 0;

const store = new Store(() => {
    if (!drawing) {
        drawing = true;
        const draw = () => requestAnimationFrame(page);
        const wait = calm.matches ? drawnAt + CALM_FRAME_MS - performance.now() : 0;
        wait > 0 ? setTimeout(draw, wait) : draw();
    }
});

const follower = new Follower({
    onMessage(event, data) {
        store.take(event, data);
        if (event === "fleet") {
            chooseFirst();
            welcomeBack();
        }
    },
    onLink(link) {
        const back = link.state === "live";
        store.setLink(link);
        if (back) {
            refresh();
        }
    },
    onRefused(problem) {
        refused(problem);
        if (NOT_A_PROCESS.includes(problem.status) && follower.topics !== FLEET) {
            noSuchProcess();
            follower.follow(FLEET);
        }
    },
});

function page() {
    drawing = false;
    drawnAt = performance.now();
    document.title = store.summary ? `${store.summary.name} – tally` : "tally";
    render(store.session !== "in" ? html`<${LoggedOut} store=${store} />` : html`
        <${TopBar} store=${store} />
        <div class="columns">
            <nav aria-label="Processes"><${ProcessList} store=${store} /></nav>
            <main><${ProcessView} store=${store} /></main>
        </div>`, app);
}

/** A session that tallyd no longer knows is over; anything else is for whoever asked. @param {unknown} problem */
function refused(problem) {
    if (problem instanceof api.Problem && problem.status === 401) {
        follower.stop();
        api.forgetSession();
        store.setSession("out", "This session is no longer valid.");
    }
}

function noSuchProcess() {
    store.setStatsProblem("No such process: it never attached to this tallyd, or it ended long ago.");
}

/** Fetches what the stream tells only from now on. */
async function refresh() {
    const id = store.chosen;
    await Promise.all([
        api.info().then((info) => store.setInfo(info), refused),
        api.processes().then((fleet) => { store.setFleet(fleet); chooseFirst(); }, refused),
        api.operations().then(({ operations }) => operations.reverse().forEach((operation) => store.setOperation(operation)), refused),
        id ? refreshChosen(id) : null,
    ]);
}

/** @param {string} id */
async function refreshChosen(id) {
    const still = (/** @type {(value: any) => void} */ use) => (/** @type {any} */ value) => { if (store.chosen === id) { use(value); } };
    await Promise.all([
        api.stats(id).then(still((stats) => store.setStats(stats)), still((problem) => {
            refused(problem);
            problem.status === 404 ? noSuchProcess() : store.setStatsProblem(problem.message);
        })),
        api.collections(id).then(still(({ collections }) => store.addCollections(collections)), refused),
        refreshTypes(id),
    ]);
}

/** @param {string} id */
async function refreshTypes(id) {
    typesAt = performance.now();
    const answer = await api.types(id).catch(() => null);
    if (answer && store.chosen === id) {
        store.setTypes(answer.types);
    }
}

/** Where the address names no process, the first live one is shown. The address is asked too: it may name one whose
 * hashchange is still under way. */
function chooseFirst() {
    const first = store.fleet?.processes.find((process) => process.state === "live");
    if (!store.chosen && !inAddress("process") && first) {
        history.replaceState(null, "", addressOf(first.id));
        choose(first.id);
    }
}

/** After a restart of tallyd the page may be back before the program is. */
function welcomeBack() {
    if (store.statsProblem && store.summary) {
        store.setStatsProblem("");
        follow();
    }
}

function follow() {
    const id = store.chosen;
    follower.follow([...FLEET, ...id ? [`stats:${id}`, `collections:${id}`] : []]);
}

/** @param {string} id */
function choose(id) {
    store.choose(id);
    follow();
}

/** Changes a link's code for a session; whether that worked. @param {string} code */
async function enter(code) {
    store.setSession("checking");
    try {
        await api.login(code);
        return true;
    } catch (problem) {
        const known = problem instanceof api.Problem && problem.status > 0;
        store.setSession("out", `${known ? "This link no longer works" : "Logging in failed"}: ${/** @type {Error} */ (problem).message}.`);
        return false;
    }
}

const inAddress = (/** @type {string} */ name) => new URLSearchParams(location.hash.slice(1)).get(name);

/** The address is the page's state: #process=ID, or a link's #login=CODE, which leaves the address at once. It may
 * change while a login is under way, whose end reads it again. */
async function onAddress() {
    const code = inAddress("login");
    if (code !== null) {
        history.replaceState(null, "", location.pathname);
        entering++;
        const entered = await enter(code);
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
    const anew = store.session !== "in";
    store.setSession("in");
    const id = inAddress("process") ?? (code === null ? "" : store.chosen);
    if (anew || id !== store.chosen) {
        choose(id);
    }
}

/** Once a second: ages are redrawn, types are read, and a silence is looked into, since a process in which nothing
 * happens sends nothing: tallyd's answer tells rest from staleness. */
async function tick() {
    const id = store.chosen;
    if (store.session !== "in" || document.hidden) {
        return;
    }
    store.changed();
    if (!id || store.link.state !== "live" || store.stats?.state === "gone") {
        return;
    }
    if (performance.now() - typesAt > TYPES_EVERY_MS) {
        refreshTypes(id);
    }
    if (store.silence > CONFIRM_AFTER_MS && !confirming) {
        confirming = true;
        await api.stats(id).then((stats) => store.setStats(stats), refused);
        confirming = false;
    }
}

addEventListener("hashchange", onAddress);
document.addEventListener("visibilitychange", () => { follower.hurry(); tick(); });
addEventListener("online", () => follower.hurry());
setInterval(tick, 1000);
page();
onAddress();
