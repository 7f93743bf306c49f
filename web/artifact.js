/* A snapshot: what it is of, what fills it, who holds the most, and its objects. Everything is read from tallyd a page at a
 * time; of ten million objects the page sees a hundred. */

import { html, useMemo, useState } from "./vendor/htm-preact.js";
import { change, go } from "./address.js";
import { announce } from "./announce.js";
import * as api from "./api.js";
import { ask as askFirst } from "./confirm.js";
import { fetchFile } from "./download.js";
import { Facts, share } from "./drawings.js";
import * as format from "./format.js";
import { ObjectPage, objectColumns, objectName } from "./object.js";
import { Held } from "./held.js";
import { Pages, all, cursorOf } from "./paging.js";
import { useResource } from "./resource.js";
import { Empty, Failed, Loading, refusal } from "./states.js";
import { Table } from "./table.js";
import { Tree } from "./tree.js";

/** @typedef {import("./findings").Artifact} Artifact */
/** @typedef {import("./findings").ArtifactType} ArtifactType */
/** @typedef {import("./findings").SnapshotObject} SnapshotObject */
/** @typedef {import("./address.js").Address} Address */
/** @typedef {import("./store.js").Store} Store */

const EVERY_MS = 700;
/** Somebody else may delete it. */
const READY_EVERY_MS = 3000;
const OBJECTS_A_PAGE = "100";
const CHILDREN_A_PAGE = "50";
const HOLDERS = "5";
/** As tallyd orders them, the greatest first. */
const ORDERS = /** @type {const} */ ([["retained_bytes", "retained"], ["bytes", "bytes"], ["references", "references"], ["external", "unexplained references"]]);
/** One that holds so much says nothing: what is below it does. */
const NEARLY_ALL = 0.9;
const DEEPEST = 6;
const TABS = /** @type {const} */ ([["types", "Types"], ["objects", "Objects"], ["tree", "Dominators"]]);
const FORMATS = /** @type {const} */ ([
    ["heapsnapshot", ".heapsnapshot", "Chromium's DevTools open it: Memory, then the arrow “Load profile”."],
    ["pprof", "pprof", "go tool pprof, or any reader of pprof: live objects and bytes by type."],
    ["ndjson", "NDJSON", "An object a line, for jq and the like."],
]);

export const pathOf = (/** @type {string} */ id) => `/v1/artifacts/${encodeURIComponent(id)}`;

/** Where it is on its way. @param {{artifact: Artifact}} props */
export function Progress({ artifact }) {
    const { state, progress, eta_ms, problem } = artifact;
    if (state === "ready") {
        return html`<span class="state-good">ready${artifact.instant ? "" : html` <span class="badge" title="It was taken in slices, between which the program went on: objects that came or went meanwhile may be missing">not of one instant</span>`}</span>`;
    }
    if (state === "failed") {
        return html`<span class="state-bad" title=${problem}>failed: ${problem ?? "no reason given"}</span>`;
    }
    const percent = Math.round(progress * 100);
    return html`<span class="going"><progress max="100" value=${percent} aria-label="${state}, ${percent} %"></progress> ${state} ${percent} %${eta_ms ? `, ${format.duration(eta_ms * 1e6)} left` : ""}</span>`;
}

/** @param {{store: Store, artifact: Artifact, done: () => void, large?: boolean}} props */
export function DeleteButton({ store, artifact, done, large = false }) {
    const why = refusal(store, "control");
    const [problem, setProblem] = useState("");
    const remove = async () => {
        const yes = await askFirst({ title: "Delete this snapshot?", action: "Delete", danger: true,
            text: html`<p>${artifact.name}, heap ${artifact.heap}, of ${format.moment(artifact.taken_at)}: ${format.plural(artifact.objects, "object")}, ${format.bytes(artifact.size_bytes)} on disk. It cannot be brought back.</p>` });
        if (yes) {
            await api.ask("DELETE", pathOf(artifact.id)).then(() => setProblem(""), (error) => setProblem(error.message));
            done();
        }
    };
    return html`<button type="button" class=${large ? "danger" : "small"} data-testid="delete-artifact" disabled=${Boolean(why)} title=${problem || why || null} onClick=${remove}>${large ? "Delete" : html`<span aria-hidden="true">✕</span><span class="unseen">Delete</span>`}<span class="unseen"> the snapshot of ${format.moment(artifact.taken_at)}</span></button>
        ${problem && large ? html`<span class="state-bad" role="alert">${problem}</span>` : null}`;
}

