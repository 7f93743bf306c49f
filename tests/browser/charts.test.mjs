/* What charts are made of, without a browser: how history and stream are joined, windows, reasons, the map of pauses. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { BOUNDS, SHADES, byReason, columnsAt, heatOf, heatText, quantile, rowLabel, rowOf, shadeOf } from "../../web/heat.js";
import { POINTS, RANGES, heldWords, panned, windowOf, zoomed } from "../../web/ranges.js";
import { REASONS, hiddenOf, reasonOf, toggled } from "../../web/reasons.js";
import { SERIES, Track, lowerBound } from "../../web/track.js";

const figures = (allocations, more = {}) => ({ live_bytes: 64 * allocations, live_objects: allocations, candidates: 1, candidates_due: 700, mapped_bytes: 65536, extern_bytes: 0,
    allocations, frees: { refcount: 0, cycle: 0 }, pause_ns: 0, collections: 0, ...more });

/** History's answer whose figures at `at` are all of them `values`; null is what was not recorded. */
const answer = (at, values, step_s = 1, spread = 0) => ({ at, step_s, series: SERIES.split(",").map((name) => ({ name, last: values,
    min: values.map((value) => value === null ? null : value - spread), max: values.map((value) => value === null ? null : value + spread) })) });

test("readings are drawn as they are, rates over a second or more", () => {
    const track = new Track();
    for (let i = 0; i <= 20; i++) {
        track.push(1000 + i / 4, figures(100 * i));
    }
    const { t, last, rate } = track.view(1000, 1005, 600);
    assert.equal(t.length, 21);
    assert.deepEqual(last.live_objects.slice(0, 3), [0, 100, 200]);
    assert.equal(rate.allocations[0], null);
    assert.ok(rate.allocations.slice(1).every((value) => Math.abs(value - 400) < 1e-9), String(rate.allocations));
});

test("silence is a gap, never zero, and no rate reaches across it", () => {
    const track = new Track();
    [0, 1, 2, 60, 61, 62].forEach((s) => track.push(1000 + s, figures(10 * s)));
    const { t, last, rate } = track.view(1000, 1062, 600);
    assert.equal(t.length, 7);
    const gap = last.live_bytes.indexOf(null);
    assert.equal(gap, 3);
    assert.equal(last.allocations.filter((value) => value === null).length, 1);
    assert.equal(rate.allocations[gap + 1], null);
    assert.equal(rate.allocations[gap + 2], 10);
    track.gap();
    track.push(1063, figures(630));
    assert.equal(track.view(1000, 1063, 600).last.live_bytes.filter((value) => value === null).length, 1, "a second without a reading is bridged");
});

test("what history did not record is a gap", () => {
    const track = new Track();
    track.absorb(answer([10, 20, 30, 40, 50, 60, 70], [1, 2, null, null, null, 6, 7], 10));
    const { t, last } = track.view(0, 100, 600);
    assert.deepEqual(last.live_bytes, [1, 2, null, 6, 7]);
    assert.deepEqual(t.filter((_, row) => last.live_bytes[row] !== null), [10, 20, 60, 70], "at the ends of the steps");
});

test("a step of many values keeps their extremes, and there are never more points than asked for", () => {
    const track = new Track();
    for (let i = 0; i < 3000; i++) {
        track.push(1000 + i / 4, figures(i, { live_bytes: i === 1234 ? 1e6 : i === 1236 ? 1 : 1000 }));
    }
    const { t, last, low, high } = track.view(1000, 1750, POINTS);
    assert.ok(t.length <= POINTS + 1, String(t.length));
    assert.equal(Math.max(...high.live_bytes), 1e6);
    assert.equal(Math.min(...low.live_bytes), 1);
    assert.ok(!last.live_bytes.includes(1e6) || last.live_bytes.filter((value) => value === 1e6).length === 1);
    assert.equal(track.coarse(1000, 1750, 60).t.length <= 61, true);
    assert.equal(track.view(1000, 1750, POINTS).t.length, t.length);
});

test("history's extremes are kept", () => {
    const track = new Track();
    track.absorb(answer([10, 20, 30], [100, 100, 100], 10, 7));
    const { low, high } = track.view(0, 40, 600);
    assert.deepEqual([low.live_bytes, high.live_bytes], [[93, 93, 93], [107, 107, 107]]);
});

test("the stream goes on where history ends; history fills the hole of a hidden tab, and is second where both tell", () => {
    const track = new Track();
    for (let s = 100; s <= 110; s++) {
        track.push(s, figures(1000 + s));
    }
    track.gap();
    for (let s = 150; s <= 160; s++) {
        track.push(s, figures(1000 + s));
    }
    const seconds = Array.from({ length: 100 }, (_, i) => 60 + i);
    track.absorb(answer(seconds, seconds));
    const { t, last } = track.view(60, 160, 600);
    assert.ok(!last.allocations.includes(null), "no gap is left");
    assert.deepEqual(t, [...t].sort((a, b) => a - b));
    t.forEach((at, row) => assert.equal(last.allocations[row], (at >= 100 && at <= 110) || at >= 150 ? 1000 + at : at, `at ${at}`));
});

