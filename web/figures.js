/* The charts of a process: what each draws of the figures, from labels of the catalogue. */

/** @typedef {import("./charts.js").Spec} Spec @typedef {import("./charts.js").Limit} Limit @typedef {import("./track.js").Column} Column */
/** @typedef {import("./track.js").Gauge} Gauge @typedef {import("./types").Field} Field */

/** @param {Gauge} name @param {string} colour @param {string} [label] @returns {import("./charts.js").Line} */
const gauge = (name, colour, label = "") => ({ label, colour, fill: `${colour}-fill`, of: (shape) => shape.last[name],
    band: (shape) => [shape.low[name], shape.high[name]] });

/** @param {Column} over @param {Column} under @returns {Column} */
const ratio = (over, under) => over.map((value, row) => value === null || !under[row] ? null : value / /** @type {number} */ (under[row]));

/** @param {Column} column */
const most = (column) => column.reduce((/** @type {number} */ a, b) => b !== null && b > a ? b : a, 0);

/** A catalogue's row; before the catalogue is here, the path speaks for itself. @param {import("./types").Info|null} info @returns {(path: string) => Field} */
export const fieldsOf = (info) => (path) => info?.fields.find((field) => field.path === path)
    ?? { path, kind: "gauge", unit: path.endsWith("_bytes") ? "bytes" : path.endsWith("_ns") ? "nanoseconds" : "objects",
        label: path.replace(/[._]/g, " "), help: "" };

/** @param {import("./charts.js").Scene} scene @returns {Limit[]} */
function memoryLimits({ shape, stats }) {
    const peak = most(shape.high.live_bytes);
    return [...stats?.memory_limit_bytes ? [{ label: "limit", value: stats.memory_limit_bytes, colour: "--bad" }] : [],
        ...peak ? [{ label: "peak", value: peak, colour: "--muted", always: true }] : []];
}

/** 0 says that no run waits for candidates: then there is no line. @type {import("./charts.js").Line} */
const DUE = { label: "due at", colour: "--warn", dash: [6, 3], of: ({ last }) => last.candidates_due.map((value) => value || null) };

/** @param {(path: string) => Field} field @returns {Spec[]} */
export const processCharts = (field) => [
    { id: "live_bytes", title: field("live_bytes").label, help: field("live_bytes").help, unit: "bytes", limits: memoryLimits,
        lines: [gauge("live_bytes", "--blue")] },
    { id: "live_objects", title: field("live_objects").label, help: field("live_objects").help, unit: "objects",
        lines: [gauge("live_objects", "--green")] },
    { id: "allocation_rate", title: "Allocation rate", help: "Objects allocated in a second.", unit: "rate",
        lines: [{ label: "", colour: "--violet", fill: "--violet-fill", of: (shape) => shape.rate.allocations }] },
    { id: "free_rate", title: "Free rate", help: "Objects freed in a second, by what freed them.", unit: "rate",
        lines: [{ label: "by count", colour: "--blue", of: (shape) => shape.rate["frees.refcount"] },
            { label: "by cycle", colour: "--orange", dash: [5, 3], of: (shape) => shape.rate["frees.cycle"] }] },
    { id: "pauses", title: "Pauses", help: "Each collection by how long it stopped its heap's thread, and the mean.", unit: "nanoseconds", points: true,
        lines: [{ label: "mean", colour: "--text", dash: [2, 3], of: (shape) => ratio(shape.rate.pause_ns, shape.rate.collections) }] },
    { id: "candidates", title: field("candidates").label, help: field("candidates").help, unit: "objects",
        lines: [gauge("candidates", "--orange", "waiting"), DUE] },
    { id: "gc_time", title: "Time in collections", help: "Share of a second that collections took, of all heaps' threads together.", unit: "percent",
        lines: [{ label: "", colour: "--violet", fill: "--violet-fill", of: (shape) => shape.rate.pause_ns.map((value) => value === null ? null : value / 1e7) }] },
    { id: "memory", title: "Mapped memory", help: "Pages that hold the heap, and native memory that its objects own.", unit: "bytes",
        lines: [{ ...gauge("mapped_bytes", "--blue", "pages") }, { label: "extern", colour: "--orange", dash: [5, 3], of: (shape) => shape.last.extern_bytes }] },
];
