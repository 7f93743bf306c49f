/* Why collections ran: each reason has a colour, a shape and a letter, so that none is told by colour alone. Pure, but
 * for the drawing on a canvas that the caller gives. */

/** @typedef {import("./types").Collection} Collection */
/** @typedef {(path: CanvasPath, x: number, y: number, r: number) => void} Outline */
/** @typedef {{name: string, label: string, letter: string, colour: string, rank: number, why: string, outline: Outline}} Reason */

/** @param {CanvasPath} path @param {number[]} points x, y in turn */
function polygon(path, points) {
    path.moveTo(points[0], points[1]);
    for (let i = 2; i < points.length; i += 2) {
        path.lineTo(points[i], points[i + 1]);
    }
    path.closePath();
}

/** The more often one comes, the lower its rank: where marks would overlap, the rarest is drawn. @type {Reason[]} */
export const REASONS = [
    { name: "threshold", label: "threshold", letter: "T", colour: "--reason-threshold", rank: 1,
        why: "The heap came to a threshold: enough objects had been allocated, or had become candidates, since the run before.",
        outline: (path, x, y, r) => path.arc(x, y, r * 0.82, 0, 2 * Math.PI) },
    { name: "explicit", label: "explicit", letter: "E", colour: "--reason-explicit", rank: 2,
        why: "The program called for it in its own code.",
        outline: (path, x, y, r) => path.rect(x - r * 0.8, y - r * 0.8, r * 1.6, r * 1.6) },
    { name: "remote", label: "remote", letter: "R", colour: "--reason-remote", rank: 3,
        why: "Somebody asked for it from outside, over the API.",
        outline: (path, x, y, r) => polygon(path, [x, y - r, x + r, y + r * 0.8, x - r, y + r * 0.8]) },
    { name: "stress", label: "stress", letter: "S", colour: "--reason-stress", rank: 4,
        why: "Stress is on: it collects far more often than needed, to find faults.",
        outline: (path, x, y, r) => polygon(path, [x, y + r, x + r, y - r * 0.8, x - r, y - r * 0.8]) },
    { name: "shutdown", label: "shutdown", letter: "X", colour: "--reason-shutdown", rank: 5,
        why: "The heap was being given up.",
        outline: (path, x, y, r) => { const t = r * 0.38; polygon(path, [x - t, y - r, x + t, y - r, x + t, y - t, x + r, y - t, x + r, y + t, x + t, y + t, x + t, y + r, x - t, y + r, x - t, y + t, x - r, y + t, x - r, y - t, x - t, y - t]); } },
    { name: "out_of_memory", label: "out of memory", letter: "O", colour: "--reason-oom", rank: 6,
        why: "Memory ran short, or the memory limit was near: a whole run had to make room.",
        outline: (path, x, y, r) => polygon(path, [x, y - r * 1.1, x + r * 1.1, y, x, y + r * 1.1, x - r * 1.1, y]) },
];

const BY_NAME = new Map(REASONS.map((reason) => [reason.name, reason]));

/** A reason of a later tallyd is shown by its name. @param {string} name @returns {Reason} */
export const reasonOf = (name) => BY_NAME.get(name) ?? { ...REASONS[0], name, label: name.replace(/_/g, " "), letter: "?", colour: "--muted", why: "" };

/** Names that are left out, of the address's hide=. @param {string|null|undefined} words */
export const hiddenOf = (words) => new Set((words ?? "").split(",").filter(Boolean));

/** @param {Set<string>} hidden @param {string} name @returns {string} hide= with the name in or out */
export function toggled(hidden, name) {
    const names = new Set(hidden);
    names.delete(name) || names.add(name);
    return [...names].sort().join(",");
}