/** As files, which the browser itself saves: they may be larger than a page can hold. @param {{store: Store, artifact: Artifact}} props */
function Downloads({ store, artifact }) {
    const [busy, setBusy] = useState("");
    const [problem, setProblem] = useState("");
    const why = refusal(store, "control");
    const save = async (/** @type {string} */ kind, /** @type {string} */ words) => {
        setBusy(kind);
        setProblem("");
        try {
            fetchFile((await api.ask("POST", `${pathOf(artifact.id)}/ticket`, { format: kind })).url);
            announce(`The browser saves the snapshot as ${words}`);
        } catch (error) {
            setProblem(/** @type {Error} */ (error).message);
        }
        setBusy("");
    };
    return html`<details class="downloads" data-testid="downloads"><summary>Download</summary><ul>${FORMATS.map(([kind, name, words]) => html`<li key=${kind}>
            <button type="button" data-testid="download-${kind}" disabled=${Boolean(why) || busy !== ""} title=${why || null} onClick=${() => save(kind, name)}>${busy === kind ? "Asking…" : name}</button> <span class="remark">${words}</span></li>`)}</ul>
        ${problem ? html`<p class="state-bad" role="alert">${problem}</p>` : null}</details>`;
}

/** @param {{address: Address, artifact: Artifact, tab: string}} props */
const Tabs = ({ address, artifact, tab }) => html`<nav class="tabs" aria-label="Parts of the snapshot">${TABS.map(([id, label]) => html`<a key=${id} href=${address.to("snapshots", { artifact: artifact.id, tab: id === "types" ? null : id })}
    aria-current=${tab === id ? "page" : null} data-testid="tab-${id}">${label}</a>`)}</nav>`;

/** Goes down while one object holds nearly all, as far as that says something new: a long list is the same all along.
 * @param {Artifact} artifact @param {AbortSignal} signal @returns {Promise<{above: SnapshotObject[], objects: SnapshotObject[], row: boolean}>} */
async function heaviest(artifact, signal) {
    const above = [];
    for (let under = "";;) {
        const objects = /** @type {SnapshotObject[]} */ ((await api.get(`${pathOf(artifact.id)}/dominators?limit=${HOLDERS}${under}`, signal)).dominators);
        const [first] = objects;
        if (!first || above.length === DEEPEST || first.retained_bytes < artifact.bytes * NEARLY_ALL || !first.dominated) {
            return { above, objects, row: false };
        }
        const last = above[above.length - 1];
        if (last && last.type === first.type && !last.label && !first.label) {
            return { above, objects, row: true };
        }
        above.push(first);
        under = `&object=${first.object}`;
    }
}

/** The few objects that hold the most. @param {{address: Address, artifact: Artifact}} props */
function Holders({ address, artifact }) {
    const answer = useResource((signal) => heaviest(artifact, signal), [artifact.id]);
    const { above = [], objects = [], row = false } = answer.data ?? {};
    if (answer.problem && !answer.data) {
        return html`<${Failed} problem=${answer.problem} again=${answer.refresh} testid="holders-failed" />`;
    }
    if (!objects.length) {
        return null;
    }
    const linkOf = (/** @type {SnapshotObject} */ one) => address.with({ tab: "objects", object: one.object, type: null });
    const part = (/** @type {SnapshotObject} */ one) => share(one.retained_bytes / Math.max(1, artifact.bytes) * 100);
    return html`<section class="panel holders" aria-labelledby="holders-title" data-testid="holders"><h3 id="holders-title">What holds the most</h3>
        ${above.length ? html`<p class="said"><strong>${part(above[0])} of this heap</strong> hangs on ${above.map((one, index) => html`${index ? ", and in it on " : ""}<a href=${linkOf(one)}>${objectName(one)}</a>`)}${row ? html`, the first of a chain in which each ${above[above.length - 1].type} holds the next` : ""}.</p>` : null}
        ${row ? null : html`${above.length ? html`<p class="remark">In that:</p>` : null}<ol>${objects.map((one) => html`<li key=${one.object}><a href=${linkOf(one)}>${objectName(one)}</a>
            <span class="rank" aria-hidden="true"><i style=${{ width: `${one.retained_bytes / Math.max(1, artifact.bytes) * 100}%` }}></i></span>
            <span class="number">${format.bytes(one.retained_bytes)} <small>${part(one)}</small></span></li>`)}</ol>`}
        <p class="remark">Counted is what would go with an object: its own bytes, and those of all that can be reached through it alone (its <em>retained</em> size).</p></section>`;
}

