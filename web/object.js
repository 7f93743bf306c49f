/* One object of a snapshot: why it is alive, what it holds, who holds it. */

import { html, useMemo } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { Chain, Facts, share } from "./drawings.js";
import * as format from "./format.js";
import { nodesOfWay } from "./held.js";
import { Pages, cursorOf } from "./paging.js";
import { useResource } from "./resource.js";
import { Failed, Loading } from "./states.js";
import { Table } from "./table.js";
import { fieldOf } from "./way.js";

/** @typedef {import("./findings").Artifact} Artifact */
/** @typedef {import("./findings").SnapshotObject} SnapshotObject */
/** @typedef {import("./findings").Link} Link */
/** @typedef {import("./findings").WayFromRoot} WayFromRoot */
/** @typedef {import("./address.js").Address} Address */

const DOMINATORS_MOST = 24;
const EDGES_A_PAGE = "100";

/** @typedef {{type: string|null, object: number, label?: string|null}} Named */

/** @type {Record<string, string>} */
const ROOTS = { declared: "held by a root, a pin, a handle or the garbage list", external: "held by references that nothing explains", immortal: "immortal" };

/** @type {Record<string, string>} */
const HOLDERS = { declared: "a root", external: "outside", immortal: "immortal" };

/** @param {Named} one */
export const objectName = ({ type, object, label }) => html`<span class="object-name">${type ?? "gone"} <small class="number">#${object}</small>${label ? html` <q class="object-label">${label}</q>` : null}</span>`;

/** @param {Named} one */
const objectText = ({ type, object, label }) => `${type ?? "gone"} #${object}${label ? ` “${label}”` : ""}`;

/** Of a list that tallyd orders. @param {Address} address @returns {import("./rows.js").Column<SnapshotObject>[]} */
export const objectColumns = (address) => [
    { id: "object", label: "Object", width: 16.5, stick: true, unsorted: true, value: (one) => one.object, show: (one) => html`<a href=${address.with({ object: one.object, out: null, in: null })} tabindex="-1" title=${objectText(one)}>${objectName(one)}</a>` },
    { id: "retained_bytes", label: "Retained", number: true, width: 6.8, unsorted: true, help: "What would go with it", value: (one) => one.retained_bytes, show: (one) => html`<strong>${format.bytes(one.retained_bytes)}</strong>` },
    { id: "bytes", label: "Own bytes", number: true, width: 6.8, unsorted: true, value: (one) => one.bytes + one.native_bytes, show: (one) => format.bytes(one.bytes + one.native_bytes) },
    { id: "references", label: "References", number: true, unsorted: true, help: "Its count", value: (one) => one.references, show: (one) => format.exact(one.references) },
    { id: "external", label: "Unexplained", number: true, unsorted: true, help: "References that no object, root, pin or handle accounts for", value: (one) => one.external, show: (one) => html`<span class=${one.external ? "grew" : ""}>${format.exact(one.external)}</span>` },
    { id: "held", label: "Held by", unsorted: true, width: 9, value: (one) => one.root ? HOLDERS[one.root] ?? one.root : one.garbage ? "nobody: garbage" : "objects" },
];

/** @param {Address} address @param {string} field the head of the field's column @returns {import("./rows.js").Column<Link>[]} */
const linkColumns = (address, field) => [
    { id: "field", label: field, width: 8.2, value: fieldOf, show: (one) => html`<code>${fieldOf(one)}</code>${one.kind === "weak" ? html` <span class="badge">weak</span>` : null}${(one.times ?? 1) > 1 ? html` <small>and ${format.plural(Number(one.times) - 1, "more reference")}</small>` : null}` },
    { id: "object", label: "Object", value: objectText, show: (one) => one.type === null ? html`<span class="remark">#${one.object}, gone meanwhile</span>` : html`<a href=${address.with({ object: one.object, out: null, in: null })} tabindex="-1" title=${objectText(one)}>${objectName(one)}</a>` },
    { id: "retained_bytes", label: "Retained", number: true, width: 6.5, value: (one) => one.retained_bytes, show: (one) => html`<strong>${format.bytes(one.retained_bytes)}</strong>` },
];

/** Why it is alive. @param {{address: Address, artifact: Artifact, object: string}} props */
function Path({ address, artifact, object }) {
    const answer = useResource((signal) => api.get(`/v1/artifacts/${encodeURIComponent(artifact.id)}/objects/${encodeURIComponent(object)}/path`, signal), [artifact.id, object]);
    const way = /** @type {WayFromRoot|null} */ (answer.data);
    return html`<section class="panel" aria-labelledby="path-title" data-testid="path"><h3 id="path-title">Why it is alive</h3>
        ${answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : !way ? html`<${Loading} what="the way from a root" />`
            : way.path.length === 0 ? html`<p class="said">Nothing that is held from outside leads to it: it is garbage, which the next collection frees.</p>`
                : html`<p class="about">${way.path.length === 1 ? "It is" : "The shortest way from an object that is"} ${ROOTS[way.root ?? ""] ?? "held from outside"}${way.path.length === 1 ? "." : ", each by the field that refers to the next:"}</p>
                    <${Chain} label="Path from a root" nodes=${nodesOfWay(address, way)} />`}</section>`;
}

