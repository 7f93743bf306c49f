/* A type in detail, beside the table of all: its past, how long it lives, who frees it, and the ways on. */

import { html, useLayoutEffect, useMemo, useRef } from "./vendor/htm-preact.js";
import { change } from "./address.js";
import * as api from "./api.js";
import { Facts, Histogram, Next, Stacked, evenBars, share } from "./drawings.js";
import * as format from "./format.js";
import { LineChart } from "./line.js";
import { useResource } from "./resource.js";
import { Failed, Loading } from "./states.js";

/** @typedef {import("./findings").TypeRow} TypeRow */
/** @typedef {import("./findings").Bucket} Bucket */

const DETAIL_EVERY_MS = 3000;
const PAST_EVERY_MS = 10_000;
const SPANS = /** @type {const} */ ([["15m", "15 min"], ["1h", "1 h"], ["6h", "6 h"], ["24h", "1 day"], ["168h", "7 days"]]);
const STANDARD_SPAN = "15m";

/** About: each bucket's objects at its middle. @param {readonly Bucket[]} buckets */
function meanOf(buckets) {
    let [sum, count] = [0, 0];
    for (const bucket of buckets) {
        sum += (bucket.from ? bucket.from * 1.5 : 0) * bucket.count;
        count += bucket.count;
    }
    return count ? sum / count : null;
}

/** @param {{path: string, name: string, span: string}} props */
function Past({ path, name, span }) {
    const answer = useResource((signal) => api.get(`${path}/history?${new URLSearchParams({ series: `type:${name}.live_bytes`, from: `-${span}`, points: "300" })}`, signal),
        [path, name, span], { every: PAST_EVERY_MS });
    const line = useMemo(() => ({ at: answer.data?.at ?? [], values: answer.data?.series[0]?.last ?? [] }), [answer.data]);
    const none = answer.data && !line.values.some((/** @type {number|null} */ value) => value !== null);
    return html`<section class="pane-part"><div class="part-head"><h3>Live bytes</h3>
            <span class="segments" role="group" aria-label="How much of the past">${SPANS.map(([value, label]) => html`<button type="button" class="small" key=${value} aria-pressed=${String(value === span)}
                data-testid="span-${value}" onClick=${() => change({ span: value === STANDARD_SPAN ? null : value })}>${label}</button>`)}</span></div>
        ${answer.problem && !answer.data ? html`<p class="hint">${answer.problem.code === "history_off" ? "History is not kept (--no-history)." : answer.problem.message}</p>`
            : none ? html`<p class="hint">History has nothing of this type in that time: it keeps the largest types, from the second on that they are among them.</p>`
                : html`<${LineChart} line=${line} title="Live bytes of ${name}" testid="type-chart" />`}</section>`;
}

/** @param {{type: TypeRow}} props */
function Lives({ type }) {
    const { lifetimes } = type;
    const lived = type.lifetime_ns ?? [];
    const mean = meanOf(lived);
    const sizes = (type.sizes ?? []).map(({ bytes, or_more, count }) => ({ from: bytes, count, orMore: or_more }));
    const seen = lifetimes ? `${format.exact(lifetimes.known)} deaths whose birth was seen${lifetimes.one_page_in > 1 ? `, of objects on one page in ${lifetimes.one_page_in}` : ""}` : "";
    return html`<section class="pane-part"><h3>How long they live</h3>
        ${!lifetimes || !lifetimes.known ? html`<p class="hint">No object of this type was seen from birth to death yet.</p>` : html`
        <${Facts} testid="lifetimes" facts=${[
            ["mean", html`<span data-testid="mean-lifetime">about ${format.duration(mean)}</span>`],
            ["short-lived", html`${share(lifetimes.short_lived / lifetimes.known * 100)} <small>dead before ${format.bytes(lifetimes.short_lived_below_bytes)} more were allocated</small>`],
        ]} />
        <${Histogram} title="In time" bars=${evenBars(lived)} text=${format.duration} note=${seen} testid="lifetime-histogram" />
        <${Histogram} title="In bytes allocated meanwhile" bars=${evenBars(type.lifetime_bytes ?? [])} text=${format.bytes} testid="lifetime-bytes-histogram" />`}
        ${sizes.length > 1 ? html`<${Histogram} title="Sizes" bars=${sizes} text=${format.bytes} testid="size-histogram" />` : null}</section>`;
}