/** @param {Address} address @returns {import("./rows.js").Column<ArtifactType>[]} */
const typeColumns = (address) => [
    { id: "type", label: "Type", width: 14, stick: true, value: (row) => row.type, show: (row) => html`<a href=${address.to("snapshots", { artifact: address.get("artifact"), tab: "objects", type: row.type })} tabindex="-1" title=${row.type}>${row.type}</a>` },
    { id: "objects", label: "Objects", number: true, value: (row) => row.objects, show: (row) => format.exact(row.objects) },
    { id: "bytes", label: "Own bytes", number: true, help: "Of the objects alone, with native memory that they own", value: (row) => row.bytes + row.native_bytes, show: (row) => format.bytes(row.bytes + row.native_bytes) },
    { id: "retained_bytes", label: "Retained", number: true, help: "What would go if all objects of the type went", value: (row) => row.retained_bytes, show: (row) => html`<strong>${format.bytes(row.retained_bytes)}</strong>` },
    { id: "roots", label: "Roots", number: true, help: "Objects of it that are held from outside of the heap", value: (row) => row.roots, show: (row) => format.exact(row.roots) },
    { id: "external", label: "Unexplained", number: true, help: "References that no object, root, pin or handle accounts for", value: (row) => row.external, show: (row) => html`<span class=${row.external ? "grew" : ""}>${format.exact(row.external)}</span>` },
    { id: "garbage", label: "Garbage", number: true, help: "Bytes of objects that cannot be reached: cycles that wait for a collection", value: (row) => row.garbage_bytes, show: (row) => format.bytes(row.garbage_bytes) },
];

/** @param {{address: Address, artifact: Artifact}} props */
function Types({ address, artifact }) {
    const answer = useResource(async (signal) => (await all(`${pathOf(artifact.id)}/types`, {}, "types", signal)).rows, [artifact.id]);
    const columns = useMemo(() => typeColumns(address), [String(address)]);
    if (!answer.data) {
        return answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : html`<${Loading} what="its types" />`;
    }
    return html`<${Holders} address=${address} artifact=${artifact} />
        <${Table} id="artifact-types" caption="types of the snapshot" rows=${answer.data} columns=${columns} keyOf=${(/** @type {ArtifactType} */ row) => String(row.type_row)} address=${address} order="-retained_bytes"
            textOf=${(/** @type {ArtifactType} */ row) => row.type ?? ""} linkOf=${(/** @type {ArtifactType} */ row) => address.to("snapshots", { artifact: address.get("artifact"), tab: "objects", type: row.type })}
            attributesOf=${(/** @type {ArtifactType} */ row) => ({ "data-type": row.type })} empty=${html`<${Empty} title="The heap was empty" />`} />`;
}

