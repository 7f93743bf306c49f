/* Two states type by type: baselines, snapshots, or a process as it is now. What is new comes first. */

import { html, useMemo } from "../vendor/htm-preact.js";
import { change } from "../address.js";
import * as api from "../api.js";
import { MakeBaseline, baselineText } from "../baselines.js";
import { Facts, growth, signed } from "../drawings.js";
import * as format from "../format.js";
import { all } from "../paging.js";
import { useResource } from "../resource.js";
import { Empty, Failed, Loading } from "../states.js";
import { Table } from "../table.js";

/** @typedef {import("../baselines.js").Baseline & {name: string}} Baseline */
/** @typedef {import("../findings").Artifact} Artifact */
/** @typedef {{objects: number, bytes: number}} Amount */
/** @typedef {"new"|"grown"|"shrunk"|"gone"|"same"} State */
/** @typedef {{type: string, state: State, a: Amount, b: Amount, delta_objects: number, delta_bytes: number}} Row */
/** @typedef {{id?: string, name?: string, as_of?: string, taken_at?: string, baseline?: string, artifact?: string, state?: string}} Side */
/** @typedef {{a: Side, b: Side, rows: Row[]}} Comparison */
/** @typedef {import("../rows.js").Column<Row>} Column */
/** @typedef {{value: string, label: string, process: string}} Choice */

/** In the order in which they matter. */
const STATES = /** @type {const} */ (["new", "grown", "shrunk", "gone", "same"]);
const MARKS = { new: "+", grown: "▲", shrunk: "▼", gone: "✕", same: "=" };
const CHOICES_EVERY_MS = 10_000;
const NOW = "now:";

/** @param {import("../address.js").Address} address @returns {Column[]} */
const columnsOf = (address) => [
    { id: "state", label: "State", help: "New, grown, shrunk, gone or the same", width: 6, value: (row) => STATES.indexOf(row.state), first: "+",
        show: (row) => html`<span class="state-word ${row.state}"><span aria-hidden="true">${MARKS[row.state]}</span> ${row.state}</span>` },
    { id: "type", label: "Type", width: 10.5, value: (row) => row.type, show: (row) => html`<a href=${linkOf(address, row)} tabindex="-1" title=${row.type}>${row.type}</a>` },
    { id: "delta_bytes", label: "Δ bytes", number: true, width: 7.2, value: (row) => row.delta_bytes, show: (row) => html`<strong class=${growth(row.delta_bytes)}>${signed(row.delta_bytes, format.bytes)}</strong>` },
    { id: "delta_objects", label: "Δ objects", number: true, width: 7, value: (row) => row.delta_objects, show: (row) => html`<span class=${growth(row.delta_objects)}>${signed(row.delta_objects, format.count)}</span>` },
    { id: "a_bytes", label: "Bytes then", number: true, width: 7.6, value: (row) => row.a.bytes, show: (row) => format.bytes(row.a.bytes) },
    { id: "b_bytes", label: "Bytes after", number: true, width: 7.6, value: (row) => row.b.bytes, show: (row) => format.bytes(row.b.bytes) },
    { id: "a_objects", label: "Objects then", number: true, width: 7.6, value: (row) => row.a.objects, show: (row) => format.count(row.a.objects) },
    { id: "b_objects", label: "Objects after", number: true, width: 7.6, value: (row) => row.b.objects, show: (row) => format.count(row.b.objects) },
];

/** Where a type's objects are: in the later snapshot, else among the process's types. @param {import("../address.js").Address} address @param {Row} row */
function linkOf(address, row) {
    const b = address.get("b");
    return b && !b.startsWith(NOW) && !isBaseline(b) ? address.to("snapshots", { artifact: b, tab: "objects", type: row.type }) : address.to("types", { type: row.type });
}

/** A baseline's id has a hyphen, an artifact's has none. @param {string} id */
const isBaseline = (id) => id.includes("-");

