/* All processes: how each is, and what can be done to many at once. */

import { html, useMemo, useState } from "../vendor/htm-preact.js";
import { change } from "../address.js";
import { BatchControls, BatchProgress } from "../batch.js";
import { Spark } from "../drawings.js";
import * as format from "../format.js";
import { Empty, Loading } from "../states.js";
import { Table } from "../table.js";

/** @typedef {import("../types").Summary} Summary */
/** @typedef {import("../rows.js").Column<Summary>} Column */
/** @typedef {import("../store.js").Store} Store */
/** @typedef {import("../address.js").Address} Address */

/** Of the course of a row's live bytes. */
const PARTS = 30;

/** What the library says of an end that the kernel does not tell. */
const ENDS = /** @type {Record<string, string>} */ ({ bye: "detached", closed: "connection lost", exited: "exited" });

/** How it ended. @param {Summary} p */
function endOf({ exit, end }) {
    if (exit?.kind === "signal") {
        return `killed by ${exit.name ?? `signal ${exit.signal}`}${exit.core ? ", core dumped" : ""}`;
    }
    return exit ? `exited with ${exit.code}` : ENDS[end ?? ""] ?? "gone";
}

/** @param {Summary} p @returns {[tone: string, text: string]} */
const stateOf = (p) => p.state === "gone" ? ["", endOf(p)] : p.enabled === false ? ["warn", "disabled"] : p.enabled === null ? ["good", "live, mixed"] : ["good", "live"];

/** @param {readonly Summary[]} some @param {(p: Summary) => number|null|undefined} value */
const most = (some, value) => some.reduce((most, p) => Math.max(most, value(p) ?? -Infinity), -Infinity);
/** @param {readonly Summary[]} some @param {(p: Summary) => number} value */
const sum = (some, value) => some.reduce((sum, p) => sum + value(p), 0);
/** A program that has ended has no rates. @param {Summary} p @param {number} value */
const living = (p, value) => p.state === "gone" ? null : value;
/** @param {number|null} n */
const known = (n) => n === -Infinity ? null : n;

/** @param {Summary} p */
function State(p) {
    const text = stateOf(p)[1];
    return html`<span data-badge="state" title=${p.gone_at ? `${text} at ${format.clock(p.gone_at)}` : null}>${text}${
        p.gone_at ? html` <span class="pid">${format.clock(p.gone_at)}</span>` : null}</span>`;
}

/** A click on a label filters by it. @param {{pairs: [string, string][], address: Address}} props */
const Labels = ({ pairs, address }) => html`<span class="chips" title=${pairs.map(([key, value]) => `${key}=${value}`).join("\n")}>${pairs.map(([key, value]) => html`<button type="button" class="label"
    tabindex="-1" onClick=${() => change({ filter: withWord(address.get("filter"), `${key}:${value}`) })}>${key}=${value}</button>`)}</span>`;

/** @param {string} filter @param {string} word */
function withWord(filter, word) {
    const quoted = /\s/.test(word) ? `"${word}"` : word;
    return filter.split(/\s+/).includes(quoted) ? filter : `${filter} ${quoted}`.trim();
}