/** @param {{address: Address, artifact: Artifact}} props */
function Objects({ address, artifact }) {
    const type = address.get("type");
    const asked = address.get("sort");
    const sort = ORDERS.some(([order]) => order === asked) ? asked : ORDERS[0][0];
    const roots = address.get("roots") !== "";
    const cursor = cursorOf(address, "page", sort);
    const answer = useResource((signal) => api.get(`${pathOf(artifact.id)}/objects?${new URLSearchParams({ sort, limit: OBJECTS_A_PAGE, ...type ? { type } : {}, ...roots ? { roots: "true" } : {}, ...cursor ? { cursor } : {} })}`, signal), [artifact.id, type, roots, sort, cursor]);
    const rows = /** @type {SnapshotObject[]|null} */ (answer.data?.objects ?? null);
    const columns = useMemo(() => objectColumns(address), [String(address)]);
    return html`<div class="list-head"><h3>${type ? html`Objects of type <code>${type}</code>` : "All objects"}</h3>${type ? html`<a href=${address.with({ type: null, page: null })} data-testid="any-type">of any type</a>` : null}</div>
        ${answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : null}
        ${!rows ? answer.problem ? null : html`<${Loading} what="its objects" />` : html`${type && rows.length ? html`<${Held} address=${address} artifact=${artifact} type=${type} rows=${rows} />` : null}
        <${Table} id="objects" caption=${type ? `objects of type ${type}` : "objects"} rows=${rows} columns=${columns} keyOf=${(/** @type {SnapshotObject} */ one) => String(one.object)} address=${address} order=""
            tools=${html`<label>the most <select data-testid="objects-sort" onChange=${(/** @type {any} */ event) => change({ sort: event.target.value === ORDERS[0][0] ? null : event.target.value, page: null })}>
                    ${ORDERS.map(([order, words]) => html`<option key=${order} value=${order} selected=${order === sort}>${words}</option>`)}</select></label>
                <label><input type="checkbox" data-testid="roots-only" checked=${roots} onChange=${() => change({ roots: roots ? null : 1, page: null })} /> only those held from outside</label>`}
            linkOf=${(/** @type {SnapshotObject} */ one) => address.with({ object: one.object })} attributesOf=${(/** @type {SnapshotObject} */ one) => ({ "data-object": String(one.object) })}
            empty=${html`<${Empty} title="No such objects" testid="objects-empty"><p>This snapshot has no object${type ? ` of type ${type}` : ""}.</p><//>`} />
        <${Pages} address=${address} name="page" of="${artifact.id} ${type} ${roots} ${sort}" order=${sort} next=${answer.data.next_cursor} what="objects" shown=${rows.length} />`}`;
}

/** @param {{address: Address, artifact: Artifact}} props */
function Dominators({ address, artifact }) {
    const opened = address.get("open");
    const open = useMemo(() => new Set(opened.split(".").filter(Boolean)), [opened]);
    const load = async (/** @type {string} */ object, /** @type {string} */ cursor, /** @type {AbortSignal} */ signal) => {
        const page = await api.get(`${pathOf(artifact.id)}/dominators?${new URLSearchParams({ limit: CHILDREN_A_PAGE, ...object ? { object } : {}, ...cursor ? { cursor } : {} })}`, signal);
        return { items: /** @type {SnapshotObject[]} */ (page.dominators), next: page.next_cursor };
    };
    const part = (/** @type {SnapshotObject} */ one) => one.retained_bytes / Math.max(1, artifact.bytes) * 100;
    return html`<p class="about">Each object stands under the one that alone leads to it: take that one away, and all below it goes. The largest come first.</p>
        <div class="panel tree-panel"><div class="tree-heads" aria-hidden="true"><span>Object</span><span class="number">Retained</span><span class="number">Own</span></div>
        <${Tree} label="Dominator tree" testid="dominators" load=${load} keyOf=${(/** @type {SnapshotObject} */ one) => String(one.object)} opens=${(/** @type {SnapshotObject} */ one) => one.dominated > 0}
            nameOf=${(/** @type {SnapshotObject} */ one) => one.type ?? ""} linkOf=${(/** @type {SnapshotObject} */ one) => address.to("snapshots", { artifact: artifact.id, tab: "objects", object: one.object })} go=${go}
            open=${open} setOpen=${(/** @type {Set<string>} */ next) => change({ open: [...next].join(".") })}
            show=${(/** @type {SnapshotObject} */ one) => html`<span class="tree-name">${objectName(one)}</span>
                <span class="rank" aria-hidden="true"><i style=${{ width: `${part(one)}%` }}></i></span>
                <span class="number"><span class="unseen">, retains </span>${format.bytes(one.retained_bytes)} <small>${share(part(one))}</small></span><span class="number own"><span class="unseen">, own </span>${format.bytes(one.bytes)}</span>`} /></div>`;
}

