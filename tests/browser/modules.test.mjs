/* The page's modules that need no browser: numbers as text, the past in columns, the stream's syntax, and which
 * view wins. */

import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../web/format.js";
import { History, SPAN_S } from "../../web/series.js";
import { Store } from "../../web/store.js";
import { Address } from "../../web/address.js";
import { csvOf, filtered, grouped, held, nextOrder, sorted } from "../../web/rows.js";
import { EventParser } from "../../web/stream.js";

const figures = (n) => ({ live_bytes: n * 8, live_objects: n, allocations: n * 10, frees: { refcount: n * 8, cycle: n } });

test("numbers have three digits and a unit", () => {
    assert.deepEqual([0, 999, 1024, 1536, 10_240, 104_857_600].map(format.bytes), ["0 B", "999 B", "1.00 KiB", "1.50 KiB", "10.0 KiB", "100 MiB"]);
    assert.deepEqual([0, 9999, 10_000, 1_234_567].map(format.count), ["0", "9,999", "10.0 k", "1.23 M"]);
    assert.deepEqual([0, 640, 400_000, 2_000_000, 61e9].map(format.duration), ["0 ns", "640 ns", "400 µs", "2.00 ms", "1 min"]);
    assert.deepEqual([null, undefined, NaN].map(format.bytes), ["–", "–", "–"]);
    assert.equal(format.at({ frees: { cycle: 3 } }, "frees.cycle"), 3);
    assert.equal(format.at(null, "frees.cycle"), undefined);
});

test("an operation is told in a sentence", () => {
    const operation = { id: "a", kind: "collect", process: "p", state: "succeeded", code: null, detail: null, deadline_ms: 30_000,
        created_at: "", finished_at: "", safepoint_wait_ns: 2_000_000, pause_ns: 400_000, result: { collected: 3, freed_bytes: 0 }, heaps: [] };
    assert.equal(format.operationText(operation), "collected 3 objects in 400 µs, waited 2.00 ms for a safepoint");
    assert.equal(format.operationText({ ...operation, state: "expired" }), "expired: no safepoint within 30.0 s");
    assert.equal(format.operationText({ ...operation, kind: "cycles", result: null }), "read in 400 µs, waited 2.00 ms for a safepoint", "who looks collects nothing");
    assert.equal(format.operationText({ ...operation, kind: "baseline", pause_ns: 0, safepoint_wait_ns: 0 }), "baseline set", "nor has what took no pause one of 0 ns");
    assert.equal(format.operationText({ ...operation, state: "failed", code: "process_gone" }), "failed: process_gone");
    assert.equal(format.operationText({ ...operation, kind: "config", result: { enabled: false, thresholds: [1, 2, 3] } }),
        "in force: automatic collection disabled, thresholds 1 · 2 · 3");
    assert.equal(format.operationText({ ...operation, kind: "config", result: { manager: "cycle", debug: [], max_pause_us: 500, memory_limit_bytes: 0 } }),
        "in force: manager cycle, debug none, maximum pause 500 µs, memory limit none");
});

test("a row's course: readings at the ends of equal parts, held between them, and gaps", () => {
    const history = new History();
    assert.deepEqual(history.course(60, 3), [null, null, null]);
    [0, 0.5, 2, 4, 6].forEach((t) => history.push(1000 + t, 10 + t));
    assert.deepEqual(history.values, [10, 12, 14, 16], "what is too near is left out");
    assert.deepEqual(history.course(8, 8), [null, 10, 10, 12, 12, 14, 14, 16]);
    assert.equal(history.course(8, 8), history.course(8, 8), "the same while there is nothing new");
    assert.deepEqual(history.course(1, 2), [14, 16], "what was before goes on into them");
    history.push(1030, 40);
    assert.deepEqual(history.course(60, 10), [null, null, null, null, 10, 16, null, null, null, 40]);
    history.gap();
    history.gap();
    assert.equal(history.values.at(-1), null);
    assert.equal(history.values.length, 7);
});

test("old readings go", () => {
    const history = new History();
    for (let n = 0; n < 20_000; n++) {
        history.push(10 + n / 4, n);
    }
    assert.ok(history.times.length <= SPAN_S + 10 && history.times.length > SPAN_S - 10, String(history.times.length));
    assert.ok(history.times.every((t, row, all) => row === 0 || t > all[row - 1]));
});

