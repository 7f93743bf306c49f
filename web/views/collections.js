/* Collections of the chosen process: when, why, how long and what for. A strip and a map over time, a table of all, and of
 * a chosen one what its pause cost. */

import { html, useEffect, useMemo, useRef } from "../vendor/htm-preact.js";
import { change, go, present } from "../address.js";
import { Board, Chart, Glyph, RangeBar, ReasonLegend } from "../board.js";
import { CollectionDetail, PhaseBar, askedBy, phasesText } from "../collection.js";
import * as format from "../format.js";
import { byReason, quantile } from "../heat.js";
import { HeapSwitch } from "../heaps.js";
import { HeatMap } from "../heatmap.js";
import { marksOf, usePool, windowFor } from "../past.js";
import { heldWords } from "../ranges.js";
import { hiddenOf, reasonOf, toggled } from "../reasons.js";
import { Empty, Loading, Stale } from "../states.js";
import { Table } from "../table.js";

/** @typedef {import("../past.js").Mark} Mark @typedef {import("../store.js").Store} Store @typedef {import("../address.js").Address} Address */

const PAUSES = [["", "any"], ["100", "100 µs"], ["1000", "1 ms"], ["10000", "10 ms"], ["100000", "100 ms"], ["1000000", "1 s"]];

/** @type {import("../charts.js").Spec} */
const STRIP = { id: "timeline", title: "Timeline", help: "Each collection at its time: as high as it took, and as wide where there is room.", unit: "nanoseconds", points: true, strip: true, height: 150,
    lines: [{ label: "", colour: "--text", of: (_, scene) => scene ? scene.marks.map(({ pause_ns }) => pause_ns).reverse() : [] }] };

/** @param {{address: Address}} props */
function Filters({ address }) {
    const hiddenGenerations = hiddenOf(address.get("without"));
    const least = address.get("min");
    return html`<div class="collection-filters" role="group" aria-label="Filter collections">
        <span class="segments" role="group" aria-label="Generations shown">${["0", "1", "2"].map((n) => html`<button type="button" key=${n} data-testid=${`generation-${n}`} aria-pressed=${String(!hiddenGenerations.has(n))}
            onClick=${() => change({ without: toggled(hiddenGenerations, n) })}>gen ${n}</button>`)}</span>
        <label>pause of at least <select data-testid="min-pause" value=${PAUSES.some(([value]) => value === least) ? least : "own"} onChange=${(/** @type {any} */ event) => change({ min: event.target.value })}>
            ${PAUSES.map(([value, label]) => html`<option key=${value} value=${value}>${label}</option>`)}
            ${PAUSES.some(([value]) => value === least) ? null : html`<option value="own">${format.duration(Number(least) * 1000)}</option>`}</select></label>
    </div>`;
}