/** @param {Store} store @param {Address} address @param {Map<string, number>} alerts @returns {Column[]} */
const columnsOf = (store, address, alerts) => [
    { id: "name", label: "Name", width: 11.2, stick: true, value: (p) => p.name, show: (p) => html`<span class="dot ${alerts.has(p.id) ? "bad" : stateOf(p)[0]}" aria-hidden="true"></span><a
        href=${address.to("process", { process: p.id })} tabindex="-1" title=${p.name}>${p.name}</a>` },
    { id: "live_bytes", label: "Live bytes", number: true, width: 10.6, help: `Its course: the last ${format.plural(store.reach / 60, "minute")}, as far as this page was open`, value: (p) => p.live_bytes, format: format.bytes, sum: (some) => sum(some, (p) => p.live_bytes),
        show: (p) => html`<span class="with-spark"><${Spark} values=${store.histories.get(p.id)?.course(store.reach, PARTS) ?? NONE} />${format.bytes(p.live_bytes)}</span>` },
    { id: "live_objects", label: "Objects", number: true, width: 6, value: (p) => p.live_objects, format: format.count, sum: (some) => sum(some, (p) => p.live_objects) },
    { id: "alerts", label: "Alerts", number: true, width: 4.6, value: (p) => alerts.get(p.id) ?? 0, sum: (some) => sum(some, (p) => alerts.get(p.id) ?? 0), format: (n) => n ? String(n) : "–",
        show: (p) => alerts.has(p.id) ? html`<a class="count-badge" tabindex="-1" href=${address.to("rules", { process: null })}>${alerts.get(p.id)}<span class="unseen"> firing</span></a>` : "–" },
    { id: "allocations_per_s", label: "Allocated/s", number: true, width: 6.8, value: (p) => living(p, p.allocations_per_s), format: format.count,
        sum: (some) => sum(some, (p) => living(p, p.allocations_per_s) ?? 0), help: "Objects allocated a second" },
    { id: "gc_share", label: "GC", number: true, width: 5.6, value: (p) => living(p, p.pause_ns_per_s / 1e9), format: format.percent,
        sum: (some) => sum(some, (p) => living(p, p.pause_ns_per_s / 1e9) ?? 0), help: "Share of the last second's time that collections took; of a group: their sum" },
    { id: "p99_pause_ns", label: "Pause p99", number: true, width: 6.4, value: (p) => p.collections ? p.p99_pause_ns : null, format: format.duration,
        sum: (some) => known(most(some, (p) => p.collections ? p.p99_pause_ns : null)), help: "What 99 of 100 pauses did not exceed; of a group: the longest of its" },
    { id: "last_pause_ns", label: "Last pause", number: true, width: 10, value: (p) => p.last_pause_ns, format: format.duration, sum: (some) => known(most(some, (p) => p.last_pause_ns)),
        show: (p) => p.last_pause_ns === null ? "–" : html`<span class="pid">${p.last_reason}</span> ${format.duration(p.last_pause_ns)}` },
    { id: "events_lost", label: "Lost", number: true, width: 6, value: (p) => p.events_lost, format: format.count, sum: (some) => sum(some, (p) => p.events_lost),
        help: "Events that were overwritten before tallyd read them, those from before its own start among them; counters stay exact",
        show: (p) => p.complete ? format.count(p.events_lost) : html`<span class="badge warn" data-badge="complete" title="Some events were lost, or some types have no row of their own; the counters stay exact">${
            p.events_lost ? format.count(p.events_lost) : "partial"}</span>` },
    { id: "state", label: "State", width: 11, value: (p) => `${p.state} ${stateOf(p)[1]}`, show: State, help: "Live, or how it ended; disabled: no automatic collection" },
    { id: "pid", label: "Pid", number: true, first: "+", width: 5.7, value: (p) => p.pid },
    { id: "labels", label: "Labels", value: (p) => Object.entries(p.labels).map(([key, value]) => `${key}=${value}`).join(" "),
        show: (p) => html`<${Labels} pairs=${Object.entries(p.labels)} address=${address} />` },
];

/** @param {Summary} p */
const textOf = (p) => [p.name, p.pid ?? "", p.id, p.state, stateOf(p)[1], p.complete ? "" : "incomplete", ...Object.entries(p.labels).map(([key, value]) => `${key}:${value}`)].join(" ");
/** @param {Summary} p */
const keyOf = (p) => p.id;
/** @param {Summary} p */
const attributesOf = (p) => ({ "data-id": p.id, "data-state": p.state, class: p.state === "gone" ? "gone" : "" });

