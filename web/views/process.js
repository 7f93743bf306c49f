/* The chosen process, or one of its heaps: who it is, its figures, charts over time, what can be done and what is in
 * force. One that is gone shows how it ended. */

import { html, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { go, present } from "../address.js";
import * as api from "../api.js";
import { Board, Chart, RangeBar, ReasonLegend } from "../board.js";
import { Actions, Operations, useForecast } from "../controls.js";
import { download } from "../download.js";
import { fieldsOf, processCharts } from "../figures.js";
import * as format from "../format.js";
import { HeapSwitch } from "../heaps.js";
import { byReason } from "../heat.js";
import { endOf, figuresOf, marksOf, usePool, useTrack, windowFor } from "../past.js";
import { CrashCard } from "../postmortem.js";
import { POINTS } from "../ranges.js";
import { hiddenOf } from "../reasons.js";
import { Settings } from "../settings.js";
import { Loading, Stale } from "../states.js";

const SKIPPED_SHOWN_MS = 15_000;
const FIGURES = ["live_bytes", "live_objects", "rates.allocations_per_s", "allocations", "frees.refcount", "frees.cycle", "collections", "max_pause_ns",
    "pause_ns", "candidates", "garbage", "mapped_bytes"];

/** @typedef {import("../store.js").Store} Store @typedef {import("../address.js").Address} Address */
/** @typedef {import("../types").Stats} Stats @typedef {import("../controls.js").Subject} Subject */

/** @param {{name: string, tone?: string, title?: string, children?: unknown}} props */
const Badge = ({ name, tone = "", title, children }) => html`<span class="badge ${tone}" data-badge=${name} title=${title}>${children}</span>`;

/** How sure the numbers are, and why not. @param {{stats: Stats}} props */
function Completeness({ stats }) {
    if (stats.complete) {
        return html`<${Badge} name="complete" tone="good" title="Counters are exact; every event since the start was read">exact<//>`;
    }
    const lost = stats.events?.lost ? `${format.plural(stats.events.lost, "event")} of ${format.count(stats.events.written)} lost` : "";
    const rowless = stats.heaps.reduce((sum, { types_without_row: n = 0 }) => sum + n, 0);
    const wrong = stats.heaps.filter(({ inconsistent }) => inconsistent).map(({ n }) => n);
    const why = [lost, rowless ? `${format.plural(rowless, "type")} without a row` : "", wrong.length ? `heap ${wrong.join(", ")} said something impossible` : ""].filter(Boolean);
    return html`<${Badge} name="complete" tone="warn" title="Totals come from counters and stay exact; what events tell (lifetimes, sizes) has gaps">incomplete: ${why.join(", ") || "a heap is not read to its end"}<//>`;
}

/** @param {{store: Store, stats: Stats}} props */
function Identity({ store, stats }) {
    const { summary } = store;
    const gone = stats.state === "gone";
    return html`<header class="identity">
        <h2 class="unseen" data-testid="name">${summary?.name ?? stats.name}</h2>
        <${Badge} name="state" tone=${gone ? "" : "good"}>${gone ? `gone${summary?.end ? ` (${summary.end})` : ""}` : "live"}<//>
        <${Completeness} stats=${stats} />
        ${Object.entries(summary?.labels ?? {}).map(([key, value]) => html`<span class="label" key=${key}>${key}=${value}</span>`)}
        <span class="facts"><span class="code" title="The library's own id of the process" data-testid="id">${stats.id}</span> · ${stats.pid === null ? "pid unknown" : `pid ${stats.pid}`}
            ${summary ? html` · libtally ${summary.library} · attached <time datetime=${summary.attached_at} title=${`${format.dateTime(summary.attached_at)}, to the tallyd that runs: its restart begins this anew`}>${format.clock(summary.attached_at)}</time>${" "}
                (${format.age(endOf(store) * 1000 - Date.parse(summary.attached_at))})` : null}
            ${gone || stats.safepoint_age_ns === null ? null : html` · safepoint <span class="number" data-testid="safepoint-age">${format.duration(stats.safepoint_age_ns)}</span> ago`}</span>
    </header>`;
}

/** Says it where frames were skipped. @param {{store: Store}} props */
const Missed = ({ store }) => store.now() - store.missedAt < SKIPPED_SHOWN_MS ? html`<p class="notice warn" role="status"
    data-testid="missed">${format.plural(store.missed, "frame")} skipped because this page was slow; the charts show a gap.</p>` : null;

/** @param {{store: Store, subject: Subject, seq: number}} props */
function Figures({ store, subject, seq }) {
    const field = fieldsOf(store.info);
    return html`<dl class="figures-row" data-testid="figures">${FIGURES.map((path) => {
        const rate = path === "rates.allocations_per_s";
        const { label, help, unit } = rate ? { label: "Allocations a second", help: "Over the last second or so.", unit: "rate" } : field(path);
        const value = format.at(subject, path);
        return html`<div key=${path} title=${help}><dt>${label}</dt>
            <dd data-field=${path} data-seq=${seq} data-value=${value} title=${format.exact(value)}>${rate ? format.rate(value) : unit === "bytes" ? format.bytes(value)
                : unit === "nanoseconds" ? format.duration(value) : format.count(value)}</dd></div>`;
    })}</dl>`;
}

/** @param {{store: Store, subject: Subject}} props */
function AllFigures({ store, subject }) {
    return html`<details class="panel"><summary>All figures</summary>
        <div class="scroll" tabindex="0" role="region" aria-label="All figures"><table data-testid="all-figures"><thead><tr><th scope="col">Figure</th><th scope="col" class="number">Value</th><th scope="col">Meaning</th></tr></thead>
        <tbody>${(store.info?.fields ?? []).map(({ path, label, unit, help }) => html`<tr key=${path}><td>${label}</td>
            <td class="number" title=${format.exact(format.at(subject, path))}>${format.inUnit(format.at(subject, path), unit)}</td><td class="wide">${help}</td></tr>`)}</tbody></table></div></details>`;
}

/** The charts, and what they show of time. @param {{store: Store, address: Address, heap: number, subject: Subject}} props */
function Charts({ store, address, heap, subject }) {
    const window = windowFor(store, address);
    const { track, loading, problem, answer } = useTrack(store, heap, window);
    const { pool, problem: poolProblem, cutAt } = usePool(store, heap, window);
    const hidden = hiddenOf(address.get("hide"));
    const tables = hiddenOf(address.get("tables"));
    const inWindow = pool.list(({ t, collection }) => t >= window.from && t <= window.to && (!heap || collection.heap === heap));
    const marks = marksOf(inWindow.filter(({ reason }) => !hidden.has(reason)), window.from, window.to);
    const counts = byReason(inWindow);
    const specs = useMemo(() => processCharts(fieldsOf(store.info)), [store.info !== null]);

    const scene = useRef(/** @type {() => import("../charts.js").Scene|null} */ (() => null));
    scene.current = () => ({ from: window.from, to: window.to, shape: track.view(window.from, window.to, POINTS),
        coarse: (rows) => track.coarse(window.from, window.to, rows), marks, stats: subject });
    const pick = useRef((/** @type {import("../charts.js").Mark} */ _) => {});
    pick.current = (mark) => go(address.to("collections", { heap: heap || null, range: address.get("range"), from: address.get("from"), to: address.get("to"), collection: mark.key }));
    const name = useRef("");
    name.current = `${store.summary?.name ?? "process"}${heap ? `-heap-${heap}` : ""}`;
    const board = useMemo(() => new Board({ window: () => windowFor(store, present()), scene: () => scene.current(), onPick: (mark) => pick.current(mark), name: () => name.current }), []);
    useEffect(() => () => board.destroy(), []);

    const heldAt = useRef({ held: false, count: 0 });
    if (window.held !== heldAt.current.held) {
        heldAt.current = { held: window.held, count: track.count };
    }
    const place = `${address.get("from")} ${address.get("to")} ${address.get("range")} ${heap}`;
    useEffect(() => board.describe(), [place]);
    useEffect(() => board.update(`${address} ${answer?.to} ${marks.length} ${subject.memory_limit_bytes}`, window));

    const [traceProblem, setTraceProblem] = useState("");
    const trace = `${api.one(store.chosen)}/history?${new URLSearchParams({ format: "trace", from: new Date(window.from * 1000).toISOString(), to: new Date(window.to * 1000).toISOString() })}`;
    return html`<section class="over-time" aria-label="Over time">
        <${RangeBar} window=${window} behind=${window.held ? track.count - heldAt.current.count : 0} loading=${loading} problem=${traceProblem || problem || poolProblem}>
            <${ReasonLegend} counts=${counts} hidden=${hidden} />
            <button type="button" class="small at-end" data-testid="trace" title="Collections and counters of this time, for Perfetto or chrome://tracing"
                onClick=${() => api.blob(trace).then((blob) => { download(`${name.current}.trace.json`, blob); setTraceProblem(""); }, (failure) => setTraceProblem(`No trace: ${failure.message}`))}>Trace</button><//>
        ${cutAt > window.from ? html`<p class="hint" data-testid="cut">Collections before ${format.dateTime(cutAt * 1000)} are too many to mark; the mean pause covers all of them.</p>` : null}
        <div class="charts" data-testid="charts">${specs.map((spec) => html`<${Chart} key=${spec.id} board=${board} spec=${spec} table=${tables.has(spec.id)} />`)}</div>
        <p class="legend">Drag across a chart to zoom, double-click to reset. With a chart in focus: arrows read it, <kbd>+</kbd> <kbd>−</kbd> zoom, <kbd>Page Up</kbd> <kbd>Page Down</kbd> move,
            <kbd>P</kbd> pauses, <kbd>0</kbd> resets, <kbd>T</kbd> shows its table, <kbd>Enter</kbd> opens the collection at the cursor.</p>
    </section>`;
}

/** @param {{store: Store, address: Address}} props */
function Body({ store, address }) {
    const heap = address.number("heap", 0);
    const forecastOf = useForecast(store, heap);
    const { stats } = store;
    if (!stats || !store.info) {
        return html`<${Loading} what="the process" testid="process-loading" />`;
    }
    const subject = /** @type {Subject|null} */ (figuresOf(stats, heap));
    const gone = stats.state === "gone";
    const link = (/** @type {number} */ n) => address.with({ heap: n || null });
    return html`<article class=${store.stale ? "old" : ""} aria-label="Process ${stats.name}" data-testid="process-view" data-id=${store.chosen}>
        <${Identity} store=${store} stats=${stats} />
        <${HeapSwitch} stats=${stats} heap=${heap} address=${address} />
        <${Stale} store=${store} /><${Missed} store=${store} />
        ${!subject ? html`<p class="notice warn" data-testid="no-heap">The process has no heap ${heap}. <a href=${link(0)}>All heaps</a></p>` : html`
            ${gone ? html`<${CrashCard} store=${store} address=${address} />` : html`<${Actions} store=${store} heap=${heap} subject=${subject} forecastOf=${forecastOf} />`}
            <${Figures} store=${store} subject=${subject} seq=${stats.seq} />
            <${Charts} key=${heap} store=${store} address=${address} heap=${heap} subject=${subject} />
            <div class="beside">
                ${gone ? null : html`<${Settings} store=${store} heap=${heap} subject=${subject} pause=${forecastOf(2)?.pause_ns ?? null} link=${link} />`}
                <${Operations} store=${store} />
            </div>
            <${AllFigures} store=${store} subject=${subject} />`}
    </article>`;
}

/** @type {import("../views.js").View} */
export default { title: "Overview", needsProcess: true, topics: ({ process }) => [`stats:${process}`, `collections:${process}`], Body };
