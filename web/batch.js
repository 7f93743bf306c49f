/* One control for many processes: what it costs them, asked before; then how far it is, until each is done, failed or
 * expired. The operation's id is in the address, so a reload goes on watching it. */

import { html, useEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import { announce } from "./announce.js";
import { change } from "./address.js";
import * as api from "./api.js";
import { ask, pauseCost } from "./confirm.js";
import * as format from "./format.js";
import { ended, toneOf } from "./operation.js";
import { useResource } from "./resource.js";
import { Failed, refusal } from "./states.js";
import { Table } from "./table.js";

const POLL_MS = 400;
const NAMES_SHOWN = 12;

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types").Summary} Summary */
/** @typedef {import("./types").BatchResult} BatchResult */
/** @typedef {{id: string, word: string, kind: string, members: object, text: string, pauses: boolean, primary?: boolean}} Control
 * pauses  a collection: the prediction is shown */

/** @param {number} generation @returns {Control[]} */
const controls = (generation) => [
    { id: "collect", word: "Collect", kind: "collect", members: { generation }, pauses: true, primary: true,
        text: `Runs a collection of generation ${generation} at each program's next safepoint.` },
    { id: "enable", word: "Enable", kind: "config", members: { enabled: true }, pauses: false, text: "Turns automatic collection on." },
    { id: "disable", word: "Disable", kind: "config", members: { enabled: false }, pauses: false,
        text: "Turns automatic collection off: garbage cycles stay in memory until it is on again, or somebody collects." },
    { id: "freeze", word: "Freeze", kind: "freeze", members: {}, pauses: false,
        text: "Takes all objects that live now out of the generations: later collections pass them by, and cycles among them stay." },
    { id: "baseline", word: "Set baseline", kind: "baseline", members: {}, pauses: false,
        text: "Keeps the figures of now in tallyd, to compare with later. It costs the programs nothing." },
];

/** The longest of what is predicted. @param {Summary[]} some */
function worstOf(some) {
    const known = some.filter(({ predicted_pause_ns: ns }) => ns !== null && ns !== undefined);
    return known.length ? known.reduce((a, b) => Number(a.predicted_pause_ns) >= Number(b.predicted_pause_ns) ? a : b) : null;
}

/** @param {Control} control @param {Summary[]} some */
function costOf(control, some) {
    if (!control.pauses) {
        return control.id === "baseline" ? null : "No collection runs: each program takes it up at its next safepoint, within microseconds.";
    }
    const worst = worstOf(some), unknown = some.filter(({ predicted_pause_ns: ns }) => ns === null || ns === undefined).length;
    return worst === null ? pauseCost(null, some.length === 1 ? some[0].name : "any of them")
        : `Predicted pause: at most ${format.duration(worst.predicted_pause_ns)} (${worst.name}), each for itself.${
            unknown ? ` Of ${unknown} nothing can be predicted yet.` : ""}`;
}

/** @param {Control} control @param {Summary[]} some */
const question = (control, some) => ({
    title: `${control.word}: ${format.plural(some.length, "process")}`, action: `${control.word} ${some.length === 1 ? some[0].name : format.exact(some.length)}`,
    cost: costOf(control, some),
    text: html`<p>${control.text}</p><ul class="names">${some.slice(0, NAMES_SHOWN).map((p) => html`<li key=${p.id}><span>${p.name} <span class="pid">${p.pid ?? ""}</span></span>
        ${control.pauses ? html`<span class="number">${format.duration(p.predicted_pause_ns)}</span>` : null}</li>`)}
        ${some.length > NAMES_SHOWN ? html`<li>and ${format.exact(some.length - NAMES_SHOWN)} more</li>` : null}</ul>`,
});

/** The controls of the chosen rows. @param {{store: Store, chosen: Summary[], clear: () => void}} props */
export function BatchControls({ store, chosen, clear }) {
    const [generation, setGeneration] = useState(2);
    const [problem, setProblem] = useState(/** @type {api.Problem|null} */ (null));
    const some = chosen.filter(({ state }) => state === "live");
    const refused = refusal(store, "control");
    const reason = refused || (some.length ? "" : "Choose live processes first: click their boxes, or press Space on their rows");
    const press = async (/** @type {Control} */ control) => {
        if (!await ask(question(control, some))) {
            return;
        }
        try {
            const operation = await api.batch(some.map(({ id }) => id), control.kind, control.members);
            setProblem(null);
            change({ batch: operation.id }, { step: true });
            announce(`${control.word} asked of ${format.plural(operation.process_count ?? some.length, "process")}`);
        } catch (error) {
            setProblem(/** @type {api.Problem} */ (error));
        }
    };
    return html`<div class="batch" role="group" aria-label="Controls of the chosen processes">
        <span class="count" data-testid="chosen" role="status">${format.exact(chosen.length)} chosen${chosen.length > some.length ? `, ${format.exact(chosen.length - some.length)} gone` : ""}</span>
        ${controls(generation).map((control) => html`<button type="button" key=${control.id} class="small ${control.primary ? "primary" : ""}" disabled=${Boolean(reason)} title=${reason || control.text}
            aria-describedby=${reason ? "batch-reason" : null} data-testid="batch-${control.id}" onClick=${() => press(control)}>${control.word}</button>
            ${control.id === "collect" ? html`<label class="pid">generation <select class="small" data-testid="batch-generation" disabled=${Boolean(reason)} value=${String(generation)}
                onChange=${(/** @type {any} */ event) => setGeneration(Number(event.target.value))}>${[0, 1, 2].map((n) => html`<option value=${String(n)} selected=${n === generation}>${n}</option>`)}</select></label>` : null}`)}
        ${chosen.length ? html`<button type="button" class="small" data-testid="batch-clear" onClick=${clear}>Choose none</button>` : null}
        <span class=${refused ? "pid" : "unseen"} id="batch-reason" data-testid="batch-reason">${reason}</span>
        ${problem ? html`<${Failed} problem=${problem} testid="batch-problem" />` : null}</div>`;
}

/** How many are in each state, in words. @param {BatchResult[]} results */
function tally(results) {
    const counts = /** @type {Map<string, number>} */ (new Map());
    results.forEach(({ state }) => counts.set(state, (counts.get(state) ?? 0) + 1));
    return [...counts].map(([state, n]) => `${format.exact(n)} ${state === "succeeded" ? "done" : state.replaceAll("_", " ")}`).join(", ");
}

/** @param {import("./types").Operation} operation @param {BatchResult} result */
const outcome = (operation, result) => format.operationText({ ...operation, ...result, process_count: undefined, safepoint_wait_ns: null,
    pause_ns: result.heaps.reduce((most, { pause_ns: ns }) => Math.max(most, ns ?? 0), 0) || null });

/** Those that need attention first. */
const RANK = /** @type {Record<string, string>} */ ({ failed: "1", expired: "2", cancelled: "3", running: "4", waiting_for_safepoint: "5", queued: "6", succeeded: "7" });

/** @param {Store} store @param {import("./types").Operation|null} operation @returns {import("./rows.js").Column<BatchResult>[]} */
const columnsOf = (store, operation) => [
    { id: "name", label: "Process", width: 16, value: ({ id }) => store.fleet?.processes.find((p) => p.id === id)?.name ?? id.slice(0, 8) },
    { id: "state", label: "State", width: 13, value: ({ state }) => RANK[state] + state,
        show: (result) => html`<span class="outcome ${toneOf(/** @type {any} */ (result))}">${result.state.replaceAll("_", " ")}</span>` },
    { id: "outcome", label: "Outcome", value: (result) => operation ? outcome(operation, result) : "" },
];

/** What has become of the batch that the address names. @param {import("./views.js").Given} given */
export function BatchProgress({ store, address }) {
    const id = address.get("batch");
    const { data: operation, problem } = useResource((signal) => api.operationNow(id, signal), [id], { every: (operation) => ended(operation) ? 0 : POLL_MS });
    const results = useMemo(() => operation?.processes ?? [], [operation]);
    const columns = useMemo(() => columnsOf(store, operation), [operation]);
    const over = operation !== null && ended(operation);
    const done = results.filter((result) => ended(/** @type {any} */ (result))).length;
    const watched = useRef("");
    useEffect(() => {
        if (operation && !over) {
            watched.current = id;
        } else if (over && watched.current === id) {
            watched.current = "";
            announce(`${operation.kind}: ${tally(results)}`);
        }
    }, [over, operation === null]);
    const close = () => change({ batch: null, "b.sort": null, "b.filter": null });
    return html`<section class="panel batch-progress" aria-labelledby="batch-title" data-testid="batch" data-state=${operation?.state}>
        <header><h2 id="batch-title">${operation ? `${operation.kind.replaceAll("_", " ")} of ${format.plural(operation.process_count ?? 0, "process")}` : "Batch"}</h2>
            ${operation ? html`<progress max=${Math.max(1, results.length)} value=${over ? Math.max(1, results.length) : done} aria-label="Processes that are done"></progress>
                <span data-testid="batch-tally">${results.length ? tally(results) : format.operationText(operation)}</span>` : null}
            ${operation && !over ? html`<button type="button" class="small" data-testid="batch-cancel" onClick=${() => api.cancel(id).catch(() => undefined)}>Cancel the rest</button>` : null}
            <button type="button" class="small" data-testid="batch-close" onClick=${close}>Close</button></header>
        ${problem ? html`<${Failed} problem=${problem} testid="batch-lost" />` : null}
        ${results.length ? html`<${Table} id="batch-results" caption="results" rows=${results} columns=${columns} keyOf=${(/** @type {BatchResult} */ result) => result.id}
            address=${address} prefix="b." order="+state" textOf=${results.length > 8 ? (/** @type {BatchResult} */ result) => columns.map(({ value }) => value(result)).join(" ") : undefined} />` : null}
    </section>`;
}
