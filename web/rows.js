/* The rows of a table: which, in which order, and as CSV. Pure. */

/** @typedef {import("./vendor/htm-preact.js").Child} Child */
/** @typedef {string|number|boolean|null|undefined} Value null, undefined and NaN: not known, last in every order */

/** @template Row
 * @typedef {{id: string, label: string, help?: string, value: (row: Row) => Value, format?: (value: any) => string, show?: (row: Row) => Child,
 *             sum?: (rows: readonly Row[]) => Value, number?: boolean, first?: "+"|"-", width?: number, unsorted?: boolean, stick?: boolean}} Column
 * value     what the column sorts by and CSV gives: a number in the unit of the label's, or a text
 * format    the value as text
 * show      what the cell has instead of that
 * sum       the value of a group of rows, where the table is grouped
 * number    figures stand at the right
 * first     the order that the first click asks for: - for numbers, + for texts without it
 * width     in rem; those without it share what is left, 9 at least
 * unsorted  cannot be sorted by
 * stick     stays in sight when the others are scrolled sideways: the first column only */

/** @param {Value} value */
const unknown = (value) => value === null || value === undefined || value === "" || (typeof value === "number" && Number.isNaN(value));

/** @param {Value} a @param {Value} b @param {number} direction 1 or -1 */
function compared(a, b, direction) {
    if (unknown(a) || unknown(b)) {
        return Number(unknown(a)) - Number(unknown(b));
    }
    return direction * (typeof a === "number" && typeof b === "number" ? a - b : COLLATOR.compare(String(a), String(b)));
}

const COLLATOR = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** `order` is + or - and a column's id; rows that are alike stay as they came. An order that there is not changes nothing.
 * @template Row @param {readonly Row[]} rows @param {Column<Row>[]} columns @param {string} order @returns {Row[]} */
export function sorted(rows, columns, order) {
    const column = columns.find(({ id }) => id === order.slice(1));
    const direction = order[0] === "-" ? -1 : 1;
    return column && !column.unsorted
        ? rows.map((row) => ({ row, value: column.value(row) })).sort((a, b) => compared(a.value, b.value, direction)).map(({ row }) => row)
        : [...rows];
}

/** The order after a click on a column's head. @template Row @param {Column<Row>} column @param {string} order */
export function nextOrder(column, order) {
    const first = column.first ?? (column.number ? "-" : "+");
    return order.slice(1) !== column.id ? `${first}${column.id}` : order[0] === "-" ? `+${column.id}` : `-${column.id}`;
}

/** The words of a filter; what stands in quotes is one. @param {string} filter */
const wordsOf = (filter) => (filter.toLowerCase().match(/-?"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', "")).filter((word) => word && word !== "-");

/** Rows whose text has all words of the filter, in any case and order; a word behind a - must not be there.
 * @template Row @param {readonly Row[]} rows @param {string} filter @param {(row: Row) => string} text @returns {readonly Row[]} */
export function filtered(rows, filter, text) {
    const words = wordsOf(filter);
    return words.length === 0 ? rows : rows.filter((row) => {
        const all = text(row).toLowerCase();
        return words.every((word) => word[0] === "-" ? !all.includes(word.slice(1)) : all.includes(word));
    });
}

/** Rows in the order of their keys of a while ago, so that nothing moves under somebody's hand; new ones come last.
 * @template Row @param {readonly Row[]} rows @param {readonly string[]} keys @param {(row: Row) => string} keyOf @returns {Row[]} */
export function held(rows, keys, keyOf) {
    const places = new Map(keys.map((key, place) => [key, place]));
    return [...rows].sort((a, b) => (places.get(keyOf(a)) ?? Infinity) - (places.get(keyOf(b)) ?? Infinity) || 0);
}

/** A line of a grouped table: a group's head (no row), or a row. @template Row
 * @typedef {{key: string, row: Row|null, group: string, rows: readonly Row[]}} Line */

/** Rows below their groups' heads; only those of open groups are there. Groups are ordered by the column's sum, else by
 * their names. @template Row @param {readonly Row[]} rows in their order @param {(row: Row) => string} groupOf
 * @param {ReadonlySet<string>} open @param {Column<Row>[]} columns @param {string} order @param {(row: Row) => string} keyOf @returns {Line<Row>[]} */
export function grouped(rows, groupOf, open, columns, order, keyOf) {
    const groups = /** @type {Map<string, Row[]>} */ (new Map());
    for (const row of rows) {
        const group = groupOf(row);
        groups.get(group)?.push(row) ?? groups.set(group, [row]);
    }
    const column = columns.find(({ id }) => id === order.slice(1));
    const ranked = sorted([...groups].map(([group, members]) => ({ group, members })), [
        { id: "sum", label: "", value: ({ group, members }) => column?.sum ? column.sum(members) : group }],
    `${column?.sum || column?.id === columns[0].id ? order[0] : "+"}sum`);
    return ranked.flatMap(({ group, members }) => [{ key: `group ${group}`, row: null, group, rows: members },
        ...open.has(group) ? members.map((row) => ({ key: keyOf(row), row, group, rows: [row] })) : []]);
}

/** A text that a spreadsheet would take for a formula gets an apostrophe before it; numbers are safe as they are. @param {Value} value */
function field(value) {
    if (unknown(value)) {
        return "";
    }
    const text = typeof value === "string" && /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

/** RFC 4180, with a head. @template Row @param {readonly Row[]} rows @param {Column<Row>[]} columns */
export const csvOf = (rows, columns) => [columns.map(({ id }) => field(id)), ...rows.map((row) => columns.map(({ value }) => field(value(row))))]
    .map((line) => `${line.join(",")}\r\n`).join("");
