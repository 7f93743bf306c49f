/* The chosen process: who it is, what is in force, its figures, charts, controls, collections and types. */

import { Component, html } from "../vendor/htm-preact.js";
import { LiveChart, chartSpecs } from "../charts.js";
import { Controls, Operations } from "../controls.js";
import * as api from "../api.js";
import * as format from "../format.js";
import { useResource } from "../resource.js";
import { Loading, Stale } from "../states.js";
import { onTheme } from "../theme.js";

const COLLECTIONS_SHOWN = 20;
const TYPES_SHOWN = 12;
const TYPES_EVERY_MS = 2000;
const SKIPPED_SHOWN_MS = 15_000;
/** The figures that stand out; all of the catalogue's are in the table below. */
const FIGURES = ["live_bytes", "live_objects", "allocations", "frees.refcount", "frees.cycle", "collections", "max_pause_ns",
    "pause_ns", "garbage", "mapped_bytes"];

/** @typedef {import("../store.js").Store} Store */

/** A catalogue's row; before the catalogue is here, the path speaks for itself. @param {Store} store @returns {(path: string) => import("../types").Field} */
const fieldsOf = (store) => (path) => store.info?.fields.find((field) => field.path === path)
    ?? { path, kind: "gauge", unit: path.endsWith("_bytes") ? "bytes" : path.endsWith("_ns") ? "nanoseconds" : "objects",
        label: path.replace(/[._]/g, " "), help: "" };

/** @extends {Component<{store: Store, index: number}>} */
class Chart extends Component {
    drawnEnd = NaN;
    drawnMarks = -1;

    componentDidMount() {
        const { store, index } = this.props;
        this.chart = new LiveChart(/** @type {HTMLElement} */ (this.base), chartSpecs(fieldsOf(store))[index]);
        this.forget = onTheme(() => this.chart?.recolour());
        this.draw();
    }

    componentWillUnmount() {
        this.forget?.();
        this.chart?.destroy();
    }

    /** The figure's inside is the chart's own; only its data follows the store. */
    componentDidUpdate() {
        this.draw();
    }

    draw() {
        const { store } = this.props;
        const marks = store.collections.map((c) => ({ t: store.axis(c.start_mono_ns), generation: c.generation }));
        const history = store.histories.get(store.chosen) ?? null;
        const end = history?.end ?? -Infinity;
        if (this.drawnEnd !== end || this.drawnMarks !== marks.length) {
            this.drawnEnd = end;
            this.drawnMarks = marks.length;
            this.chart?.draw(history, marks);
        }
    }

    render() {
        return html`<figure class="panel chart"></figure>`;
    }
}

/** @param {{name: string, tone?: string, title?: string, children?: unknown}} props */
const Badge = ({ name, tone = "", title, children }) => html`<span class="badge ${tone}" data-badge=${name} title=${title}>${children}</span>`;

/** How sure the numbers are. @param {{stats: import("../types").Stats}} props */
function Completeness({ stats }) {
    if (stats.complete) {
        return html`<${Badge} name="complete" tone="good" title="Every event since the start was read">complete<//>`;
    }
    const why = stats.events?.lost ? `${format.plural(stats.events.lost, "event")} lost` : "some types have no row of their own";
    return html`<${Badge} name="complete" tone="warn" title="Totals come from counters and stay exact; what events tell has gaps">incomplete: ${why}<//>`;
}