test("memory is flat: old readings are overwritten", () => {
    const track = new Track();
    for (let i = 0; i < 20_000; i++) {
        track.push(i / 4, figures(i));
    }
    const { t } = track.view(0, 5000, 600);
    assert.ok(t[0] > 3000 && t[0] < 4200, String(t[0]));
    assert.equal(track.count, 20_000);
});

test("windows: ranges move on, a held one stays, zoom and move keep within bounds", () => {
    const asked = (words) => new URLSearchParams(words);
    assert.deepEqual(RANGES.map(({ name }) => name), ["1m", "5m", "15m", "1h", "6h", "1d", "7d", "31d"]);
    assert.deepEqual(windowOf(asked("range=15m"), 10_000), { from: 9100, to: 10_000, held: false, range: RANGES[2] });
    assert.equal(windowOf(asked("range=nonsense"), 10_000).range.name, "5m");
    assert.equal(windowOf(asked(""), 10_000, 20).range.name, "1m", "what is young is shown from near");
    assert.equal(windowOf(asked("range=1h"), 10_000, 20).range.name, "1h");
    const held = windowOf(asked("from=100.5&to=200"), 10_000);
    assert.deepEqual([held.from, held.to, held.held], [100.5, 200, true]);
    assert.equal(windowOf(asked("from=200&to=100"), 10_000).held, false);
    assert.deepEqual(heldWords(100, 100.1), { from: "99.050", to: "101.050" });
    assert.deepEqual(zoomed({ from: 0, to: 100 }, 25, 0.5), { from: 12.5, to: 62.5 });
    assert.deepEqual(panned({ from: 0, to: 100 }, 0.5), { from: 50, to: 150 });
    const widest = zoomed({ from: 1e9, to: 1e9 + 31 * 86_400 }, 1e9, 2);
    assert.equal(widest.to - widest.from, 31 * 86_400);
});

test("reasons are told apart by shape and letter too, and one of a later tallyd is named", () => {
    assert.equal(new Set(REASONS.map(({ letter }) => letter)).size, REASONS.length);
    assert.equal(new Set(REASONS.map(({ outline }) => String(outline))).size, REASONS.length);
    assert.equal(reasonOf("moon_phase").label, "moon phase");
    assert.equal(toggled(hiddenOf("remote"), "explicit"), "explicit,remote");
    assert.equal(toggled(hiddenOf("explicit,remote"), "remote"), "explicit");
});

test("the map counts every pause in its cell, and says so in words", () => {
    assert.equal(rowOf(0), 0);
    assert.equal(rowOf(999), 0);
    assert.equal(rowOf(1000), 1);
    assert.equal(rowOf(1e12), BOUNDS.length - 1);
    assert.equal(rowLabel(rowOf(2_000_000)), "1.00 ms – 3.16 ms");
    const marks = [[10, 2e6], [10.5, 2e6], [99, 5e3], [100, 5e3], [9, 1]].map(([t, pause_ns]) => ({ t, pause_ns, reason: "threshold" }));
    const heat = heatOf(marks, 10, 100, 9);
    assert.equal(heat.total, 3);
    assert.equal(heat.counts[rowOf(2e6) * 9], 2);
    assert.equal(heat.counts[rowOf(5e3) * 9 + 8], 1);
    assert.match(heatText(heat), /^3 pauses\. 1\.00 ms – 3\.16 ms: 2, .*; 3\.16 µs – 10\.0 µs: 1, /);
    assert.equal(heatText(heatOf([], 0, 1, 3)), "No collection in this time.");
    assert.deepEqual([shadeOf(0, 9), shadeOf(1, 9), shadeOf(9, 9), shadeOf(1, 1)], [0, 1, SHADES, SHADES]);
    assert.deepEqual([...byReason([{ reason: "remote" }, { reason: "threshold" }, { reason: "remote" }])], [["threshold", 1], ["remote", 2]]);
});

test("the map's columns stay where they are while the window moves on", () => {
    const first = columnsAt(1000, 1300, 30);
    assert.deepEqual(first, { from: 1010, to: 1310 });
    assert.deepEqual(columnsAt(1004, 1304, 30), first);
    assert.equal(columnsAt(1010, 1310, 30).from, 1020);
});

test("small things", () => {
    assert.equal(quantile([1, 2, 3, 4], 0.5), 2);
    assert.equal(quantile([1, 2, 3, 4], 0.99), 4);
    assert.ok(Number.isNaN(quantile([], 0.5)));
    assert.equal(lowerBound([1, 3, 5], 3), 1);
    assert.equal(lowerBound([1, 3, 5], 6), 3);
});
