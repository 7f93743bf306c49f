/* The audit: who has asked for what, from where, and what came of it. tallyd filters; the page asks for one page at a time. */

import { html, useMemo } from "../vendor/htm-preact.js";
import { change } from "../address.js";
import * as api from "../api.js";
import * as format from "../format.js";
import { LateInput } from "../late.js";
import { useResource } from "../resource.js";
import { Empty, Failed, Loading } from "../states.js";
import { Table } from "../table.js";

const PAGE = 200;
const EVERY_MS = 5000;
const RANGES = [["", "everything"], ["-1h", "1 hour"], ["-1d", "1 day"], ["-7d", "7 days"], ["-30d", "30 days"]];
const TONES = /** @type {Record<string, string>} */ ({ refused: "bad", failed: "bad", expired: "warn", cancelled: "warn", done: "good", succeeded: "good" });
const FILTERS = ["who", "kind", "target", "result"];

/** @typedef {import("../address.js").Address} Address */
/** @typedef {import("../store.js").Store} Store */
/** @typedef {{at: string, seq: number, left_out: number, who: string|null, from: string|null, kind: string|null, target: string|null, detail: string|null,
 *   operation: string|null, result: string|null, code: string|null}} Entry */

/** @param {Entry} entry */
const keyOf = (entry) => `${entry.at} ${entry.seq}`;
const isProcess = (/** @type {string|null} */ target) => /^[0-9a-f]{32}(\/|$)/.test(target ?? "");

/** What a record is about, as a link where there is a view of it. @param {{store: Store, address: Address, entry: Entry}} props */
function Target({ store, address, entry: { kind, target } }) {
    if (!target) {
        return null;
    }
    if (isProcess(target)) {
        const id = target.slice(0, 32);
        const name = store.fleet?.processes.find((process) => process.id === id)?.name;
        return html`<a href=${address.to("process", { process: id })} tabindex="-1">${name ?? id.slice(0, 8)}</a>${target.slice(32)}`;
    }
    return kind?.startsWith("rule") ? html`<a href=${address.to("rules", { process: null, rule: target })} tabindex="-1">${target}</a>` : target;
}

/** @param {Store} store @param {Address} address @returns {import("../rows.js").Column<Entry>[]} */
const columnsOf = (store, address) => [
    { id: "at", label: "At", width: 9.5, unsorted: true, value: (r) => r.at, show: (r) => html`<time datetime=${r.at}>${format.moment(r.at)}</time>` },
    { id: "who", label: "Who", width: 12, unsorted: true, value: (r) => r.who },
    { id: "kind", label: "What", width: 9, unsorted: true, value: (r) => r.kind },
    { id: "target", label: "About", width: 12, unsorted: true, value: (r) => r.target, show: (r) => html`<${Target} store=${store} address=${address} entry=${r} />` },
    { id: "result", label: "Result", width: 12, unsorted: true, value: (r) => r.result, show: (r) => html`<span class="badge ${TONES[r.result ?? ""] ?? ""}">${r.result}</span>${r.code ? html` <span class="pid">${r.code}</span>` : null}` },
    { id: "detail", label: "Asked", unsorted: true, value: (r) => r.detail, show: (r) => r.detail ? html`<code class="cut">${r.detail}</code>` : "" },
    { id: "from", label: "From", width: 11, unsorted: true, value: (r) => r.from, show: (r) => r.from ?? html`<span class="pid">tallyd itself</span>` },
    { id: "operation", label: "Operation", width: 8, unsorted: true, value: (r) => r.operation },
    { id: "left_out", label: "Left out", help: "Refusals right before it that have no record of their own", number: true, width: 5, unsorted: true, value: (r) => r.left_out, show: (r) => r.left_out ? format.exact(r.left_out) : "" },
];

/** @param {{address: Address, store: Store, seen: Entry[]}} props */
function Filters({ address, store, seen }) {
    const set = (/** @type {string} */ name) => (/** @type {string} */ value) => change({ [name]: value, cursor: null, record: null });
    const words = (/** @type {"who"|"kind"|"result"} */ key) => [...new Set(seen.map((entry) => entry[key]))].filter(Boolean).sort();
    return html`<form class="filters" aria-label="Which records" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
        <label>Time <select data-testid="audit-range" value=${address.get("range")} onChange=${(/** @type {any} */ event) => set("range")(event.target.value)}>${RANGES.map(([value, text]) => html`<option key=${value} value=${value} selected=${value === address.get("range")}>${text}</option>`)}</select></label>
        <label>Who <${LateInput} list="audit-people" maxlength="63" placeholder="anybody" data-testid="audit-who" value=${address.get("who")} done=${set("who")} /></label>
        <datalist id="audit-people">${words("who").map((who) => html`<option value=${who} />`)}</datalist>
        <label>What <${LateInput} list="audit-kinds" maxlength="23" placeholder="anything" data-testid="audit-kind" value=${address.get("kind")} done=${set("kind")} /></label>
        <datalist id="audit-kinds">${words("kind").map((kind) => html`<option value=${kind} />`)}</datalist>
        <label>About <${LateInput} list="audit-targets" maxlength="95" placeholder="process or rule" title="A process's id, a rule, a token" data-testid="audit-target" value=${address.get("target")} done=${set("target")} /></label>
        <datalist id="audit-targets">${(store.fleet?.processes ?? []).slice(0, 200).map(({ id, name }) => html`<option value=${id}>${name}</option>`)}</datalist>
        <label>Result <${LateInput} list="audit-results" maxlength="23" placeholder="any" data-testid="audit-result" value=${address.get("result")} done=${set("result")} /></label>
        <datalist id="audit-results">${words("result").map((result) => html`<option value=${result} />`)}</datalist>
        ${FILTERS.some((name) => address.get(name)) || address.get("range") ? html`<button type="button" data-testid="audit-clear" onClick=${() => change({ who: null, kind: null, target: null, result: null, range: null, cursor: null }, { step: true })}>Clear</button>` : null}
    </form>`;
}