/** What there is to compare, of this process first. @param {import("../store.js").Store} store @param {string} process */
function useChoices(store, process) {
    const lists = useResource(async (signal) => {
        const none = (/** @type {api.Problem} */ problem) => { /* what this tallyd does not have; when it is away, what was known stays */
            if (!problem.status) {
                throw problem;
            }
            return null;
        };
        const [baselines, artifacts] = await Promise.all([api.get("/v1/baselines", signal).catch(none), api.get("/v1/artifacts?limit=200", signal).catch(none)]);
        return { baselines: /** @type {Baseline[]} */ (baselines?.baselines ?? []), artifacts: /** @type {Artifact[]} */ (artifacts?.artifacts ?? []).filter(({ state }) => state === "ready") };
    }, [process], { every: CHOICES_EVERY_MS });
    /** @type {Choice[]} */
    const choices = [
        ...(store.fleet?.processes ?? []).map(({ id, name, state }) => ({ value: `${NOW}${id}`, process: id, label: `${name} ${state === "gone" ? "at its end" : "now"}` })),
        ...(lists.data?.baselines ?? []).map((one) => ({ value: one.id, process: one.process ?? "", label: `baseline of ${one.name}, ${baselineText(one)}` })),
        ...(lists.data?.artifacts ?? []).map((one) => ({ value: one.id, process: one.process, label: `snapshot of ${one.name}, heap ${one.heap}, ${format.moment(one.taken_at)}: ${format.bytes(one.bytes)}` })),
    ];
    return { choices, lists };
}

/** @param {{name: "a"|"b", label: string, value: string, choices: Choice[], process: string}} props */
function Choose({ name, label, value, choices, process }) {
    const mine = choices.filter((one) => one.process === process);
    const others = choices.filter((one) => one.process !== process);
    const options = (/** @type {Choice[]} */ list) => list.map((one) => html`<option key=${one.value} value=${one.value} selected=${one.value === value}>${one.label}</option>`);
    return html`<label class="side-choice"><span>${label}</span> <select data-testid="compare-${name}" onChange=${(/** @type {any} */ event) => change({ [name]: event.target.value }, { step: true })}>
        <option value="" disabled selected=${!value}>choose</option>
        <optgroup label="This process">${options(mine)}</optgroup>
        ${others.length ? html`<optgroup label="Other processes">${options(others)}</optgroup>` : null}
        ${value && !choices.some((one) => one.value === value) ? html`<option value=${value} selected>no more there: ${value}</option>` : null}</select></label>`;
}

/** @param {readonly Row[]} rows @param {(row: Row) => number} value */
const sum = (rows, value) => rows.reduce((total, row) => total + value(row), 0);

/** @param {{rows: readonly Row[], states: ReadonlySet<string>}} props */
function States({ rows, states }) {
    const toggle = (/** @type {string} */ state) => {
        const next = new Set(states);
        next.has(state) ? next.delete(state) : next.add(state);
        change({ state: [...next].join(",") || "none" });
    };
    return html`<span class="toggles" role="group" aria-label="Which types to show">${STATES.map((state) => html`<button type="button" class="small state-word ${state}" key=${state} data-testid="state-${state}"
        aria-pressed=${String(states.has(state))} onClick=${() => toggle(state)}><span aria-hidden="true">${MARKS[state]}</span> ${rows.filter((row) => row.state === state).length} ${state}</button>`)}</span>`;
}

