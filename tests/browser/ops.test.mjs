/* The pure parts of the views of events, rules and the daemon: what is counted, read and reckoned there. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { evaluate, needs, secondsOf } from "../../web/condition.js";
import { parse, total } from "../../web/exposition.js";
import * as format from "../../web/format.js";
import { findings } from "../../web/health.js";
import { Pool } from "../../web/past.js";
import { bodyOf, conditionText, fieldOf, figure, figureText, formOf, valueText } from "../../web/rule.js";
import { Tail, gapText, ratesOf } from "../../web/tail.js";

const event = (object, more = {}) => ({ kind: "alloc", type: "node", bytes: 16, object, at_mono_ns: null, after_mono_ns: object, heap: 1, ...more });
const shown = (tail) => Array.from({ length: tail.length }, (_, age) => tail.at(age)).map(({ event: one, gap }) => gap ? { ...gap } : one.object);
const gap = (more) => ({ missed: 0, lost: 0, passed: 0, away_ms: 0, ...more });

describe("a tail", () => {
    test("keeps the newest, counts the others, and has gaps where they are", () => {
        const tail = new Tail(4);
        tail.take({ events: [event(1), event(2, { missed_before: 7, lost_before: 3 }), event(3)], missed: 7, lost: 3 }, 5);
        assert.deepEqual(shown(tail), [3, 2, gap({ missed: 7, lost: 3 }), 1]);
        tail.take({ events: [event(4), event(5)], missed: 0, lost: 0 }, 6);
        assert.deepEqual(shown(tail), [5, 4, 3, 2]);
        assert.deepEqual([tail.came, tail.dropped, tail.missed, tail.lost, tail.since], [5, 1, 7, 3, 5]);
    });
    test("paused, it stands still, and one gap says all that passed", () => {
        const tail = new Tail(10);
        tail.take({ events: [event(1)], missed: 0, lost: 0 }, 1);
        tail.paused = true;
        tail.take({ events: [event(2), event(3, { missed_before: 4 })], missed: 4, lost: 0 }, 1);
        tail.away(1500);
        assert.deepEqual(shown(tail), [1]);
        tail.paused = false;
        tail.take({ events: [event(4)], missed: 0, lost: 0 }, 1);
        assert.deepEqual(shown(tail), [4, gap({ missed: 4, passed: 2, away_ms: 1500 }), 1]);
        assert.match(gapText(tail.at(1).gap, format), /^4 missed: .*; 2 passed while the tail was paused; no stream for 1.50 s$/);
        assert.equal(tail.came, 4);
    });
    test("adds up by type, most first", () => {
        const tail = new Tail();
        tail.take({ events: [event(1), event(2, { type: "leaf" }), event(1, { kind: "free_cycle" }), { ...event(9), kind: "collection_start", type: null }], missed: 0, lost: 0 }, 1);
        assert.deepEqual(tail.byType(), [["node", { alloc: 1, free_refcount: 0, free_cycle: 1, bytes: 16 }], ["leaf", { alloc: 1, free_refcount: 0, free_cycle: 0, bytes: 16 }]]);
    });
    test("rates are those of the counters; of another process they tell nothing", () => {
        const stats = (seconds, allocations, id = "a") => ({ id, as_of_mono_ns: seconds * 1e9, allocations, frees: { refcount: 1, cycle: 0 }, collections: 0, events: { lost: 0 } });
        assert.deepEqual(ratesOf(stats(1, 100), stats(3, 300)), { alloc: 100, free_refcount: 0, free_cycle: 0, collection: 0, lost: 0 });
        assert.equal(ratesOf(stats(1, 100), stats(3, 300, "b")), null);
        assert.equal(ratesOf(stats(1, 100), stats(1, 100)), null);
    });
});

const SERIES = [{ name: "live_bytes", unit: "bytes", help: "" }, { name: "pause_p99_ns", unit: "nanoseconds", help: "" }, { name: "live_objects", unit: "objects", help: "" },
    { name: "allocations_per_s", unit: "objects a second", help: "" }, { name: "type_live_bytes", unit: "bytes", help: "" }];
const RULE = { name: "r", enabled: true, selector: { name: "shop", label: { a: "b", c: "d=e" } }, when: { series: "live_bytes", grows_by: "20%", grows_steadily: true, over: "1m", for: "5s" },
    do: ["log", { collect: { generation: 1 } }, { config: { max_pause_us: 2500 } }, { collect: { generation: 2, dry_run: true } }, { config: { debug: ["leak"] } }], every: "30s", limit_per_hour: 9 };

describe("a rule", () => {
    test("goes through the form unchanged, with what the form does not know", () => {
        const { name, ...rest } = RULE;
        assert.deepEqual(bodyOf(formOf({ ...RULE, name }, SERIES), SERIES), { ...rest, do: [RULE.do[0], RULE.do[1], RULE.do[2], RULE.do[3], RULE.do[4]] });
        const below = { ...RULE, when: { series: "type_live_bytes", type: "node", below: 1.5 * 1024 ** 3 } };
        assert.deepEqual(bodyOf(formOf(below, SERIES), SERIES).when, below.when);
        assert.equal(conditionText(below, SERIES), "type_live_bytes of node is below 1.5 GiB");
    });
    test("figures are read and written as people do", () => {
        for (const [text, unit, value] of [["64 MiB", "bytes", 64 * 1024 ** 2], ["1.5k", "objects", 1500], ["5 ms", "nanoseconds", 5e6], ["1,000", "objects", 1000], ["2 µs", "nanoseconds", 2000], ["10 MiB", "bytes a second", 10 * 1024 ** 2]]) {
            assert.equal(figure(text, unit), value, text);
        }
        for (const text of ["much", "5 apples", "", "20%", "-1"]) {
            assert.ok(Number.isNaN(figure(text, "bytes")), text);
        }
        for (const value of [0, 1, 1023, 1024, 1536, 123_456_789, 64 * 1024 ** 2, 5e6, 2 ** 53]) {
            assert.equal(figure(figureText(value, "bytes"), "bytes"), value);
            assert.equal(figure(figureText(value, "nanoseconds"), "nanoseconds"), value);
        }
        assert.equal(valueText(2048, "bytes a second"), "2.00 KiB/s");
        assert.equal(valueText(null, "objects"), "– objects");
    });
    test("a refusal belongs to its field", () => {
        for (const [message, pointer, field] of [
            ["member \"when.above\" is not allowed: it must be 0 to 9007199254740992", "/when/above", "bound"], ["x", "/selector/label/a", "labels"],
            ["member \"series\" of when must be one of GET /v1/rules' \"series\"", undefined, "series"], ["member \"over\" of when must be a time such as \"90s\"", undefined, "over"],
            ["\"config\" of do: member \"max_pause_us\" is wrong", undefined, "value"], ["x", "/do/1/collect/generation", "collect"], ["x", "/do", "log"],
            ["member \"every\" of the rule must be a time", undefined, "every"], ["a rule's name has 1 to 63 of a to z", undefined, "name"], ["tallyd cannot be reached", undefined, ""]]) {
            assert.equal(fieldOf({ message, pointer }), field, message);
        }
    });
});

describe("a condition", () => {
    const holds = (when, known) => { const { value, holds: so, why } = evaluate(when, known); return [value, so, why]; };
    test("of a figure, with and without a bound", () => {
        const stats = { live_bytes: 100, frees: { cycle: 5 } };
        assert.deepEqual(holds({ series: "live_bytes", above: 99 }, { stats }), [100, true, ""]);
        assert.deepEqual(holds({ series: "live_bytes", above: 100 }, { stats }), [100, false, ""]);
        assert.deepEqual(holds({ series: "frees.cycle", below: 6 }, { stats }), [5, true, ""]);
        assert.deepEqual(holds({ series: "live_bytes", above: "" }, { stats }), [100, null, "a bound is missing"]);
        assert.deepEqual(holds({ series: "nothing", above: 1 }, { stats }), [null, null, "it is not known yet"]);
    });
    test("of types: the largest, or the one that is named", () => {
        const types = { types: [{ name: "a", live_bytes: 5, live_objects: 1 }, { name: "b", live_bytes: 9, live_objects: 2 }] };
        assert.equal(evaluate({ series: "type_live_bytes", above: 6 }, { types }).type, "b");
        assert.equal(evaluate({ series: "type_live_bytes", below: 6 }, { types }).type, "a");
        assert.deepEqual(holds({ series: "type_live_objects", type: "z", above: 0 }, { types }), [null, null, "it has no type z"]);
    });
    test("of collections within the window", () => {
        const collections = { as_of_mono_ns: 100e9, collections: [[99, 5, 0], [98, 9, 0], [97, 1, 4], [30, 99, 0]].map(([at, pause, collected]) => ({ start_mono_ns: at * 1e9, pause_ns: pause, collected })) };
        assert.deepEqual(holds({ series: "pause_p99_ns", above: 8 }, { collections }), [9, true, ""]);
        assert.deepEqual(holds({ series: "collections_freeing_nothing", above: 1 }, { collections }), [2, true, ""]);
        assert.deepEqual(holds({ series: "pause_p99_ns", above: 8, over: "10s" }, { collections: { ...collections, as_of_mono_ns: 500e9 } }), [null, null, "no collection within that time"]);
    });
    test("of rates and growth, out of history", () => {
        const at = Array.from({ length: 20 }, (_, i) => i);
        const history = (last, min = null) => ({ at, series: [{ last, min }] });
        assert.deepEqual(holds({ series: "allocations_per_s", above: 9 }, { history: history(at.map((t) => t * 10)) }), [10, true, ""]);
        assert.deepEqual(holds({ series: "allocations_per_s", above: 9 }, { history: history(at.map(() => null)) }), [null, null, "it is not known for so long yet"]);
        const rising = history(at, at.map((t) => 100 + t));
        assert.deepEqual(holds({ series: "live_bytes", grows_by: 8 }, { history: rising }), [8, true, ""]);
        assert.deepEqual(holds({ series: "live_bytes", grows_by: "20%" }, { history: rising }), [8, false, ""]);
        assert.deepEqual(holds({ series: "live_bytes", grows_steadily: true }, { history: rising }), [8, true, ""]);
        const saw = history(at, at.map((t) => 100 + t * 3 - (t % 2) * 7));
        assert.equal(evaluate({ series: "live_bytes", grows_steadily: true }, { history: saw }).holds, false);
        assert.match(needs({ series: "type_live_bytes", type: "a/b", grows_by: 1, over: "80s" }).history, /series=type%3Aa%2Fb.live_bytes&from=-100s&step=10s/);
        assert.deepEqual(needs({ series: "type_live_bytes", grows_by: 1 }), {});
        assert.deepEqual(["90s", "5m", "250ms", "1d", "soon", "5"].map(secondsOf), [90, 300, 0.25, 86_400, NaN, NaN]);
    });
});

describe("a pool of collections", () => {
    const collection = (sequence, seconds) => ({ heap: 1, sequence, started_at: new Date(seconds * 1000).toISOString(), reason: "threshold", generation: 0, pause_ns: 1, collected: 0, freed_bytes: 0 });
    test("stays as small as what a page shows, however long it is open", () => {
        const pool = new Pool();
        let most = 0;
        for (let second = 0; second < 20_000; second++) {
            pool.add([collection(second, second)]);
            pool.bound({ from: second - 300, to: second });
            most = Math.max(most, pool.marks.size);
        }
        assert.ok(most <= 4000, `${most} were kept`);
        assert.equal(pool.list(({ t }) => t >= 19_700 && t < 20_000).length, 300);
    });
    test("keeps a wide window whole, up to its bound", () => {
        const pool = new Pool();
        pool.add(Array.from({ length: 15_000 }, (_, i) => collection(i, i)));
        pool.bound({ from: 0, to: 15_000 });
        assert.equal(pool.marks.size, 11_000);
        assert.equal(pool.list(() => true)[0].t, 14_999);
    });
});

describe("figures of the daemon", () => {
    const TEXT = ["# HELP tallyd_x_total What \\\\ \\n it is.", "# TYPE tallyd_x_total counter", 'tallyd_x_total{route="/a\\"b",code="200"} 3', 'tallyd_x_total{route="/c",code="500"} 4', "other 9", "tallyd_up 1", "# EOF"].join("\n");
    test("are read out of Prometheus' text", () => {
        const figures = parse(TEXT, ["tallyd_"]);
        assert.equal(figures.get("tallyd_x_total").help, "What \\ \n it is.");
        assert.deepEqual(figures.get("tallyd_x_total").samples[0], { labels: { route: "/a\"b", code: "200" }, value: 3 });
        assert.deepEqual([total(figures, "tallyd_x_total"), total(figures, "tallyd_x_total", { code: "500" }), total(figures, "tallyd_x_total", { code: "1" }), total(figures, "other")], [7, 4, null, null]);
    });
    test("what is wrong comes first, and a daemon that is well has notes at most", () => {
        const well = { limits: { streams: 64 }, history: { figures: true, ready: true, degraded: false, rows_dropped: 0, bytes: 1, size_bytes: 100 }, refused: [], service: "tallyd.service", sandbox: { detail: null } };
        assert.deepEqual(findings(well, new Map()), []);
        const figures = parse("tallyd_sse_clients 64\ntallyd_rule_windows_dropped 2\ntallyd_longest_round_seconds{thread=\"intake\"} 3\ntallyd_log_lines_left_out_total 1", ["tallyd_"]);
        const ill = findings({ ...well, service: null, refused: [{ reason: "no", count: 1, last_at: null }] }, figures);
        assert.deepEqual(ill.map(({ tone }) => tone), ["bad", "bad", "warn", "warn", "note", "note"]);
        assert.equal(ill[0].title, "64 of 64 streams are in use.");
        assert.ok(ill.every(({ advice }) => advice.length > 20));
    });
});
