/* The types of a process: what is alive, since when it has grown, how fast it comes and goes, and who frees it. */

import { html, useMemo, useRef } from "../vendor/htm-preact.js";
import { change } from "../address.js";
import * as api from "../api.js";
import { MakeBaseline, baselineText, useBaselines } from "../baselines.js";
import { Spark, growth, share, signed } from "../drawings.js";
import * as format from "../format.js";
import { all } from "../paging.js";
import { useResource } from "../resource.js";
import { Empty, Failed, Loading } from "../states.js";
import { Table } from "../table.js";
import { TypePane } from "../typepane.js";

/** @typedef {import("../findings").TypeRow} TypeRow */
/** @typedef {TypeRow & {key: string, delta_bytes: number|null, delta_objects: number|null, share: number|null}} Row */
/** @typedef {import("../rows.js").Column<Row>} Column */
/** @typedef {import("../address.js").Address} Address */

const EVERY_MS = 2000;
/** Reading takes one part in so many of the time at most. */
const REST = 6;

/** What can be compared with: the view's opening, or a baseline. */
const OPENED = "";

/** @param {AbortSignal} signal @param {number} ms */
const rest = (signal, ms) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve(undefined)));
});

/** Types may share a name; each row has a key of its own. @param {readonly TypeRow[]} types */
function keysOf(types) {
    const seen = new Map();
    return types.map(({ name }) => {
        const before = seen.get(name) ?? 0;
        seen.set(name, before + 1);
        return before ? `${name}#${before + 1}` : name;
    });
}

/** @param {TypeRow} type */
function cycleShare({ frees }) {
    const freed = frees.refcount + frees.cycle;
    return freed ? frees.cycle / freed * 100 : null;
}

/** The rows with what has changed since `opened`, or since the baseline that tallyd compared with. @param {readonly TypeRow[]} types
 * @param {ReadonlyMap<string, TypeRow>|null} opened null: a baseline @returns {Row[]} */
function rowsOf(types, opened) {
    const keys = keysOf(types);
    return types.map((type, index) => {
        const then = opened?.get(keys[index]);
        const since = opened ? { live_bytes: type.live_bytes - (then?.live_bytes ?? 0), live_objects: type.live_objects - (then?.live_objects ?? 0) } : type.since_baseline;
        return { ...type, key: keys[index], delta_bytes: since?.live_bytes ?? null, delta_objects: since?.live_objects ?? null, share: cycleShare(type) };
    });
}

/** @param {string} path @param {string} since */
function useTypes(path, since) {
    const took = useRef(0);
    const kept = useRef(/** @type {{path: string, since: string, types: readonly TypeRow[], first: any}|null} */ (null));
    const opened = useRef(/** @type {{path: string, at: number, types: Map<string, TypeRow>}|null} */ (null));
    const answer = useResource(async (signal) => {
        await rest(signal, took.current * (REST - 1));
        const began = performance.now();
        const { rows, first } = await all(`${path}/types`, { trend: "true", ...since ? { baseline: since } : {} }, "types", signal);
        took.current = performance.now() - began;
        return { path, since, types: /** @type {readonly TypeRow[]} */ (rows), first };
    }, [path, since], { every: EVERY_MS });
    if (answer.data) {
        kept.current = answer.data;
        if (opened.current?.path !== path) {
            const keys = keysOf(answer.data.types);
            opened.current = { path, at: Date.now(), types: new Map(answer.data.types.map((type, index) => [keys[index], type])) };
        }
    }
    const shown = kept.current?.path === path ? kept.current : null;
    const rows = useMemo(() => shown ? rowsOf(shown.types, shown.since ? null : opened.current?.types ?? new Map()) : null, [shown]);
    return { rows, answer, openedAt: opened.current?.at ?? 0, shown };
}

/** What the courses of the rows show: all of a heap's have the same parts of time. @param {readonly Row[]|null} rows */
function courseText(rows) {
    const trend = rows?.find((row) => row.trend?.live_bytes.length)?.trend;
    return trend ? `Its course: the least that lived in each ${format.duration(trend.window_s * 1e9)} of the last ${format.age(trend.window_s * trend.live_bytes.length * 1000)}`
        : "Its course is told of one heap, once it has run for some seconds";
}