/** @param {{data: Comparison}} props */
function Summary({ data }) {
    const { rows, a, b } = data;
    const bytes = sum(rows, (row) => row.delta_bytes);
    const objects = sum(rows, (row) => row.delta_objects);
    const when = (/** @type {Side} */ side) => format.moment(side.taken_at ?? side.as_of ?? "");
    const biggest = rows.filter(({ delta_bytes }) => delta_bytes > 0).sort((one, other) => other.delta_bytes - one.delta_bytes)[0];
    return html`<${Facts} testid="compare-summary" facts=${[
        ["from", html`${a.name ?? ""} <small>${when(a)}</small>`],
        ["to", html`${b.name ?? ""} <small>${when(b)}</small>`],
        ["live bytes", html`<strong class=${growth(bytes)}>${signed(bytes, format.bytes)}</strong> <small>${format.bytes(sum(rows, (row) => row.a.bytes))} → ${format.bytes(sum(rows, (row) => row.b.bytes))}</small>`],
        ["objects", html`<strong class=${growth(objects)}>${signed(objects, format.count)}</strong>`],
        biggest && ["grew most", html`${biggest.type} <small>${signed(biggest.delta_bytes, format.bytes)}</small>`],
    ]} />`;
}

/** @param {import("../views.js").Given} given */
function Body({ store, address }) {
    const process = address.process;
    const { choices, lists } = useChoices(store, process);
    const newest = choices.find((one) => one.process === process && !one.value.startsWith(NOW))?.value ?? "";
    const a = address.get("a", newest);
    const b = address.get("b", process ? `${NOW}${process}` : "");
    const answer = useResource(async (signal) => {
        if (!a || !b) {
            return null;
        }
        const { rows, first } = await all("/v1/compare", { a, b }, "types", signal);
        return /** @type {Comparison} */ ({ a: first.a, b: first.b, rows });
    }, [a, b], { every: a.startsWith(NOW) || b.startsWith(NOW) ? 5000 : 0 });
    const asked = address.get("state");
    const states = useMemo(() => new Set(asked ? asked.split(",") : STATES.filter((state) => state !== "same")), [asked]);
    const rows = useMemo(() => answer.data?.rows.filter(({ state }) => states.has(state)) ?? [], [answer.data, states]);
    const columns = useMemo(() => columnsOf(address), [String(address)]);
    const swap = () => change({ a: b, b: a }, { step: true });
    return html`<div class="view-tools"><${Choose} name="a" label="From" value=${a} choices=${choices} process=${process} />
            <button type="button" class="small" data-testid="compare-swap" disabled=${!a || !b} onClick=${swap} title="Exchange both sides">⇄<span class="unseen"> Exchange both sides</span></button>
            <${Choose} name="b" label="to" value=${b} choices=${choices} process=${process} />
            ${process ? html`<${MakeBaseline} store=${store} id=${process} made=${(/** @type {string} */ id) => { lists.refresh(); id && change({ a: id }); }} />` : null}</div>
        ${answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : null}
        ${!a || !b ? lists.loading && !lists.data ? html`<${Loading} what="what there is to compare" />` : html`<${Empty} title="Two states to compare are needed" testid="compare-empty">
                <p>Set a baseline now, let the program run, and come back: this view then tells what has grown since, type by type.</p>
                <p>Baselines cost the program nothing. Snapshots and other processes can be chosen as well.</p><//>`
            : !answer.data ? answer.problem ? null : html`<${Loading} what="both" />` : html`<${Summary} data=${answer.data} />
                <${Table} id="compared" caption="types compared" rows=${rows} total=${answer.data.rows.length} columns=${columns} keyOf=${(/** @type {Row} */ row) => row.type} address=${address}
                    textOf=${(/** @type {Row} */ row) => row.type} linkOf=${process ? (/** @type {Row} */ row) => linkOf(address, row) : undefined} order=""
                    attributesOf=${(/** @type {Row} */ row) => ({ "data-type": row.type, "data-state": row.state })}
                    tools=${html`<${States} rows=${answer.data.rows} states=${states} />`}
                    empty=${html`<${States} rows=${answer.data.rows} states=${states} /><${Empty} title="No difference" testid="compare-same"><p>${answer.data.rows.length ? "No type is in the states that are chosen above." : "Neither side has any types."}</p><//>`} />`}`;
}

/** @type {import("../views.js").View} */
export default { title: "Compare", needsProcess: false, topics: () => [], Body };