test("the stream's text may break anywhere", () => {
    const text = "retry: 250\n\n: heartbeat\r\n\r\nid: s-7\nevent: stats\ndata: {\"a\":\ndata: 1}\n\nevent: bye\ndata: {}\n\n";
    const expected = [{ event: "stats", data: '{"a":\n1}' }, { event: "bye", data: "{}" }];
    for (let size = 1; size <= text.length; size++) {
        const parser = new EventParser();
        const messages = [];
        for (let at = 0; at < text.length; at += size) {
            messages.push(...parser.push(text.slice(at, at + size)));
        }
        assert.deepEqual(messages, expected, `pieces of ${size}`);
        assert.deepEqual([parser.lastId, parser.retryMs], ["s-7", 250]);
    }
});

const statsView = (seq, n, more = {}) => ({ seq, as_of: new Date(1e12 + seq * 250).toISOString(), as_of_mono_ns: seq * 250e6, id: "p",
    state: "live", ...figures(n), ...more });

test("an older view never replaces a newer one, but a new tallyd counts anew", () => {
    const store = new Store(() => {}, () => 0);
    store.choose("p");
    store.take("hello", { start_id: "one" });
    store.take("stats", statsView(50, 5));
    store.setStats(statsView(49, 4));
    assert.equal(store.stats.live_objects, 5);
    store.setStats({ ...statsView(60, 9), id: "other" });
    assert.equal(store.stats.live_objects, 5);
    store.take("hello", { start_id: "two" });
    store.take("stats", statsView(2, 7));
    assert.equal(store.stats.live_objects, 7);
});

test("an operation that has ended stays ended", () => {
    const store = new Store(() => {}, () => 0);
    store.setOperation({ id: "o", state: "succeeded", finished_at: "now" });
    store.setOperation({ id: "o", state: "running", finished_at: null });
    assert.equal(store.operations.get("o").state, "succeeded");
    for (let n = 0; n < 200; n++) {
        store.setOperation({ id: String(n), finished_at: null });
    }
    assert.equal(store.operations.size, 50);
});

test("an alert that comes while all are asked for is newer than the answer", () => {
    const store = new Store(() => {}, () => 0);
    store.setAlerts([{ id: 1, state: "firing" }, { id: 2, state: "firing" }], [{ id: 3, state: "firing" }, { id: 1, state: "resolved" }]);
    assert.deepEqual([...store.alerts.keys()], [2, 3]);
    store.take("alert", { id: 2, state: "resolved" });
    assert.deepEqual([...store.alerts.keys()], [3]);
});

test("silence makes a live process stale, a confirmation does not, and one that has ended never is", () => {
    let now = 0;
    const store = new Store(() => {}, () => now);
    store.choose("p");
    store.setStats(statsView(4, 1));
    now = 2500;
    store.setStats(statsView(4, 1));
    now = 5000;
    assert.equal(store.stale, false);
    now = 6000;
    assert.equal(store.stale, true);
    store.setStats(statsView(5, 1, { state: "gone" }));
    now = 60_000;
    assert.equal(store.stale, false);
});

test("a process's past is kept from the list before it is chosen, and dropped when it leaves", () => {
    const store = new Store(() => {}, () => 0);
    const fleet = (seq, ids) => ({ seq, as_of: new Date(seq * 2000).toISOString(), as_of_mono_ns: seq * 2e9, next_cursor: null,
        processes: ids.map((id) => ({ id, state: "live", ...figures(seq) })) });
    store.setFleet(fleet(1, ["a", "b"]));
    store.setFleet(fleet(2, ["a", "b"]));
    assert.deepEqual(store.histories.get("b").values, [8, 16]);
    store.setFleet(fleet(3, ["a"]));
    assert.deepEqual([...store.histories.keys()], ["a"]);
});

const COLUMNS = [{ id: "name", label: "Name", value: (row) => row.name }, { id: "size", label: "Size", number: true, value: (row) => row.size, sum: (rows) => rows.reduce((sum, { size }) => sum + size, 0) }];
const ROWS = [{ name: "b10", size: 3 }, { name: "b9", size: null }, { name: "a", size: 7 }, { name: "c", size: -2 }];
const namesOf = (rows) => rows.map(({ name }) => name).join();