/** @param {boolean} heaps there are several @returns {import("../rows.js").Column<Mark>[]} */
const columnsOf = (heaps) => [
    { id: "start", label: "Time", value: ({ collection: c }) => c.started_at, show: ({ collection: c }) => html`<span title=${format.dateTime(c.started_at)}>${format.moment(c.started_at)}</span>`, first: "-", width: 8, stick: true },
    { id: "pause_ns", label: "Pause", number: true, value: ({ pause_ns }) => pause_ns, show: ({ pause_ns }) => html`<strong>${format.duration(pause_ns)}</strong>`, width: 6 },
    ...heaps ? [/** @type {import("../rows.js").Column<Mark>} */ ({ id: "heap", label: "Heap", number: true, value: ({ collection: c }) => c.heap, width: 3.5 })] : [],
    { id: "reason", label: "Reason", value: ({ reason }) => reason, show: ({ reason }) => html`<${Glyph} name=${reason} /> ${reasonOf(reason).label}`, width: 7.5 },
    { id: "initiator", label: "Asked by", value: ({ collection }) => collection.operation ?? askedBy(collection), show: ({ collection }) => askedBy(collection), width: 10.5 },
    { id: "generation", label: "Gen.", help: "Generation", number: true, value: ({ generation }) => generation, width: 4 },
    { id: "scope", label: "Scope", help: "What it looked at", value: ({ collection: c }) => c.scope, width: 7 },
    { id: "find_ns", label: "Phases", help: "find, callbacks, free", value: ({ collection: c }) => c.phases.find_ns,
        show: ({ collection: c }) => html`<span class="phase-cell" title=${phasesText(c)}><${PhaseBar} collection=${c} /><span class="phase-numbers">${[c.phases.find_ns, c.phases.callback_ns, c.phases.free_ns].map(format.duration).join(" · ")}</span></span>`, width: 16 },
    { id: "safepoint_wait_ns", label: "Waited", help: "For a safepoint", number: true, value: ({ collection: c }) => c.safepoint_wait_ns, show: ({ collection: c }) => c.safepoint_wait_ns ? format.duration(c.safepoint_wait_ns) : "–", width: 5.5 },
    { id: "slices", label: "Slices", number: true, value: ({ collection: c }) => c.slices, width: 4.2 },
    { id: "examined", label: "Examined", number: true, value: ({ collection: c }) => c.examined, show: ({ collection: c }) => format.count(c.examined), width: 5.8 },
    { id: "collected", label: "Collected", number: true, value: ({ collected }) => collected, show: ({ collected }) => format.count(collected), width: 6 },
    { id: "freed_bytes", label: "Freed", number: true, value: ({ freed_bytes }) => freed_bytes, show: ({ freed_bytes }) => format.bytes(freed_bytes), width: 5.9 },
    { id: "live_bytes_after", label: "Live bytes", help: "Before and after", number: true, value: ({ collection: c }) => c.live_bytes_after,
        show: ({ collection: c }) => `${format.bytes(c.live_bytes_before)} → ${format.bytes(c.live_bytes_after)}`, width: 11.6 },
];

/** @param {{marks: Mark[]}} props */
function Sums({ marks }) {
    const sorted = marks.map(({ pause_ns }) => pause_ns).sort((a, b) => a - b);
    const sum = (/** @type {(mark: Mark) => number} */ of) => marks.reduce((total, mark) => total + of(mark), 0);
    const facts = [["Collections", format.exact(marks.length)], ["Median pause", format.duration(quantile(sorted, 0.5))], ["Pause p99", format.duration(quantile(sorted, 0.99))],
        ["Longest pause", format.duration(sorted[sorted.length - 1])], ["Pauses in all", format.duration(sum(({ pause_ns }) => pause_ns))], ["Examined", format.count(sum(({ collection }) => collection.examined))],
        ["Collected", format.count(sum(({ collected }) => collected))], ["Freed", format.bytes(sum(({ freed_bytes }) => freed_bytes))]];
    return html`<dl class="figures-row sums" data-testid="sums">${facts.map(([label, text]) => html`<div key=${label}><dt>${label}</dt><dd>${text}</dd></div>`)}</dl>`;
}

