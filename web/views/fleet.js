/* All processes: how each is, and what can be done to many at once. */

import { html, useMemo } from "../vendor/htm-preact.js";
import * as format from "../format.js";
import { Empty, Loading } from "../states.js";
import { Table } from "../table.js";

/** @typedef {import("../types").Summary} Summary */
/** @typedef {import("../rows.js").Column<Summary>} Column */

/** @param {import("../address.js").Address} address @returns {Column[]} */
const columnsOf = (address) => [
    { id: "name", label: "Name", value: (p) => p.name, show: (p) => html`<a href=${address.to("process", { process: p.id })} tabindex="-1">${p.name}</a>` },
    { id: "pid", label: "Pid", number: true, first: "+", width: 6, value: (p) => p.pid },
    { id: "state", label: "State", width: 6, value: (p) => p.state },
    { id: "live_bytes", label: "Live", number: true, width: 7, value: (p) => p.live_bytes, show: (p) => format.bytes(p.live_bytes) },
    { id: "live_objects", label: "Objects", number: true, width: 7, value: (p) => p.live_objects, show: (p) => format.count(p.live_objects) },
];

/** @param {Summary} p */
const textOf = (p) => [p.name, p.pid ?? "", p.id, ...Object.entries(p.labels).map(([key, value]) => `${key}:${value}`)].join(" ");

/** @param {import("../views.js").Given} given */
function Body({ store, address }) {
    const columns = useMemo(() => columnsOf(address), [address]);
    const rows = useMemo(() => [...store.fleet?.processes ?? []].sort((a, b) => Number(a.state === "gone") - Number(b.state === "gone")), [store.fleet]);
    if (!store.fleet) {
        return html`<${Loading} what="the list of processes" testid="list-loading" />`;
    }
    return html`<${Table} id="processes" caption="processes" rows=${rows} columns=${columns} keyOf=${(/** @type {Summary} */ p) => p.id}
        address=${address} textOf=${textOf} linkOf=${(/** @type {Summary} */ p) => address.to("process", { process: p.id })}
        attributesOf=${(/** @type {Summary} */ p) => ({ "data-id": p.id, "data-state": p.state })}
        empty=${html`<${Empty} title="No process is attached yet" testid="list-empty"><p>A program that links libtally appears here when it calls <code>tally_attach()</code>.
            To see one:</p><p><code>tally-mal</code></p><//>`} />`;
}

/** @type {import("../views.js").View} */
export default { title: "Processes", needsProcess: false, topics: () => [], Body };