test("rows are sorted as people count, and what is not known comes last both ways", () => {
    assert.equal(namesOf(sorted(ROWS, COLUMNS, "+name")), "a,b9,b10,c");
    assert.equal(namesOf(sorted(ROWS, COLUMNS, "-size")), "a,b10,c,b9");
    assert.equal(namesOf(sorted(ROWS, COLUMNS, "+size")), "c,b10,a,b9");
    assert.equal(namesOf(sorted(ROWS, COLUMNS, "-nonsense")), namesOf(ROWS));
    assert.deepEqual([nextOrder(COLUMNS[1], ""), nextOrder(COLUMNS[1], "-size"), nextOrder(COLUMNS[1], "+size"), nextOrder(COLUMNS[0], "-size")], ["-size", "+size", "-size", "+name"]);
    assert.equal(namesOf(held([...ROWS, { name: "new", size: 1 }], ["c", "a"], ({ name }) => name)), "c,a,b10,b9,new");
});

test("a filter's words must all fit, in any order; - excludes, quotes keep together", () => {
    const found = (filter) => namesOf(filtered(ROWS, filter, ({ name, size }) => `${name} size is ${size}`));
    assert.deepEqual([found(""), found("B size"), found("-b"), found('"size is 7"'), found('-"is 7" -b9'), found("-"), found("zz")], ["b10,b9,a,c", "b10,b9", "a,c", "a", "b10,c", "b10,b9,a,c", ""]);
});

test("groups are ordered by their sums, and only open ones show their rows", () => {
    const rows = sorted([{ name: "x", size: 1 }, { name: "y", size: 5 }, { name: "x", size: 2 }], COLUMNS, "-size");
    const lines = grouped(rows, ({ name }) => name, new Set(["x"]), COLUMNS, "-size", ({ size }) => String(size));
    assert.deepEqual(lines.map(({ key, row, rows }) => [key, row?.size ?? null, rows.length]), [["group y", null, 1], ["group x", null, 2], ["2", 2, 1], ["1", 1, 1]]);
});

test("CSV follows RFC 4180 and holds no formula", () => {
    const rows = [{ name: '=cmd|"x"', size: -5 }, { name: "a,b", size: 1.5 }, { name: "two\nlines", size: null }, { name: "@x", size: NaN }, { name: " pad", size: 0 }];
    assert.equal(csvOf(rows, COLUMNS), 'name,size\r\n"\'=cmd|""x""",-5\r\n"a,b",1.5\r\n"two\nlines",\r\n\'@x,\r\n" pad",0\r\n');
});

test("of ten thousand rows each is read a few times while they are filtered, sorted and grouped", () => {
    let reads = 0;
    const rows = Array.from({ length: 10_000 }, (_, n) => ({ get name() { reads++; return `type-${n * 7919 % 10_000}`; }, get size() { reads++; return n * 104_729 % 99_991; } }));
    const found = sorted(filtered(rows, "type -99", ({ name }) => name), COLUMNS, "-size");
    grouped(found, ({ name }) => name.slice(0, 6), new Set(["type-1"]), COLUMNS, "-size", ({ name }) => name);
    assert.ok(found.length > 9000 && reads < 10 * rows.length, `${reads} reads`); /* pairwise it would be 10,000 of each */
});

test("the address keeps a view's keys, and another view takes only the process along", () => {
    const address = new Address("#view=types&process=p&sort=-live_bytes&filter=a+b%26c");
    assert.deepEqual([address.view, address.process, address.get("filter"), address.get("none", "x"), address.number("none", 3)], ["types", "p", "a b&c", "x", 3]);
    assert.equal(address.with({ sort: null, page: 2 }), "#view=types&process=p&filter=a+b%26c&page=2");
    assert.equal(address.to("cycles", { shape: "x" }), "#view=cycles&process=p&shape=x");
    assert.equal(address.to("fleet", { process: null }), "#view=fleet");
    assert.deepEqual([new Address("#process=p").view, new Address("").view], ["process", "fleet"]);
});