/** @param {{store: Store, address: Address}} props */
function Body({ store, address }) {
    const heap = address.number("heap", 0);
    const window = windowFor(store, address);
    const { from, to } = window;
    const { pool, loading, problem, cutAt } = usePool(store, heap, window);
    const hidden = hiddenOf(address.get("hide"));
    const without = hiddenOf(address.get("without"));
    const least = address.number("min", 0) * 1000;
    const tables = hiddenOf(address.get("tables"));
    const inWindow = pool.list(({ t, collection }) => t >= from && t <= to && (!heap || collection.heap === heap));
    const rows = inWindow.filter(({ reason, generation, pause_ns }) => !hidden.has(reason) && !without.has(String(generation)) && pause_ns >= least);
    const marks = marksOf(rows, from, to);
    const heaps = (store.stats?.heaps.length ?? 1) > 1;
    const columns = useMemo(() => columnsOf(heaps), [heaps]);

    const scene = useRef(/** @type {() => import("../charts.js").Scene|null} */ (() => null));
    const shape = /** @type {import("../track.js").Shape} */ (/** @type {unknown} */ ({ t: marks.map(({ t }) => t).reverse() }));
    scene.current = () => ({ from, to, shape, coarse: () => shape, marks, stats: null });
    const open = useRef((/** @type {string} */ key) => key);
    open.current = (key) => address.with({ ...heldWords(from, to), collection: key });
    const name = useRef("");
    name.current = `${store.summary?.name ?? "process"}-collections`;
    const board = useMemo(() => new Board({ window: () => windowFor(store, present()), scene: () => scene.current(), onPick: (mark) => go(open.current(mark.key)), name: () => name.current }), []);
    useEffect(() => () => board.destroy(), []);
    useEffect(() => board.describe(), [address.toString()]);
    useEffect(() => board.update(`${address} ${marks.length}`, window));

    if (!store.stats) {
        return html`<${Loading} what="the process" testid="process-loading" />`;
    }
    const chosen = address.get("collection") ? pool.marks.get(address.get("collection")) : undefined;
    const missing = address.get("collection") && !chosen && !loading;
    const alike = chosen ? inWindow.filter(({ reason, generation, collection }) => reason === chosen.reason && generation === chosen.generation && collection.heap === chosen.collection.heap) : [];
    return html`<article aria-label="Collections of ${store.stats.name}" data-testid="collections-view">
        <${HeapSwitch} stats=${store.stats} heap=${heap} address=${address} />
        <${Stale} store=${store} />
        <${RangeBar} window=${window} behind=${0} loading=${loading} problem=${problem} />
        <div class="filter-bar"><${ReasonLegend} counts=${byReason(inWindow)} hidden=${hidden} /><${Filters} address=${address} /></div>
        ${chosen ? html`<${CollectionDetail} mark=${chosen} alike=${alike} address=${address} />`
            : missing ? html`<p class="notice warn" data-testid="detail-missing">Collection ${address.get("collection")} is not among those of this time. <a href=${address.with({ collection: null })}>All of them</a></p>` : null}
        <h2 class="unseen">Over time</h2>
        <${Sums} marks=${rows} />
        <${Chart} board=${board} spec=${STRIP} table=${tables.has(STRIP.id)} />
        <${HeatMap} marks=${rows} from=${from} to=${to} table=${tables.has("heat")} onTable=${() => change({ tables: toggled(tables, "heat") })}
            onCell=${(/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ ns) => change({ ...heldWords(a, b), min: ns ? Math.floor(ns / 1000) : null }, { step: true })} />
        ${cutAt > from ? html`<p class="hint" data-testid="cut">Only the newest ${format.exact(inWindow.length)} collections of this time are here, those since ${format.dateTime(cutAt * 1000)}. Zoom in for earlier ones.</p>` : null}
        <section class="listing" aria-label="All collections of this time"><${Table} id="collections" caption="Collections" rows=${rows} columns=${columns} keyOf=${(/** @type {Mark} */ { key }) => key} address=${address} order="-start"
            total=${inWindow.length} linkOf=${(/** @type {Mark} */ { key }) => open.current(key)} attributesOf=${(/** @type {Mark} */ { key }) => ({ "data-sequence": key, class: key === chosen?.key ? "chosen" : "" })}
            empty=${html`<${Empty} title=${inWindow.length ? "No collection fits the filters" : "No collection in this time"} testid="collections-empty">
                <p>${inWindow.length ? html`<a href=${address.with({ hide: null, without: null, min: null })}>Show all ${format.exact(inWindow.length)}</a>` : "Choose a longer time, or collect from the overview."}</p><//>`} /></section>
    </article>`;
}

/** @type {import("../views.js").View} */
export default { title: "Collections", needsProcess: true, topics: ({ process }) => [`stats:${process}`, `collections:${process}`], Body };
