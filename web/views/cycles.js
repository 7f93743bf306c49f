/* Garbage cycles by what they look like: which types hold which in a ring, how much that costs, and which reference to
 * make weak. Reading the shapes, and looking for them, asks the program: the page says so before. */

import { html, useMemo } from "../vendor/htm-preact.js";
import { change } from "../address.js";
import * as api from "../api.js";
import { ask as askFirst, pauseCost } from "../confirm.js";
import { Chain, Next } from "../drawings.js";
import * as format from "../format.js";
import { AnswerLine, useAnswer } from "../operation.js";
import { all } from "../paging.js";
import { useResource } from "../resource.js";
import { csvOf, filtered, sorted } from "../rows.js";
import { shapeOf, weakStep } from "../shape.js";
import { Empty, Failed, Loading, refusal } from "../states.js";
import { download } from "../download.js";

/** @typedef {import("../findings").CycleRow} CycleRow */
/** @typedef {import("../findings").TypeRow} TypeRow */
/** @typedef {import("../findings").Forecast} Forecast */
/** @typedef {import("../address.js").Address} Address */
/** @typedef {CycleRow & {key: string, text: string, seen_at: number, parts: import("../shape.js").Shape}} Row */

const OTHER = "(other)";
const ORDERS = /** @type {const} */ ([["-bytes", "most bytes"], ["-objects", "most objects"], ["-count", "most cycles"], ["-last", "found last"], ["+shape", "name"]]);

/** @type {import("../rows.js").Column<Row>[]} */
const COLUMNS = [
    { id: "shape", label: "Shape", value: (row) => row.text },
    { id: "heap", label: "Heap", number: true, value: (row) => row.heap },
    { id: "count", label: "Cycles", number: true, value: (row) => row.count },
    { id: "objects", label: "Objects", number: true, value: (row) => row.objects },
    { id: "bytes", label: "Bytes", number: true, value: (row) => row.bytes },
    { id: "last", label: "Last seen", number: true, value: (row) => row.seen_at },
    { id: "weaken", label: "Weaken", value: (row) => row.weaken?.edge ?? "" },
    { id: "reason", label: "Because", value: (row) => row.weaken?.reason ?? "" },
];

/** @param {import("../store.js").Store} store @param {readonly CycleRow[]} cycles @param {readonly TypeRow[]} types @returns {Row[]} */
function rowsOf(store, cycles, types) {
    const known = new Set(types.map(({ name }) => name));
    return cycles.map((cycle) => {
        const text = cycle.shape ?? "";
        return { ...cycle, key: `${cycle.heap} ${text}`, text, parts: shapeOf(text, known), seen_at: store.axis(cycle.last_mono_ns) };
    });
}

/** @param {Forecast|null} forecast */
const findCost = (forecast) => forecast?.collect.find(({ generation }) => generation === 2) ?? null;

/** Looks at the whole heap for garbage cycles, and frees nothing. @param {{store: import("../store.js").Store, id: string, done: () => void}} props */
function Find({ store, id, done }) {
    const [answer, ask] = useAnswer(store);
    const forecast = useResource((signal) => /** @type {Promise<Forecast>} */ (api.get(`${api.one(id)}/forecast`, signal)), [id], { every: 5000 });
    const why = refusal(store, "control");
    const gone = store.summary?.state === "gone";
    const cost = findCost(forecast.data);
    const find = async () => {
        const yes = await askFirst({ title: "Look for garbage cycles now", action: "Look now",
            text: html`<p>The program looks at ${cost ? `its ${format.plural(cost.objects, "object")}` : "all of its heap"} for garbage cycles and counts their shapes. Nothing is freed, and no code of the program runs.</p>`,
            cost: pauseCost(cost?.pause_ns) });
        if (yes) {
            const operation = await ask("Look for garbage cycles", () => api.ask("POST", `${api.one(id)}/collect`, { dry_run: true }));
            if (operation?.state === "succeeded") {
                done();
            }
        }
    };
    return html`<button type="button" class="primary" data-testid="find-cycles" disabled=${Boolean(why) || gone} title=${why || null} onClick=${find}>Look for garbage cycles now</button>
        <span class="remark" data-testid="find-cost">${gone ? "The process has ended" : why || (cost?.pause_ns != null ? `pauses it for about ${format.duration(cost.pause_ns)}: ${format.plural(cost.objects, "object")}` : cost?.reason ?? "")}</span>
        <${AnswerLine} store=${store} answer=${answer} testid="find-answer" />`;
}