/** The groups' key of a row, by the address: a label's value or the name; null without groups. @param {string} group @returns {((p: Summary) => string)|null} */
const groupingOf = (group) => group === "name" ? (p) => p.name : group.startsWith("label:") ? (p) => p.labels[group.slice(6)] ?? "" : null;

/** @param {{processes: readonly Summary[], address: Address}} props */
function Tools({ processes, address }) {
    const labels = [...new Set(processes.flatMap(({ labels }) => Object.keys(labels)))].sort();
    const group = address.get("group"), state = address.get("state");
    const option = (/** @type {string} */ value, /** @type {string} */ text, /** @type {string} */ now) => html`<option value=${value} selected=${value === now}>${text}</option>`;
    return html`<label class="pid">show <select class="small" data-testid="state" value=${state} onChange=${(/** @type {any} */ event) => change({ state: event.target.value })}>
            ${option("", "all", state)}${option("live", "live", state)}${option("gone", "gone", state)}${option("alerts", "with alerts", state)}</select></label>
        <label class="pid">group by <select class="small" data-testid="group" value=${group} onChange=${(/** @type {any} */ event) => change({ group: event.target.value, open: null })}>
            ${option("", "nothing", group)}${option("name", "name", group)}${labels.map((key) => option(`label:${key}`, `label ${key}`, group))}</select></label>`;
}

/** Live ones first, each as they attached. @param {readonly Summary[]} processes @param {string} state @param {Map<string, number>} alerts */
const shown = (processes, state, alerts) => processes.filter((p) => !state || (state === "alerts" ? alerts.has(p.id) : p.state === state))
    .sort((a, b) => Number(a.state === "gone") - Number(b.state === "gone"));

/** @param {Iterable<import("../types").Alert>} all */
function alertsOf(all) {
    const counts = /** @type {Map<string, number>} */ (new Map());
    for (const { process } of all) {
        counts.set(process, (counts.get(process) ?? 0) + 1);
    }
    return counts;
}

/** @param {import("../views.js").Given} given */
function Body({ store, address }) {
    const [chosen, setChosen] = useState(/** @type {Set<string>} */ (new Set()));
    const firing = [...store.alerts.keys()].join();
    const alerts = useMemo(() => alertsOf(store.alerts.values()), [firing]);
    const columns = useMemo(() => columnsOf(store, address, alerts), [address, alerts, store.reach]);
    const processes = store.fleet?.processes ?? NONE;
    const rows = useMemo(() => shown(processes, address.get("state"), alerts), [processes, address, alerts]);
    const group = address.get("group");
    const groupOf = useMemo(() => groupingOf(group), [group]);
    if (!store.fleet) {
        return html`<${Loading} what="the list of processes" testid="list-loading" />`;
    }
    if (!processes.length) {
        return html`<${Empty} title="No process is attached yet" testid="list-empty"><p>A program that links libtally appears here by itself when it calls <code>tally_attach()</code>.</p>
            <p>To see one, type <code>tally-mal</code> in a terminal. Nothing comes? <code>tallyctl doctor</code> says why.</p><//>`;
    }
    return html`${address.get("batch") ? html`<${BatchProgress} store=${store} address=${address} />` : null}
        <${Table} id="processes" caption="processes" rows=${rows} total=${processes.length} columns=${columns} keyOf=${keyOf} address=${address} textOf=${textOf} groupOf=${groupOf}
            linkOf=${(/** @type {Summary} */ p) => address.to("process", { process: p.id })} attributesOf=${attributesOf}
            selection=${{ chosen, change: setChosen, nameOf: (/** @type {Summary} */ p) => p.name }}
            tools=${html`<${Tools} processes=${processes} address=${address} />`} />
        <${BatchControls} store=${store} chosen=${processes.filter(({ id }) => chosen.has(id))} clear=${() => setChosen(new Set())} />`;
}

/** @type {readonly any[]} */
const NONE = [];

/** @type {import("../views.js").View} */
export default { title: "Processes", needsProcess: false, topics: () => ["fleet"], Body };
