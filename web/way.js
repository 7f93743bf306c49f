/* Ways from what the roots hold to an object, told shortly: steps that repeat are one, and ways that go alike are one. Pure. */

/** @typedef {import("./findings").WayFromRoot} WayFromRoot */
/** @typedef {import("./findings").Link} Link */
/** @typedef {{steps: Link[], by: string|null, times: number, about: boolean}} Part
 * steps  those that are alike, as far as they are known; none: a hole
 * by     the field by which each refers to the next; null at the end
 * times  how many they are
 * about  some of them are not told */
/** @typedef {{count: number, shared: number, way: WayFromRoot, parts: Part[]}} Group
 * way     one of those that go alike
 * shared  how many of its parts begin with the same object in all of them */

const HOLE = "…";
/** So many that are alike are worth their places. */
const FEW = 3;

/** Where a reference lies. @param {Link} link */
export const fieldOf = ({ field, index, kind }) => `${field ?? (kind === "hold" ? "(hold)" : kind === "weak" ? "(weak)" : kind === "visited" ? "(traverse)" : "")}${index === null ? "" : `[${index}]`}`;

/** @param {Part} part @param {Link} step @param {string|null} by */
const alike = ({ steps: [first], by: before }, step, by) => by !== null && by === before && first && first.type === step.type && !first.label && !step.label;

/** @param {WayFromRoot} way @returns {Part[]} */
export function partsOf({ path, omitted, omitted_after: after }) {
    /** @type {Part[]} */
    const parts = [];
    path.forEach((step, index) => {
        const last = parts[parts.length - 1];
        const missing = index === after ? Number(omitted) : 0;
        const next = path[index + 1];
        const by = next ? index + 1 === after ? last?.steps[0]?.type === step.type ? last.by : HOLE : fieldOf(next) : null;
        if (last && alike(last, step, by)) {
            last.steps.push(step);
            last.times += 1 + missing;
            last.about ||= missing > 0;
            return;
        }
        if (missing) {
            parts.push({ steps: [], by: HOLE, times: missing, about: true });
        }
        parts.push({ steps: [step], by, times: 1, about: false });
    });
    return parts.flatMap((part) => part.times > FEW || part.about ? [part] : part.steps.map((step) => ({ ...part, steps: [step], times: 1 })));
}

/** What ways that go alike have in common: types, fields and labels, not which objects, how many in a row, nor where in an array.
 * @param {Part[]} parts */
const formOf = (parts) => JSON.stringify(parts.map(({ steps: [first], by }) => [first?.type ?? HOLE, first?.label ?? "", by?.replace(/\[\d+\]$/, "[]") ?? ""])
    .filter((one, index, all) => !index || one.join("\n") !== all[index - 1].join("\n")));

/** The ways by how they go, the most common first. @param {WayFromRoot[]} ways @returns {Group[]} */
export function groupsOf(ways) {
    /** @type {Map<string, Group>} */
    const groups = new Map();
    for (const way of ways) {
        const parts = partsOf(way);
        const form = formOf(parts);
        const group = groups.get(form);
        if (group) {
            const apart = group.parts.findIndex(({ steps: [first] }, index) => first?.object !== parts[index]?.steps[0]?.object);
            group.count++;
            group.shared = Math.min(group.shared, apart < 0 ? group.parts.length : apart);
        } else {
            groups.set(form, { count: 1, shared: parts.length, way, parts });
        }
    }
    return [...groups.values()].sort((a, b) => b.count - a.count);
}

/** A few of a list, from all over it. @template Row @param {readonly Row[]} rows @param {number} most */
export const someOf = (rows, most) => rows.length <= most ? [...rows] : Array.from({ length: most }, (_, n) => rows[Math.floor((n + 0.5) * rows.length / most)]);