/** @param {{stats: import("../types").Stats}} props */
function InForce({ stats }) {
    const { enabled, manager, thresholds, events, debug, max_pause_us: pause, memory_limit_bytes: memory } = stats;
    const differ = html`<em>heaps differ</em>`;
    return html`<p class="badges" data-testid="config">
        <${Badge} name="enabled" tone=${enabled === false ? "warn" : enabled ? "good" : ""} title="Automatic collection">
            collector ${enabled === null ? differ : enabled ? "enabled" : "disabled"}<//>
        <${Badge} name="manager" title="How cycles are found">${manager ?? differ}<//>
        <${Badge} name="thresholds" title="Thresholds of generations 0, 1 and 2">thresholds ${thresholds?.join(" · ") ?? differ}<//>
        <${Badge} name="events" title="Level of events">events ${events?.level ?? differ}<//>
        ${pause !== 0 ? html`<${Badge} name="max-pause" title="Collections run in slices of at most so long">maximum pause ${pause === null ? differ : format.duration(pause * 1000)}<//>` : null}
        ${memory !== 0 ? html`<${Badge} name="memory-limit" title="Pages and native memory together">memory limit ${memory === null ? differ : format.bytes(memory)}<//>` : null}
        ${debug?.length ? html`<${Badge} name="debug" tone="warn">debug ${debug.join(", ")}<//>` : null}
        <${Completeness} stats=${stats} />
    </p>`;
}

/** @param {{store: Store}} props */
function Figures({ store }) {
    const stats = /** @type {import("../types").Stats} */ (store.stats);
    const field = fieldsOf(store);
    return html`<dl class="figures-row" data-testid="figures">${FIGURES.map((path) => {
        const { label, help, unit } = field(path);
        const value = format.at(stats, path);
        return html`<div key=${path} title=${help}><dt>${label}</dt>
            <dd data-field=${path} data-seq=${stats.seq} data-value=${value}>${format.inUnit(value, unit)}</dd></div>`;
    })}</dl>`;
}

/** @param {{store: Store}} props */
function AllFigures({ store }) {
    const stats = store.stats;
    return html`<details class="panel"><summary>All figures</summary>
        <div class="scroll" tabindex="0" role="region" aria-label="All figures"><table data-testid="all-figures"><thead><tr><th>Figure</th><th class="number">Value</th><th>Meaning</th></tr></thead>
        <tbody>${(store.info?.fields ?? []).map(({ path, label, unit, help }) => html`<tr key=${path}><td>${label}</td>
            <td class="number" title=${format.exact(format.at(stats, path))}>${format.inUnit(format.at(stats, path), unit)}</td><td class="wide">${help}</td></tr>`)}</tbody></table></div></details>`;
}

/** What a pause was made of. @param {import("../types").Collection} collection */
function pauseText({ phases, slices }) {
    const [find, callbacks, free] = [phases?.find_ns, phases?.callback_ns, phases?.free_ns].map(format.duration);
    return `find ${find}, callbacks ${callbacks}, free ${free}${slices > 1 ? `, in ${slices} slices` : ""}`;
}

/** @param {{store: Store}} props */
function Collections({ store }) {
    const rows = store.collections.slice(0, COLLECTIONS_SHOWN);
    const heaps = (store.stats?.heaps?.length ?? 1) > 1;
    return html`<section class="panel"><h3 id="collections-title">Last collections</h3>
        ${rows.length === 0 ? html`<p class="hint" data-testid="collections-empty">No collection has run yet.</p>` : html`<div class="scroll" tabindex="0" role="region" aria-labelledby="collections-title">
        <table data-testid="collections"><thead><tr><th>Time</th>${heaps ? html`<th class="number">Heap</th>` : null}<th>Reason</th><th class="number">Gen.</th><th>Scope</th>
            <th class="number">Pause</th><th class="number">Examined</th><th class="number">Collected</th><th class="number">Freed</th>
            <th class="number">Uncollectable</th><th class="number">Live bytes</th><th class="number">Waited</th></tr></thead>
        <tbody>${rows.map((c) => html`<tr key=${`${c.heap}/${c.sequence}`} data-sequence=${c.sequence}>
            <td class="number left">${format.clock(c.started_at)}</td>${heaps ? html`<td class="number">${c.heap}</td>` : null}<td>${c.reason}</td>
            <td class="number">${c.generation}</td><td>${c.scope}</td>
            <td class="number" title=${pauseText(c)}>${format.duration(c.pause_ns)}</td>
            <td class="number">${format.exact(c.examined)}</td><td class="number strong">${format.exact(c.collected)}</td>
            <td class="number">${format.bytes(c.freed_bytes)}</td><td class="number">${format.exact(c.uncollectable)}</td>
            <td class="number">${format.bytes(c.live_bytes_before)} → ${format.bytes(c.live_bytes_after)}</td>
            <td class="number">${c.safepoint_wait_ns ? format.duration(c.safepoint_wait_ns) : "–"}</td></tr>`)}</tbody></table></div>`}
    </section>`;
}

/** @param {{store: Store}} props */
function Types({ store }) {
    const { data } = useResource(() => api.types(store.chosen), [store.chosen], { every: TYPES_EVERY_MS });
    if (!data?.types.length) {
        return null;
    }
    const types = [...data.types].sort((a, b) => b.live_bytes - a.live_bytes || b.allocations - a.allocations);
    const most = types[0].live_bytes || 1;
    return html`<section class="panel"><h3 id="types-title">Types</h3>
        <div class="scroll" tabindex="0" role="region" aria-labelledby="types-title"><table data-testid="types"><thead><tr><th>Type</th><th class="number">Live bytes</th><th class="share" aria-hidden="true"></th>
            <th class="number">Objects</th><th class="number">Freed by count</th><th class="number">by cycle</th></tr></thead>
        <tbody>${types.slice(0, TYPES_SHOWN).map((type) => html`<tr key=${type.name + type.size_bytes}><td class="code">${type.name}</td>
            <td class="number">${format.bytes(type.live_bytes)}</td>
            <td class="share" aria-hidden="true"><meter tabindex="-1" max=${most} value=${type.live_bytes}></meter></td>
            <td class="number">${format.exact(type.live_objects)}</td><td class="number">${format.count(type.frees.refcount)}</td>
            <td class="number">${format.count(type.frees.cycle)}</td></tr>`)}</tbody></table></div>
        ${types.length > TYPES_SHOWN ? html`<p class="hint">${format.plural(types.length - TYPES_SHOWN, "smaller type")} not shown.</p>` : null}
    </section>`;
}

/** @param {{store: Store}} props */
function Identity({ store }) {
    const { summary, stats } = store;
    const gone = (stats ?? summary)?.state === "gone";
    return html`<header class="identity">
        <h2 data-testid="name">${summary?.name ?? stats?.name}</h2>
        <span class="pid">${stats?.pid === null ? "pid unknown" : `pid ${stats?.pid}`}</span>
        <span class="badge ${gone ? "" : "good"}" data-badge="state">${gone ? `gone${summary?.end ? ` (${summary.end})` : ""}` : "live"}</span>
        ${Object.entries(summary?.labels ?? {}).map(([key, value]) => html`<span class="label">${key}=${value}</span>`)}
        <span class="facts">${summary ? html`attached ${format.clock(summary.attached_at)}` : null}
            ${!gone && stats?.safepoint_age_ns !== null && stats?.safepoint_age_ns !== undefined ? html` · safepoint ${format.duration(stats.safepoint_age_ns)} ago` : null}</span>
    </header>`;
}

/** Says it where the figures shown may no longer be true. @param {{store: Store}} props */
function Freshness({ store }) {
    if (store.stale) {
        return html`<${Stale} store=${store} />`;
    }
    return store.now() - store.missedAt < SKIPPED_SHOWN_MS ? html`<p class="notice warn" role="status" data-testid="missed">${
        format.plural(store.missed, "frame")} skipped because this page was slow; the charts show a gap.</p>` : null;
}

/** @param {import("../views.js").Given} given */
function Body({ store }) {
    if (!store.stats || !store.info) {
        return html`<${Loading} what=${`process ${store.chosen.slice(0, 8)}`} testid="process-loading" />`;
    }
    const gone = store.stats.state === "gone";
    return html`<article class=${store.stale ? "old" : ""} aria-label="Process ${store.stats.name}" data-testid="process-view" data-id=${store.chosen}>
        <${Identity} store=${store} />
        <${InForce} stats=${store.stats} />
        <${Freshness} store=${store} />
        <${Controls} store=${store} gone=${gone} />
        <${Figures} store=${store} />
        <div class="charts" key=${store.chosen}>${[0, 1, 2, 3].map((index) => html`<${Chart} key=${index} store=${store} index=${index} />`)}</div>
        <p class="legend"><span class="key line"></span> generation 2 collected <span class="key tick"></span> younger generations</p>
        <${Operations} store=${store} />
        <${Collections} store=${store} />
        <${Types} store=${store} />
        <${AllFigures} store=${store} />
    </article>`;
}

/** @type {import("../views.js").View} */
export default { title: "Overview", needsProcess: true, Body,
    topics: ({ process }) => [`stats:${process}`, `collections:${process}`] };