/** @param {{row: Row, address: Address, artifact: import("../findings").Artifact|null, most: number}} props artifact: the newest of the row's heap */
function CycleCard({ row, address, artifact, most }) {
    const { steps, whole } = row.parts;
    const at = weakStep(row.parts, row.weaken);
    return html`<li class="card cycle" data-testid="cycle" data-shape=${row.text}>
        <div class="cycle-drawing">
            ${row.text === OTHER || !row.text ? html`<p class="said">${row.text ? "Shapes beyond those that are kept apart (256 a heap)." : "The names of its types are no text."}</p>`
                : html`<${Chain} label="Cycle: ${row.text}" round=${whole} more=${!whole} nodes=${steps.map(({ type, field }, index) => ({ type, field, weak: at === index, link: address.to("types", { type }) }))} />`}
            ${row.weaken ? html`<p class="advice" data-testid="weaken"><strong>Make <code>${row.weaken.edge}</code> weak</strong>: ${row.weaken.reason}.
                <small>Store <code>tally_weak_new()</code> there, and ask <code>tally_weak_lock()</code> for ${steps[at]?.to || "the object"} where it is used. Something else must hold it.</small></p>`
                : row.text && row.text !== OTHER ? html`<p class="said">Neither names nor numbers speak for one of its references: weaken the one whose target is held from elsewhere too.</p>` : null}
        </div>
        <dl class="fact-list cycle-facts">
            <div><dt>bytes</dt><dd>${format.bytes(row.bytes)}<span class="rank" aria-hidden="true"><i style=${{ width: `${row.bytes / Math.max(1, most) * 100}%` }}></i></span></dd></div>
            <div><dt>cycles</dt><dd title=${format.exact(row.count)}>${format.count(row.count)}</dd></div>
            <div><dt>objects</dt><dd title=${format.exact(row.objects)}>${format.count(row.objects)}</dd></div>
            <div><dt>last found</dt><dd title=${format.moment(row.seen_at * 1000)}>${format.age(Date.now() - row.seen_at * 1000)} ago</dd></div>
            <div><dt>heap</dt><dd>${row.heap}</dd></div>
        </dl>
        ${steps[0]?.type && row.text !== OTHER ? html`<${Next}><a data-testid="cycle-objects" href=${artifact ? address.to("snapshots", { artifact: artifact.id, tab: "objects", type: steps[0].type }) : address.to("snapshots", { heap: row.heap, type: steps[0].type })}>${artifact
            ? html`Objects of type ${steps[0].type} <small>snapshot of ${format.moment(artifact.taken_at)}</small>` : `Take a snapshot to see its ${steps[0].type}`}</a><//>` : null}</li>`;
}

/** @param {{address: Address, rows: readonly Row[], shown: readonly Row[]}} props */
function Tools({ address, rows, shown }) {
    const order = address.get("sort", "-bytes");
    return html`<div class="table-tools">
        <input type="search" class="filter" placeholder="Filter" aria-label="Filter cycles" data-testid="cycles-filter" value=${address.get("filter")}
            onInput=${(/** @type {any} */ event) => change({ filter: event.target.value })} />
        <label>order <select data-testid="cycles-sort" onChange=${(/** @type {any} */ event) => change({ sort: event.target.value === "-bytes" ? null : event.target.value })}>
            ${ORDERS.map(([value, label]) => html`<option key=${value} value=${value} selected=${value === order}>${label}</option>`)}</select></label>
        <span class="count" data-testid="cycles-count">${shown.length < rows.length ? `${shown.length} of ` : ""}${format.plural(rows.length, "shape")}</span>
        <button type="button" class="small" data-testid="cycles-csv" disabled=${!shown.length} onClick=${() => download("tally-cycles.csv", csvOf(shown, COLUMNS))}>CSV<span class="unseen"> of cycles</span></button></div>`;
}

/** @param {import("../views.js").Given} given */
function Body({ store, address }) {
    const id = address.process;
    const gone = store.summary?.state === "gone";
    const why = refusal(store, "control");
    const answer = useResource(async (signal) => {
        const [{ rows: cycles, first }, { rows: types }, artifacts] = await Promise.all([
            all(`${api.one(id)}/cycles`, {}, "cycles", signal), all(`${api.one(id)}/types`, {}, "types", signal),
            api.get(`/v1/artifacts?process=${encodeURIComponent(id)}&limit=20`, signal).catch(() => null)]);
        return { cycles: /** @type {CycleRow[]} */ (cycles), types: /** @type {TypeRow[]} */ (types), as_of: first.as_of,
            artifacts: /** @type {import("../findings").Artifact[]} */ (artifacts?.artifacts.filter((/** @type {{state: string}} */ one) => one.state === "ready") ?? []) };
    }, [id]);
    const rows = useMemo(() => answer.data ? rowsOf(store, answer.data.cycles, answer.data.types) : [], [answer.data]);
    const filter = address.get("filter");
    const order = address.get("sort", "-bytes");
    const shown = useMemo(() => sorted(filtered(rows, filter, ({ text }) => text), COLUMNS, order), [rows, filter, order]);
    const most = rows.reduce((max, { bytes }) => Math.max(max, bytes), 0);
    return html`<p class="about">Objects that refer to each other in a ring: none of their counts reaches zero, so they wait for the cycle collector, which pauses the program. Counted here is what collections have found since the program began. Make one reference of a ring weak, and such objects go at once.</p>
        <div class="view-tools"><${Find} store=${store} id=${id} done=${answer.refresh} />
            <button type="button" class="end" data-testid="cycles-refresh" disabled=${gone || Boolean(why)} onClick=${answer.refresh}>Read again</button>
            ${answer.data ? html`<span class="remark">read ${format.clock(answer.data.as_of)}; each reading costs the program a moment</span>` : null}</div>
        ${answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : null}
        ${!answer.data ? answer.problem ? null : html`<${Loading} what="the shapes" />` : rows.length === 0
            ? html`<${Empty} title="No garbage cycle has been found" testid="cycles-empty"><p>Shapes are counted whenever a collection finds cycles. None has in this process: either nothing is in a cycle, or no collection has looked yet.</p>
                <p>“Look for garbage cycles now” looks at the whole heap and frees nothing.</p><//>`
            : html`<${Tools} address=${address} rows=${rows} shown=${shown} />
                ${shown.length === 0 ? html`<p class="hint" data-testid="cycles-none">Nothing matches “${filter}”.
                    <button type="button" class="small" onClick=${() => change({ filter: null })}>Clear the filter</button></p>` : null}
                <ul class="cards" data-testid="cycles">${shown.map((row) => html`<${CycleCard} key=${row.key} row=${row} address=${address} artifact=${answer.data?.artifacts.find(({ heap }) => heap === row.heap) ?? null} most=${most} />`)}</ul>`}`;
}

/** @type {import("../views.js").View} */
export default { title: "Cycles", needsProcess: true, topics: (address) => address.process ? [`stats:${address.process}`] : [], Body };