/** @param {Address} address @param {string} course @param {string} since @returns {Column[]} */
const columnsOf = (address, course, since) => [
    { id: "name", label: "Type", width: 12.5, stick: true, value: (row) => row.name, show: (row) => html`<a href=${address.with({ type: row.key })} tabindex="-1" title=${row.name}>${row.name}</a>` },
    { id: "live_bytes", label: "Live bytes", help: course, number: true, width: 10.6, value: (row) => row.live_bytes,
        show: (row) => html`<span class="with-spark" title="${format.exact(row.live_bytes)} bytes"><${Spark} values=${row.trend?.live_bytes ?? NOTHING} />${format.bytes(row.live_bytes)}</span>` },
    { id: "delta_bytes", label: "Δ bytes", help: `More or less since ${since}`, number: true, width: 7, value: (row) => row.delta_bytes, show: (row) => html`<span class=${growth(row.delta_bytes)}>${signed(row.delta_bytes, format.bytes)}</span>` },
    { id: "live_objects", label: "Objects", number: true, width: 6.5, value: (row) => row.live_objects, show: (row) => html`<span title=${format.exact(row.live_objects)}>${format.count(row.live_objects)}</span>` },
    { id: "delta_objects", label: "Δ objects", help: `More or less since ${since}`, number: true, width: 7, value: (row) => row.delta_objects, show: (row) => html`<span class=${growth(row.delta_objects)}>${signed(row.delta_objects, format.count)}</span>` },
    { id: "allocation_rate", label: "Allocated", help: "Objects allocated a second, over the last second", number: true, width: 6.8, value: (row) => row.rates?.allocations_per_s ?? null, show: (row) => format.rate(row.rates?.allocations_per_s) },
    { id: "free_rate", label: "Freed", help: "Objects freed a second, by count and by cycle together", number: true, width: 6.8, value: (row) => row.rates ? row.rates.frees_per_s.refcount + row.rates.frees_per_s.cycle : null,
        show: (row) => format.rate(row.rates ? row.rates.frees_per_s.refcount + row.rates.frees_per_s.cycle : null) },
    { id: "share", label: "By cycles", help: "Of all that were freed, the share that only the cycle collector could free", number: true, width: 8, value: (row) => row.share,
        show: (row) => row.share === null ? "–" : html`<span class="share-cell"><i class="share-bar" aria-hidden="true"><i style=${{ width: `${row.share}%` }}></i></i><span>${share(row.share)}</span></span>` },
    { id: "size", label: "Size", help: "Bytes of one object", number: true, width: 6, value: (row) => row.size_bytes, show: (row) => row.size_bytes === null ? "varies" : format.bytes(row.size_bytes) },
];

/** @type {readonly number[]} */
const NOTHING = [];

/** What the pane says better. */
const IN_PANE = new Set(["allocation_rate", "free_rate", "share", "size"]);

/** What the Δ columns compare with. @param {{store: import("../store.js").Store, id: string, since: string, openedAt: number, baselines: ReturnType<typeof useBaselines>}} props */
function Since({ store, id, since, openedAt, baselines }) {
    const list = baselines.data ?? [];
    const made = (/** @type {string} */ baseline) => { baselines.refresh(); baseline && change({ since: baseline }); };
    return html`<span class="together"><label>Δ since <select data-testid="since" value=${since} onChange=${(/** @type {any} */ event) => change({ since: event.target.value }, { step: true })}>
            <option value="" selected=${since === OPENED}>this view opened${openedAt ? `, ${format.clock(openedAt)}` : ""}</option>
            ${list.map((baseline) => html`<option key=${baseline.id} value=${baseline.id} selected=${baseline.id === since}>baseline of ${baselineText(baseline)}</option>`)}
            ${since && !list.some((baseline) => baseline.id === since) ? html`<option value=${since} selected>baseline ${since}</option>` : null}
        </select></label>
        <${MakeBaseline} store=${store} id=${id} made=${made} />
        ${since ? html`<a class="go" href=${`#${new URLSearchParams({ view: "compare", process: id, a: since, b: `now:${id}` })}`} data-testid="compare-link">Compare</a>` : null}</span>`;
}

/** @param {{store: import("../store.js").Store, heap: string}} props */
function HeapChoice({ store, heap }) {
    const heaps = store.stats?.heaps ?? [];
    return heaps.length < 2 && !heap ? null : html`<label>heap <select data-testid="heap" onChange=${(/** @type {any} */ event) => change({ heap: event.target.value }, { step: true })}>
        <option value="" selected=${!heap}>all</option>${heaps.map(({ n }) => html`<option key=${n} value=${String(n)} selected=${String(n) === heap}>${n}</option>`)}</select></label>`;
}

/** @param {import("../views.js").Given} given */
function Body({ store, address }) {
    const id = address.process;
    const since = address.get("since");
    const heap = address.get("heap");
    const path = `${api.one(id)}${heap ? `/heaps/${encodeURIComponent(heap)}` : ""}`;
    const baselines = useBaselines(id);
    const { rows, answer, openedAt } = useTypes(path, since);
    const course = courseText(rows);
    const words = since ? "the baseline" : "this view was opened";
    const chosen = address.get("type");
    const columns = useMemo(() => columnsOf(address, course, words).filter(({ id: column }) => !chosen || !IN_PANE.has(column)), [String(address), course]);
    const row = rows?.find(({ key }) => key === chosen) ?? null;
    if (!rows) {
        return answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : html`<${Loading} what="the types" />`;
    }
    return html`${answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : null}
        <div class="with-pane ${chosen ? "open" : ""}">
            <div class="list-side"><${Table} id="types" caption="types" rows=${rows} columns=${columns} keyOf=${(/** @type {Row} */ one) => one.key} address=${address}
                textOf=${(/** @type {Row} */ one) => one.name} order="-live_bytes" linkOf=${(/** @type {Row} */ one) => address.with({ type: one.key })}
                attributesOf=${(/** @type {Row} */ one) => ({ "data-type": one.name, class: one.key === chosen ? "shown" : "" })}
                tools=${html`<${Since} store=${store} id=${id} since=${since} openedAt=${openedAt} baselines=${baselines} /><${HeapChoice} store=${store} heap=${heap} />`}
                empty=${html`<${Empty} title="No types yet"><p>A type has a row here as soon as an object of it is allocated.</p><//>`} /></div>
            ${chosen ? html`<${TypePane} key=${chosen} address=${address} path=${path} name=${row?.name ?? chosen} row=${row} />` : null}
        </div>`;
}

/** @type {import("../views.js").View} */
export default { title: "Types", needsProcess: true, topics: (address) => address.process ? [`stats:${address.process}`] : [], Body };
