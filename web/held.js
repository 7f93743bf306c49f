/* How objects of a type are held: the ways to some of them, those that go alike told once. It is what leads from a type that
 * grows to the object that keeps it, and to where that was made. */

import { html } from "./vendor/htm-preact.js";
import { change } from "./address.js";
import * as api from "./api.js";
import { Chain } from "./drawings.js";
import * as format from "./format.js";
import { useResource } from "./resource.js";
import { Failed, Loading } from "./states.js";
import { groupsOf, partsOf, someOf } from "./way.js";

/** @typedef {import("./findings").Artifact} Artifact */
/** @typedef {import("./findings").SnapshotObject} SnapshotObject */
/** @typedef {import("./findings").WayFromRoot} WayFromRoot */
/** @typedef {import("./address.js").Address} Address */

/** What is meant by what is at the beginning of a way. @type {Record<string, string>} */
const ROOTS = { declared: "a root", external: "held from outside", immortal: "immortal" };
const LOOKED_AT = 8;
const SHOWN = 3;

/** The nodes of a way. `shared`: of how many parts the object is told; all without it. `end`: what the last one is.
 * @param {Address} address @param {import("./way.js").Part[]} parts @param {{shared?: number, end: string, root: string|null}} more @returns {import("./drawings.js").Node[]} */
export function nodesOf(address, parts, { shared = parts.length, end, root }) {
    return parts.flatMap(({ steps: [first], by, times, about }, index) => {
        const field = by ?? undefined;
        if (!first) {
            return [{ type: `${format.plural(times, "step")} left out`, field }];
        }
        const one = { type: `${first.type ?? "gone"}${index < shared ? ` #${first.object}` : ""}`, label: first.label ?? "", field, link: address.with({ tab: "objects", object: first.object, page: null, out: null, in: null }),
            note: index === parts.length - 1 ? end : index === 0 ? ROOTS[root ?? ""] ?? root : null };
        return times === 1 ? [one] : [one, { type: `${about ? "about " : ""}${format.exact(times - 1)} more of these`, field }];
    });
}

/** @param {{address: Address, artifact: Artifact, type: string, rows: readonly SnapshotObject[]}} props */
export function Held({ address, artifact, type, rows }) {
    const held = rows.filter((one) => !one.garbage);
    const garbage = rows.length - held.length;
    const some = someOf(held, address.get("held") === "all" ? held.length : LOOKED_AT);
    const answer = useResource(async (signal) => {
        /** @type {WayFromRoot[]} */
        const ways = [];
        for (let at = 0; at < some.length; at += LOOKED_AT) {
            ways.push(...await Promise.all(some.slice(at, at + LOOKED_AT).map(({ object }) => api.get(`/v1/artifacts/${encodeURIComponent(artifact.id)}/objects/${object}/path`, signal))));
        }
        return ways;
    }, [artifact.id, some.map(({ object }) => object).join()]);
    const groups = groupsOf((answer.data ?? []).filter(({ path }) => path.length));
    const several = groups.length > 1;
    const lookAtAll = () => {
        change({ held: "all" });
        document.getElementById("held-title")?.focus(); /* the button goes */
    };
    return html`<section class="panel holding" aria-labelledby="held-title" data-testid="held"><h3 id="held-title" tabindex="-1">Who holds them</h3>
        ${answer.problem ? html`<${Failed} problem=${answer.problem} again=${answer.refresh} />` : !answer.data ? html`<${Loading} what="how they are held" />` : !some.length
            ? html`<p class="said">Nobody: those below are garbage, cycles that the next collection frees.</p>`
            : html`<p class="about">The shortest way from what is held from outside of the heap to ${some.length === 1 ? "the one object" : some.length < held.length ? `${format.exact(some.length)} of the ${format.exact(held.length)} objects below, from all over the list` : `each of the ${format.exact(some.length)} objects below`}; each arrow is a field. What keeps ${type} alive stands to the left: where it should have let go is the leak.</p>
                ${groups.slice(0, SHOWN).map(({ count, shared, way, parts }, index) => html`<div key=${index} class="held-way" data-testid="held-way" data-count=${count}>${some.length > 1 ? html`<p class="remark">${several ? `${count} of ${some.length}` : `All ${some.length}`}:</p>` : null}
                    <${Chain} label="How ${count} of ${some.length} are held" nodes=${nodesOf(address, parts, { shared, end: count > 1 ? "one of them" : "this object", root: way.root })} /></div>`)}
                ${groups.length > SHOWN ? html`<p class="remark">And ${groups.length - SHOWN} other ways.</p>` : null}
                ${some.length < held.length ? html`<button type="button" class="small" data-testid="held-all" onClick=${lookAtAll}>Look at all ${format.exact(held.length)}</button>` : null}
                ${garbage ? html`<p class="remark">${format.plural(garbage, "other")} below ${garbage === 1 ? "is" : "are"} garbage: nobody holds ${garbage === 1 ? "it" : "them"}.</p>` : null}`}</section>`;
}

/** All of one way. @param {Address} address @param {WayFromRoot} way */
export const nodesOfWay = (address, way) => nodesOf(address, partsOf(way), { end: "this object", root: way.root });