/** Those of a type that stand in a row are told once: the first of them, and how many follow. @param {Address} address @param {SnapshotObject[]} chain */
function dominatorNodes(address, chain) {
    /** @type {import("./drawings.js").Node[]} */
    const nodes = chain[0].dominator === null ? [] : [{ type: "more above", field: "holds", link: address.with({ object: chain[0].dominator, out: null, in: null }) }];
    for (let at = 0; at < chain.length;) {
        const one = chain[at];
        let end = at + 1;
        while (end < chain.length - 1 && chain[end].type === one.type && !chain[end].label && !one.label) {
            end++;
        }
        const folded = end - at > 3 ? end - at - 1 : 0;
        const field = at < chain.length - 1 ? "holds" : undefined;
        nodes.push({ type: `${one.type ?? "gone"} #${one.object}`, label: one.label ?? "", note: format.bytes(one.retained_bytes), field, link: address.with({ object: one.object, out: null, in: null }) });
        if (folded) {
            nodes.push({ type: `${format.exact(folded)} more of these`, field });
        }
        at += 1 + folded;
    }
    return nodes;
}

/** Each goes only when all above it go. @param {{address: Address, artifact: Artifact, first: SnapshotObject}} props */
function DominatorChain({ address, artifact, first }) {
    const answer = useResource(async (signal) => {
        const chain = [first];
        while (chain.length < DOMINATORS_MOST && chain[0].dominator !== null) {
            chain.unshift(await api.get(`/v1/artifacts/${encodeURIComponent(artifact.id)}/objects/${chain[0].dominator}`, signal));
        }
        return chain;
    }, [artifact.id, first.object]);
    const chain = answer.data;
    return html`<section class="panel" aria-labelledby="chain-title" data-testid="dominator-chain"><h3 id="chain-title">What it goes with</h3>
        ${answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : !chain ? html`<${Loading} what="its dominators" />` : chain.length === 1
            ? html`<p class="said">${first.garbage ? "It is garbage: nothing keeps it." : "No single object keeps it alive: it is held from outside, or several ways lead to it."}</p>`
            : html`<p class="about">Each of these is the only way to what stands behind it: free one, and all behind it goes, which is so many bytes.</p>
                <${Chain} label="Dominators" nodes=${dominatorNodes(address, chain)} />`}</section>`;
}

/** @param {{address: Address, artifact: Artifact, object: string, which: "out"|"in"}} props */
function Edges({ address, artifact, object, which }) {
    const member = which === "out" ? "edges" : "referrers";
    const cursor = cursorOf(address, which, "");
    const answer = useResource((signal) => api.get(`/v1/artifacts/${encodeURIComponent(artifact.id)}/objects/${encodeURIComponent(object)}/${member}?${new URLSearchParams({ limit: EDGES_A_PAGE, ...cursor ? { cursor } : {} })}`, signal), [artifact.id, object, cursor]);
    const rows = /** @type {Link[]|null} */ (answer.data?.[member] ?? null);
    const columns = useMemo(() => linkColumns(address, which === "out" ? "Field" : "By its field"), [String(address)]);
    const title = which === "out" ? "What it holds" : "What holds it";
    return html`<section class="edges" aria-labelledby="${which}-title"><h3 id="${which}-title">${title}</h3>
        ${answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : !rows ? html`<${Loading} what=${title.toLowerCase()} />` : html`
        <${Table} id="edges-${which}" caption=${title} rows=${rows} columns=${columns} prefix="${which}-" keyOf=${(/** @type {Link} */ one) => `${fieldOf(one)} ${one.object}`} address=${address}
            linkOf=${(/** @type {Link} */ one) => address.with({ object: one.object, out: null, in: null })} attributesOf=${(/** @type {Link} */ one) => ({ "data-object": String(one.object) })}
            empty=${html`<p class="hint" data-testid="no-edges-${which}">${which === "out" ? "It refers to nothing." : "No object refers to it."}</p>`} />
        <${Pages} address=${address} name=${which} of="${artifact.id} ${object} ${which}" next=${answer.data.next_cursor} what=${title} shown=${rows.length} />`}</section>`;
}

/** @param {{address: Address, artifact: Artifact, object: string}} props */
export function ObjectPage({ address, artifact, object }) {
    const answer = useResource((signal) => /** @type {Promise<SnapshotObject>} */ (api.get(`/v1/artifacts/${encodeURIComponent(artifact.id)}/objects/${encodeURIComponent(object)}`, signal)), [artifact.id, object]);
    const one = answer.data;
    if (!one) {
        return answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : html`<${Loading} what="the object" />`;
    }
    return html`<section class="panel" data-testid="object" data-object=${one.object}><h2>${objectName(one)}</h2>
            <${Facts} testid="object-facts" facts=${[
                ["own bytes", html`${format.bytes(one.bytes)}${one.native_bytes ? html` <small>and ${format.bytes(one.native_bytes)} native</small>` : null}`],
                ["retained", html`<strong>${format.bytes(one.retained_bytes)}</strong> <small>${share(one.retained_bytes / Math.max(1, artifact.bytes) * 100)} of the heap</small>`],
                ["references", format.exact(one.references)],
                ["unexplained", html`<span class=${one.external ? "grew" : ""}>${format.exact(one.external)}</span>`],
                one.distance !== null && ["from a root", one.distance === 0 ? "itself held from outside" : format.plural(one.distance, "step")],
                one.garbage && ["state", "garbage"],
                one.flags.length > 0 && ["is", one.flags.join(", ").replaceAll("_", " ")],
                ["type", html`<a href=${address.with({ tab: "objects", type: one.type, object: null, out: null, in: null, page: null })} data-testid="same-type">others of its type</a>`],
            ]} />
            ${one.external ? html`<p class="said">${format.plural(one.external, "reference")} to it ${one.external === 1 ? "is" : "are"} accounted for by no object, root, pin or handle: locals of the program at that moment, or a reference that was taken and never given back.</p>` : null}</section>
        <${Path} address=${address} artifact=${artifact} object=${object} />
        <${DominatorChain} address=${address} artifact=${artifact} first=${one} />
        <${Edges} address=${address} artifact=${artifact} object=${object} which="in" />
        <${Edges} address=${address} artifact=${artifact} object=${object} which="out" />`;
}
