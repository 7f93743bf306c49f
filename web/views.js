/* The page's views, in the order of the navigation. A view is a module of its own, which comes when it is first
 * looked at; what it exports is a View. */

/** What a view gets. @typedef {{store: import("./store.js").Store, address: import("./address.js").Address}} Given */

/** @typedef {{title: string, needsProcess: boolean, topics: (address: import("./address.js").Address) => string[],
 *             Body: (given: Given) => import("./vendor/htm-preact.js").Child}} View
 * title         of the page and of the document
 * needsProcess  the frame shows it only where the address names a process that tallyd knows
 * topics        what of the stream it needs beside the frame's own (operations, alerts): fleet, where it shows more
 *               than names; the frame asks for that every two seconds */

/** @typedef {{id: string, title: string, key: string, needsProcess: boolean, load: () => Promise<{default: View}>}} ViewRow
 * key  after `g`, the way to it by keyboard */

/** @type {ViewRow[]} */
export const VIEWS = [
    { id: "fleet", title: "Processes", key: "p", needsProcess: false, load: () => import("./views/fleet.js") },
    { id: "process", title: "Overview", key: "o", needsProcess: true, load: () => import("./views/process.js") },
    { id: "collections", title: "Collections", key: "c", needsProcess: true, load: () => import("./views/collections.js") },
    { id: "types", title: "Types", key: "t", needsProcess: true, load: () => import("./views/types.js") },
    { id: "cycles", title: "Cycles", key: "y", needsProcess: true, load: () => import("./views/cycles.js") },
    { id: "suspects", title: "Suspects", key: "s", needsProcess: true, load: () => import("./views/suspects.js") },
    { id: "snapshots", title: "Snapshots", key: "h", needsProcess: true, load: () => import("./views/snapshots.js") },
    { id: "compare", title: "Compare", key: "m", needsProcess: true, load: () => import("./views/compare.js") },
    { id: "events", title: "Events", key: "e", needsProcess: true, load: () => import("./views/events.js") },
    { id: "rules", title: "Alerts & rules", key: "r", needsProcess: false, load: () => import("./views/rules.js") },
    { id: "audit", title: "Audit", key: "a", needsProcess: false, load: () => import("./views/audit.js") },
    { id: "daemon", title: "Daemon", key: "d", needsProcess: false, load: () => import("./views/daemon.js") },
];
