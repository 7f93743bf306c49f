/* The list of processes: live ones first, chosen by link, so that mouse, keyboard and address bar are one. */

import { Component, html } from "./vendor/htm-preact.js";
import { drawSparkline } from "./charts.js";
import * as format from "./format.js";

const ROWS_SHOWN = 200;
const SPARKLINE_EVERY_MS = 1000;

/** @typedef {import("./types").Summary} Summary */
/** @typedef {import("./store.js").Store} Store */

/** The address of a process in this page. @param {string} id */
export const addressOf = (id) => `#process=${encodeURIComponent(id)}`;

/** @param {Summary} process @param {string} filter */
function matches(process, filter) {
    const text = [process.name, process.pid ?? "", process.id, ...Object.entries(process.labels).map(([k, v]) => `${k}:${v}`)]
        .join(" ").toLowerCase();
    return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** @extends {Component<{history?: import("./series.js").History}>} */
class Sparkline extends Component {
    constructor() {
        super();
        this.drawnAt = -Infinity;
    }

    componentDidMount() {
        this.componentDidUpdate();
    }

    componentDidUpdate() {
        if (this.props.history && performance.now() - this.drawnAt > SPARKLINE_EVERY_MS) {
            this.drawnAt = performance.now();
            drawSparkline(/** @type {HTMLCanvasElement} */ (this.base), this.props.history);
        }
    }

    render() {
        return html`<canvas class="sparkline" aria-hidden="true"></canvas>`;
    }
}

/** @param {{process: Summary, seq: number, chosen: boolean, history?: import("./series.js").History}} props */
function Row({ process, seq, chosen, history }) {
    const gone = process.state === "gone";
    const field = (/** @type {string} */ name, /** @type {string} */ what, /** @type {any} */ raw, /** @type {string} */ text) =>
        html`<span class="number"><span class="unseen">${what}: </span><span data-field=${name} data-value=${raw} data-seq=${seq}>${text}</span></span>`;
    const rate = history?.latest("allocation_rate");
    return html`<li><a class="row ${gone ? "gone" : ""}" href=${addressOf(process.id)} aria-current=${chosen ? "true" : null}
            data-testid="process" data-id=${process.id} data-state=${process.state}>
        <span class="line">
            <span class="dot ${gone ? "" : process.enabled === false ? "warn" : "good"}" aria-hidden="true"></span>
            <span class="name">${process.name}</span>
            <span class="pid">${process.pid === null ? "pid unknown" : `pid ${process.pid}`}</span>
            ${gone ? html`<span class="badge" data-badge="state">gone</span>` : null}
            ${process.enabled === false && !gone ? html`<span class="badge warn" data-badge="enabled">disabled</span>` : null}
            ${process.complete ? null : html`<span class="badge warn" data-badge="complete" title="Some events were lost, or some types have no row of their own; the counters stay exact">incomplete</span>`}
        </span>
        ${Object.keys(process.labels).length ? html`<span class="labels">${Object.entries(process.labels)
            .map(([key, value]) => html`<span class="label">${key}=${value}</span>`)}</span>` : null}
        <span class="line figures">
            <${Sparkline} history=${history} />
            ${field("live_bytes", "live bytes", process.live_bytes, format.bytes(process.live_bytes))}
            ${field("live_objects", "live objects", process.live_objects, format.count(process.live_objects))}
            ${gone ? html`<span class="number"><span class="unseen">ended </span>${format.clock(process.gone_at ?? "")}</span>`
                : field("allocation_rate", "allocations a second", rate, format.rate(rate))}
        </span>
    </a></li>`;
}

/** Arrow keys move between rows; Enter follows the link, as everywhere. @param {KeyboardEvent} event */
function onKeyDown(event) {
    const list = /** @type {HTMLElement} */ (event.currentTarget);
    const rows = [...list.querySelectorAll("a")];
    const here = rows.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement));
    const there = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (there !== undefined && rows[there]) {
        rows[there].focus();
        event.preventDefault();
    }
}

/** @param {{store: Store}} props */
export function ProcessList({ store }) {
    if (!store.fleet) {
        return html`<p class="hint" data-testid="list-loading">Reading the list of processes…</p>`;
    }
    const { processes, seq } = store.fleet;
    const found = processes.filter((process) => matches(process, store.filter))
        .sort((a, b) => Number(a.state === "gone") - Number(b.state === "gone"));
    const rows = found.slice(0, ROWS_SHOWN);
    return html`
        ${processes.length > 5 || store.filter ? html`<input type="search" class="filter" data-testid="filter" placeholder="name, pid or label"
            aria-label="Filter the processes" value=${store.filter}
            onInput=${(/** @type {any} */ event) => { store.filter = event.target.value; store.changed(); }} />` : null}
        ${processes.length === 0 ? html`<div class="hint" data-testid="list-empty"><p>No process is attached yet.</p>
            <p>A program that links libtally appears here when it calls <code>tally_attach()</code>. To see one:</p>
            <p><code>tally-mal</code></p></div>` : null}
        ${processes.length && !found.length ? html`<p class="hint">Nothing matches “${store.filter}”.</p>` : null}
        ${rows.length ? html`<p class="heads" aria-hidden="true"><span>Live</span><span>Objects</span><span>Allocated</span></p>` : null}
        <ul class="rows" data-testid="processes" aria-label="Processes" onKeyDown=${onKeyDown}>
            ${rows.map((process) => html`<${Row} key=${process.id} process=${process} seq=${seq}
                chosen=${process.id === store.chosen} history=${store.histories.get(process.id)} />`)}
        </ul>
        ${found.length > rows.length ? html`<p class="hint">${format.exact(found.length - rows.length)} more; filter to see them.</p>` : null}`;
}