/** All that is known of one record, and of its operation as it stands. @param {{store: Store, address: Address, entry: Entry}} props */
function Detail({ store, address, entry }) {
    const known = entry.operation ? store.operations.get(entry.operation) : null;
    const operation = useResource((signal) => entry.operation && !known ? api.get(`/v1/operations/${entry.operation}`, signal) : Promise.resolve(null), [entry.operation, Boolean(known)]);
    const now = known ?? operation.data;
    return html`<section class="panel" aria-labelledby="record-title" data-testid="audit-detail">
        <h2 id="record-title">${entry.who} · ${entry.kind} · ${entry.result}</h2>
        <dl class="facts-list"><div><dt>At</dt><dd>${entry.at}</dd></div><div><dt>From</dt><dd>${entry.from ?? "tallyd itself"}</dd></div>
            <div><dt>About</dt><dd><${Target} store=${store} address=${address} entry=${entry} /> <span class="pid">${entry.target ?? ""}</span></dd></div>
            <div><dt>Asked</dt><dd><code>${entry.detail ?? "–"}</code></dd></div>
            ${entry.code ? html`<div><dt>Code</dt><dd>${entry.code}</dd></div>` : null}
            ${entry.operation ? html`<div><dt>Operation</dt><dd data-testid="audit-operation">${entry.operation}: ${now ? format.operationText(now)
                : operation.problem ? "tallyd does not keep it any more" : "…"}</dd></div>` : null}
            ${entry.left_out ? html`<div><dt>Left out</dt><dd>${format.plural(entry.left_out, "refusal")} right before it, of which there were too many for records of their own</dd></div>` : null}</dl>
        <p class="buttons"><button type="button" data-testid="audit-close" onClick=${() => change({ record: null })}>Close</button>
            ${entry.target ? html`<button type="button" onClick=${() => change({ target: isProcess(entry.target) ? /** @type {string} */ (entry.target).slice(0, 32) : entry.target, cursor: null, record: null }, { step: true })}>All about it</button>` : null}
            ${entry.who ? html`<button type="button" onClick=${() => change({ who: entry.who, cursor: null, record: null }, { step: true })}>All by ${entry.who}</button>` : null}</p></section>`;
}

/** @param {import("../views.js").Given} given */
function Body({ store, address }) {
    const query = new URLSearchParams([...FILTERS.map((name) => [name, address.get(name)]), ["from", address.get("range")], ["cursor", address.get("cursor")]].filter(([, value]) => value));
    const path = `/v1/audit?limit=${PAGE}&${query}`;
    const { data, problem, refresh } = useResource((signal) => api.get(path, signal), [path], { every: address.get("cursor") ? 0 : EVERY_MS });
    const columns = useMemo(() => columnsOf(store, address), [address, store.fleet]);
    /** @type {Entry[]} */
    const records = data?.records ?? [];
    const opened = records.find((entry) => keyOf(entry) === address.get("record"));
    const filtered = FILTERS.some((name) => address.get(name)) || address.get("range") !== "";
    return html`<${Filters} address=${address} store=${store} seen=${records} />
        ${problem ? html`<${Failed} problem=${problem} again=${refresh} />` : null}
        ${!data ? problem ? null : html`<${Loading} what="the audit" />` : html`
        ${opened ? html`<${Detail} key=${keyOf(opened)} store=${store} address=${address} entry=${opened} />` : null}
        <${Table} id="audit" caption="audit records, the newest first" rows=${records} columns=${columns} keyOf=${keyOf} address=${address}
            linkOf=${(/** @type {Entry} */ entry) => address.with({ record: keyOf(entry) })} attributesOf=${(/** @type {Entry} */ entry) => ({ "data-kind": entry.kind, "data-result": entry.result })}
            empty=${html`<${Empty} title=${filtered ? "No record fits" : "Nothing has been asked yet"} testid="audit-none"><p>${filtered
                ? "Take a filter away, or a longer time." : "Whoever collects, configures, logs in or is refused leaves a record here."}</p><//>`} />
        <p class="buttons">${address.get("cursor") ? html`<button type="button" data-testid="audit-newest" onClick=${() => change({ cursor: null, record: null }, { step: true })}>Newest</button>` : null}
            ${data.next_cursor ? html`<button type="button" data-testid="audit-older" onClick=${() => change({ cursor: data.next_cursor, record: null }, { step: true })}>Older</button>` : null}</p>`}`;
}

/** @type {import("../views.js").View} */
export default { title: "Audit", needsProcess: false, topics: () => [], Body };
