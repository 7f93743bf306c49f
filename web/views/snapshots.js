/* Snapshots of heaps: take one, knowing first what it costs; see what has become of each; and look into them. */

import { html, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { announce } from "../announce.js";
import { change } from "../address.js";
import * as api from "../api.js";
import { ArtifactPage, DeleteButton, Progress } from "../artifact.js";
import { ask as askFirst } from "../confirm.js";
import * as format from "../format.js";
import { AnswerLine, useAnswer } from "../operation.js";
import { useResource } from "../resource.js";
import { Empty, Failed, Loading, refusal } from "../states.js";
import { Table } from "../table.js";

/** @typedef {import("../findings").Artifact} Artifact */
/** @typedef {import("../findings").Forecast} Forecast */
/** @typedef {import("../findings").SnapshotForecast} SnapshotForecast */
/** @typedef {import("../address.js").Address} Address */
/** @typedef {import("../rows.js").Column<Artifact>} Column */

const COMING_EVERY_MS = 1000;
/** Others take and delete some, too. */
const LIST_EVERY_MS = 3000;
const FORECAST_EVERY_MS = 3000;
const MODES = /** @type {const} */ ([["auto", "automatic"], ["clone", "at one instant, by a copied process"], ["slices", "in slices, while it runs"]]);
/** @type {Record<string, string>} */
const WAYS = { clone: "then a copy of the process is read while the program goes on", slices: "at its own safepoints: what changes meanwhile may be missing" };

/** @type {Record<string, string>} */
const REASONS = { process_gone: "The process has ended.", vetoed: "The program does not let its heap be looked at.",
    pause_too_long: "The pause of a copied process would exceed the program's max_pause." };

/** What a way would take: auto's own, or the one that is asked for. @param {SnapshotForecast|null} forecast @param {string} asked */
function costOf(forecast, asked) {
    if (!forecast) {
        return null;
    }
    const mode = asked === "clone" || asked === "slices" ? asked : forecast.mode;
    const pause_ns = asked === "clone" ? forecast.clone_pause_ns : forecast.pause_ns;
    const tooLong = mode === "clone" && forecast.max_pause_ns > 0 && pause_ns > forecast.max_pause_ns;
    return { ...forecast, mode, pause_ns, tooLong, impossible: !forecast.allowed && forecast.reason !== "pause_too_long" };
}

/** @param {ReturnType<typeof costOf>} cost */
const costWords = (cost) => !cost ? "What it would take cannot be told yet."
    : cost.impossible ? REASONS[cost.reason ?? ""] ?? cost.reason
        : `Pauses the program for about ${format.duration(cost.pause_ns)}${cost.mode === "slices" ? " at a time" : ""}; ${WAYS[cost.mode]}. Done in about ${format.duration(cost.duration_ns)}.`
            + `${cost.mode === "slices" && cost.reason === "pause_too_long" ? ` Copied, it would pause for ${format.duration(cost.clone_pause_ns)}, beyond its max_pause of ${format.duration(cost.max_pause_ns)}.` : ""}`
            + `${cost.measured ? "" : " A guess: none of this program has been measured yet."}`;

/** @param {ReturnType<typeof costOf>} cost */
const sizeWords = (cost) => cost && !cost.impossible ? `${format.plural(cost.objects, "object")}, a stream of about ${format.bytes(cost.bytes)}.` : "";

/** What one of this process would take, and the way to it. @param {{store: import("../store.js").Store, address: Address, taken: () => void}} props */
function Take({ store, address, taken }) {
    const id = address.process;
    const heap = address.get("heap");
    const mode = address.get("mode", "auto");
    const [answer, ask] = useAnswer(store);
    const forecast = useResource((signal) => /** @type {Promise<Forecast>} */ (api.get(`${api.one(id)}/forecast`, signal)), [id], { every: FORECAST_EVERY_MS });
    const gone = store.summary?.state === "gone";
    const why = gone ? "The process has ended" : refusal(store, "control");
    const heaps = forecast.data?.heaps ?? [];
    const cost = costOf((heap ? heaps.find(({ n }) => String(n) === heap)?.snapshot : forecast.data?.snapshot) ?? null, mode);
    const refused = cost !== null && cost.tooLong;
    const [newest, setNewest] = useState("");
    const type = address.get("type");
    const take = async () => {
        const yes = !refused || await askFirst({ title: "Take it all the same?", action: "Take it", danger: true,
            text: html`<p>The pause would exceed the program’s max_pause of ${format.duration(cost?.max_pause_ns)}.</p><p>${sizeWords(cost)}</p>`, cost: costWords(cost) });
        if (!yes) {
            return;
        }
        const operation = await ask("Snapshot", () => api.ask("POST", `${api.one(id)}${heap ? `/heaps/${encodeURIComponent(heap)}` : ""}/snapshot`, { mode, force: refused }));
        taken();
        const [first] = [operation?.result?.artifact, ...(operation?.heaps ?? []).map((/** @type {any} */ one) => one.artifact)].filter(Boolean);
        setNewest(operation?.state === "succeeded" && first ? first : "");
    };
    return html`<section class="panel take" aria-labelledby="take-title" data-testid="take"><h2 id="take-title">Take a snapshot</h2>
        ${type ? html`<p class="said" data-testid="take-why">A snapshot shows who holds the objects of type <strong>${type}</strong>.</p>` : null}
        <p class="cost-line" data-testid="take-cost">${gone ? "The process has ended: nothing can be asked of it any more." : html`${sizeWords(cost)} ${costWords(cost)}`}</p>
        ${refused && !gone ? html`<p class="notice warn" data-testid="take-refused"><span>That exceeds the program’s max_pause of ${format.duration(cost?.max_pause_ns)}: choose slices, or force it.</span></p>` : null}
        <div class="together take-controls">
            <button type="button" class=${refused ? "danger" : "primary"} data-testid="take-snapshot" disabled=${Boolean(why) || cost?.impossible} title=${why || null} onClick=${take}>${refused ? "Force a snapshot" : "Take a snapshot"}</button>
            ${heaps.length > 1 ? html`<label>heap <select data-testid="take-heap" onChange=${(/** @type {any} */ event) => change({ heap: event.target.value })}>
                <option value="" selected=${!heap}>all ${heaps.length}, one snapshot each</option>${heaps.map(({ n, snapshot }) => html`<option key=${n} value=${String(n)} selected=${String(n) === heap}>${n}${snapshot?.objects ? `: ${format.plural(snapshot.objects, "object")}` : ""}</option>`)}</select></label>` : null}
            <label>how <select data-testid="take-mode" onChange=${(/** @type {any} */ event) => change({ mode: event.target.value === "auto" ? null : event.target.value })}>
                ${MODES.map(([value, words]) => html`<option key=${value} value=${value} selected=${value === mode}>${words}</option>`)}</select></label>
            ${why && !gone ? html`<span class="remark" data-testid="take-off">${why}</span>` : null}
            <${AnswerLine} store=${store} answer=${answer} testid="take-answer" />
            ${newest ? html`<a class="button" data-testid="open-taken" href=${address.to("snapshots", { artifact: newest, ...type ? { tab: "objects", type } : {} })}>Look into it</a>` : null}</div></section>`;
}

/** Without the name where all are of one process. @param {Address} address @param {import("../store.js").Store} store @param {() => void} refresh @returns {Column[]} */
const columnsOf = (address, store, refresh) => (/** @type {Column[]} */ ([
    { id: "taken", label: "Taken", width: 9.5, stick: true, value: (one) => Date.parse(one.taken_at), show: (one) => html`<a href=${address.with({ artifact: one.id })} tabindex="-1">${format.moment(one.taken_at)}</a>` },
    { id: "name", label: "Process", width: 9, value: (one) => one.name, show: (one) => html`<span title=${one.process}>${one.name}</span>` },
    { id: "heap", label: "Heap", number: true, first: "+", width: 4.5, value: (one) => one.heap },
    { id: "state", label: "State", width: 16, value: (one) => one.state, show: (one) => html`<${Progress} artifact=${one} />` },
    { id: "objects", label: "Objects", number: true, value: (one) => one.objects, show: (one) => format.count(one.objects) },
    { id: "bytes", label: "Bytes", number: true, value: (one) => one.bytes, show: (one) => format.bytes(one.bytes) },
    { id: "pause_ns", label: "Pause", number: true, help: "How long the program stood still for it", value: (one) => one.pause_ns, show: (one) => format.duration(one.pause_ns) },
    { id: "mode", label: "How", help: "clone: at one instant, by a copied process; slices: while it ran", width: 6, value: (one) => one.mode },
    { id: "size", label: "File", number: true, value: (one) => one.size_bytes, show: (one) => format.bytes(one.size_bytes) },
    { id: "delete", label: "Delete", width: 5, unsorted: true, value: () => null, show: (one) => html`<${DeleteButton} store=${store} artifact=${one} done=${refresh} />` },
])).filter(({ id }) => id !== "name" || !address.process);

/** Says aloud when one is ready: people wait for it. @param {readonly Artifact[]|null} artifacts */
function useNews(artifacts) {
    const states = useRef(/** @type {Map<string, string>|null} */ (null));
    useEffect(() => {
        for (const one of artifacts ?? []) {
            const before = states.current?.get(one.id);
            if (before && before !== one.state && (one.state === "ready" || one.state === "failed")) {
                announce(one.state === "ready" ? `The snapshot of ${one.name}, heap ${one.heap}, is ready` : `A snapshot failed: ${one.problem}`);
            }
        }
        states.current = artifacts ? new Map(artifacts.map(({ id, state }) => [id, state])) : states.current;
    }, [artifacts]);
}

/** @param {import("../views.js").Given} given */
function List({ store, address }) {
    const id = address.process;
    const [kept, keep] = useState(/** @type {Artifact[]|null} */ (null));
    const answer = useResource(async (signal) => {
        const { artifacts } = await api.get(`/v1/artifacts?${new URLSearchParams({ limit: "1000", ...id ? { process: id } : {} })}`, signal);
        keep(artifacts);
        return /** @type {Artifact[]} */ (artifacts);
    }, [id], { every: (list) => list.some(({ state }) => state === "receiving" || state === "analysing") ? COMING_EVERY_MS : LIST_EVERY_MS });
    const artifacts = answer.data ?? kept;
    useNews(artifacts);
    const columns = useMemo(() => columnsOf(address, store, answer.refresh), [String(address), store]);
    return html`${id ? html`<${Take} store=${store} address=${address} taken=${answer.refresh} />` : null}
        ${answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : null}
        ${!artifacts ? answer.problem ? null : html`<${Loading} what="the snapshots" />` : html`<div class="list-head"><h2>${id ? "Snapshots of this process" : "All snapshots"}</h2>
                ${id ? html`<a href=${address.to("snapshots", { process: null })} data-testid="all-snapshots">those of all processes</a>` : html`<a href=${address.to("fleet", { process: null })}>choose a process to take one</a>`}</div>
            <${Table} id="artifacts" caption="snapshots" rows=${artifacts} columns=${columns} keyOf=${(/** @type {Artifact} */ one) => one.id} address=${address} order="-taken"
                textOf=${(/** @type {Artifact} */ one) => `${one.name} ${one.state} ${one.mode} heap:${one.heap}`} linkOf=${(/** @type {Artifact} */ one) => address.with({ artifact: one.id })}
                attributesOf=${(/** @type {Artifact} */ one) => ({ "data-artifact": one.id, "data-state": one.state })}
                empty=${html`<${Empty} title="No snapshot has been taken" testid="artifacts-empty"><p>A snapshot has every object of a heap and who refers to whom. It answers what counters cannot: who holds this object, and what would go with it.</p><//>`} />`}`;
}

/** @param {import("../views.js").Given} given */
function Body({ store, address }) {
    const artifact = address.get("artifact");
    return artifact ? html`<${ArtifactPage} key=${artifact} store=${store} address=${address} id=${artifact} />` : html`<${List} key=${address.process} store=${store} address=${address} />`;
}

/** Snapshots outlive their processes: the view needs none. @type {import("../views.js").View} */
export default { title: "Snapshots", needsProcess: false, topics: (address) => address.process ? [`stats:${address.process}`] : [], Body };