/** @param {{artifact: Artifact}} props */
function Summary({ artifact }) {
    const { summary } = artifact;
    return html`<${Facts} testid="artifact-facts" facts=${[
        ["objects", format.exact(artifact.objects)],
        ["references", format.exact(artifact.edges)],
        ["bytes", format.bytes(artifact.bytes)],
        ["taken", html`${format.moment(artifact.taken_at)} <small>${artifact.mode === "slices" ? "in slices" : "by a copied process"}</small>`],
        artifact.pause_ns !== null && ["pause", format.duration(artifact.pause_ns)],
        summary && ["held from outside", html`${format.exact(summary.roots)} <small>${summary.external_references ? `${format.plural(summary.external_references, "unexplained reference")}` : "all declared"}</small>`],
        summary && ["garbage", html`${format.bytes(summary.garbage_bytes)} <small>${format.plural(summary.garbage_objects, "object")}</small>`],
        summary && !artifact.instant && ["gone meanwhile", html`${format.plural(summary.gone_edges, "reference")}`],
        ["on disk", format.bytes(artifact.size_bytes)],
        ["state", html`<${Progress} artifact=${artifact} />`],
    ]} />`;
}

/** @param {{store: Store, address: Address, id: string}} props */
export function ArtifactPage({ store, address, id }) {
    const answer = useResource((signal) => /** @type {Promise<Artifact>} */ (api.get(pathOf(id), signal)), [id], { every: ({ state }) => state === "ready" || state === "failed" ? READY_EVERY_MS : EVERY_MS });
    const [kept, keep] = useState(/** @type {Artifact|null} */ (null));
    const artifact = answer.data ?? kept;
    if (answer.data && answer.data !== kept) {
        keep(answer.data);
    }
    const back = address.to("snapshots");
    if (/** @type {api.Problem|null} */ (answer.problem)?.code === "no_such_artifact") {
        return html`<${Empty} title="This snapshot is no more" testid="artifact-gone"><p>It was deleted, or newer ones needed its place.</p><p><a href=${back}>${address.process ? "To the snapshots of this process, and to take another" : "To all snapshots"}</a></p><//>`;
    }
    if (!artifact) {
        return answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} /><p><a href=${back}>All snapshots</a></p>` : html`<${Loading} what="the snapshot" />`;
    }
    const object = address.get("object");
    const tab = object ? "objects" : address.get("tab", "types");
    return html`<div class="crumbs"><a href=${back} data-testid="to-list">Snapshots</a> <span aria-hidden="true">/</span>
            ${object ? html`<a href=${address.with({ object: null, out: null, in: null })} data-testid="to-artifact">${artifact.name}, heap ${artifact.heap}</a> <span aria-hidden="true">/</span> <span>#${object}</span>` : html`<span>${artifact.name}, heap ${artifact.heap}</span>`}</div>
        ${object ? null : html`<section class="panel artifact-head" data-testid="artifact" data-state=${artifact.state}><div class="part-head"><h2>${artifact.name}, heap ${artifact.heap}</h2>
                <span class="end">${artifact.state === "ready" ? html`<${Downloads} store=${store} artifact=${artifact} />` : null}</span>
                <${DeleteButton} store=${store} artifact=${artifact} large=${true} done=${() => go(back)} /></div>
            <${Summary} artifact=${artifact} /></section>`}
        ${artifact.state === "failed" ? html`<div class="notice bad" role="alert"><p>The snapshot failed: ${artifact.problem}. Take another one.</p></div>`
            : artifact.state !== "ready" ? html`<p class="state" role="status">It can be looked into as soon as it is analysed${artifact.eta_ms ? `, in about ${format.duration(artifact.eta_ms * 1e6)}` : ""}.</p>`
                : object ? html`<${ObjectPage} key=${object} address=${address} artifact=${artifact} object=${object} />`
                    : html`<${Tabs} address=${address} artifact=${artifact} tab=${tab} />
                        ${tab === "objects" ? html`<${Objects} address=${address} artifact=${artifact} />` : tab === "tree" ? html`<${Dominators} address=${address} artifact=${artifact} />` : html`<${Types} address=${address} artifact=${artifact} />`}`}`;
}