/** @param {{type: TypeRow}} props */
function Freed({ type }) {
    const { refcount, cycle } = type.frees;
    const cyclic = refcount + cycle ? cycle / (refcount + cycle) : 0;
    return html`<section class="pane-part"><h3>Who frees them</h3>
        ${refcount + cycle === 0 ? html`<p class="hint">None has been freed yet.</p>` : html`<${Stacked} parts=${[
            { label: "by count", value: refcount, tone: "by-count", text: format.count(refcount) },
            { label: "by cycle", value: cycle, tone: "by-cycle", text: format.count(cycle) }]} />
        <p class="said">${!type.tracked ? "It holds no references: count alone frees it, unless what holds it is in a cycle."
            : cyclic > 0.5 ? "Most die in cycles, which wait for a collection: a weak reference in the cycle frees them at once."
                : cyclic > 0 ? "Some die in cycles, which wait for a collection." : "None of them was ever in a garbage cycle."}</p>`}</section>`;
}

/** The newest snapshot of the process that can be looked into, and what suspicion says; neither costs the program anything.
 * @param {string} id */
const useFindings = (id) => useResource(async (signal) => {
    const none = () => null;
    const [artifacts, suspects] = await Promise.all([api.get(`/v1/artifacts?process=${encodeURIComponent(id)}&limit=20`, signal).catch(none), api.get(`${api.one(id)}/suspects`, signal).catch(none)]);
    return { artifact: artifacts?.artifacts.find((/** @type {{state: string}} */ one) => one.state === "ready") ?? null, growing: suspects?.growing ?? [] };
}, [id]);

/** @param {{address: import("./address.js").Address, path: string, name: string, row: TypeRow|null}} props */
export function TypePane({ address, path, name, row }) {
    const title = useRef(/** @type {HTMLElement|null} */ (null));
    const detail = useResource(async (signal) => {
        const { types } = await api.get(`${path}/types?${new URLSearchParams({ type: name, histograms: "true" })}`, signal);
        return /** @type {TypeRow|null} */ (types.find((/** @type {TypeRow} */ one) => one.size_bytes === row?.size_bytes && one.tracked === row?.tracked) ?? types[0] ?? null);
    }, [path, name], { every: DETAIL_EVERY_MS });
    const findings = useFindings(address.process);
    useLayoutEffect(() => { title.current?.focus(); }, []);
    const type = row ?? detail.data; /* the row is what the table shows beside it */
    const close = () => {
        change({ type: null, span: null }, { step: true });
        document.querySelector(/** @type {"table"} */ ('[data-testid="types"]'))?.focus();
    };
    const suspect = findings.data?.growing.find((/** @type {{type: string}} */ one) => one.type === name);
    const artifact = findings.data?.artifact;
    return html`<aside class="pane" aria-labelledby="pane-title" data-testid="type-pane" onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Escape" && close()}>
        <div class="pane-head"><h2 id="pane-title" tabindex="-1" ref=${title}>${name}</h2>
            <button type="button" class="small" data-testid="close-pane" onClick=${close}>Close<span class="unseen"> ${name}</span></button></div>
        ${!type ? detail.loading ? html`<${Loading} what=${name} />` : html`<p class="hint">There is no type of this name now.</p>` : html`
        <${Facts} testid="type-facts" facts=${[
            ["live", html`${format.bytes(type.live_bytes)} <small>${format.plural(type.live_objects, "object")}</small>`],
            ["ever allocated", format.count(type.allocations)],
            ["an object", type.size_bytes === null ? "varies in size" : format.bytes(type.size_bytes)],
            type.rates && ["comes", format.rate(type.rates.allocations_per_s)],
            type.rates && ["goes", format.rate(type.rates.frees_per_s.refcount + type.rates.frees_per_s.cycle)],
            ["references", type.tracked ? "holds some" : "holds none"],
        ]} />
        ${suspect ? html`<p class="notice warn" data-testid="type-suspect">It keeps growing${suspect.slope_bytes_per_hour ? `, by ${format.bytes(suspect.slope_bytes_per_hour)} an hour` : ""}. <a href=${address.to("suspects")}>Why it is suspected</a></p>` : null}
        <${Next}>
            <a href=${address.to("cycles", { filter: name })} data-testid="type-cycles">Its cycles</a>
            <a href=${address.to("suspects", { filter: name })} data-testid="type-suspects">Suspicions</a>
            ${artifact ? html`<a href=${address.to("snapshots", { artifact: artifact.id, tab: "objects", type: name })} data-testid="type-objects">Its objects <small>snapshot of ${format.clock(artifact.taken_at)}</small></a>`
                : html`<a href=${address.to("snapshots")} data-testid="type-objects">Take a snapshot to see its objects</a>`}
        <//>
        <${Past} path=${path} name=${name} span=${address.get("span", STANDARD_SPAN)} />
        <${Freed} type=${type} />
        ${detail.problem && !detail.data ? html`<${Failed} problem=${detail.problem} again=${detail.refresh} />` : !detail.data ? html`<${Loading} what="its lifetimes" />` : html`<${Lives} type=${detail.data} />`}`}
    </aside>`;
}
