/* A timeline as trace events: held against the format, and read by what chrome://tracing is made of (catapult's model and
 * importer, as bigrig packs them; Debian's Chromium has left that page out). */

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { World, until } from "./world.mjs";

const require = createRequire(new URL("../../web/package.json", import.meta.url));

/** catapult's own model of a trace. It wants a window around it, and gets one for the while. */
function model(text) {
    const page = require("bigrig/lib/global-config.js");
    page.enable();
    try {
        ["third_party/tracing/importer/import.js", "third_party/tracing/extras/importer/trace_event_importer.js", "tracing-config.js"]
            .forEach((part) => require(`bigrig/lib/${part}`));
        const { tr } = globalThis, options = new tr.importer.ImportOptions(), read = new tr.Model();
        options.showImportWarnings = options.pruneEmptyContainers = options.shiftWorldToZero = false;
        new tr.importer.Import(read, options).importTraces([text]);
        return read;
    } finally {
        page.disable();
    }
}

describe("a timeline as trace events", () => {
    const world = new World();
    let base;

    const trace = async (query = "", path = base) => {
        const answer = await world.call("GET", `${path}/history?format=trace&from=-1m${query}`);
        assert.equal(answer.status, 200, answer.text.slice(0, 300));
        assert.equal(answer.headers["content-type"], "application/x-chrome-trace+json");
        assert.match(answer.headers["content-disposition"], /^attachment/);
        return answer;
    };
    const named = (events, ph) => events.filter((one) => one.ph === ph);

    before(async () => {
        await world.start();
        base = `/v1/processes/${world.names.live}`;
        const patched = await world.call("PATCH", `${base}/config`, { body: { thresholds: [500, 10, 10] } });
        assert.equal(patched.status, 200, patched.text);
        await world.tell(world.mal, "(churn 5000)");
        const last = await world.call("POST", `${base}/collect?wait=30s`, { body: {} });
        assert.equal(last.status, 200, last.text);
        await until("all its collections, the last of which was asked for, and two looks are in history", async () => {
            const { traceEvents } = (await trace()).json;
            return named(traceEvents, "X").filter((one) => one.args?.reason === "remote").length >= 2 &&
                named(traceEvents, "C").filter((one) => one.name === "live_bytes").length >= 2 &&
                named(traceEvents, "X").filter((one) => one.args?.reason === "threshold").length >= 10;
        });
    });
    after(() => world.stop());

    test("it is in order, slices nest, and every event is one of the format's", async () => {
        const { json } = await trace();
        const pid = Number(world.names.pid);
        assert.equal(json.otherData.process, world.names.live);
        assert.equal(json.otherData.complete, true);
        assert.equal(new Date(json.otherData.from).getTime() > Date.now() - 100_000, true);
        const events = json.traceEvents.filter((one) => one.ph !== "M");
        events.forEach((one, at) => {
            assert.equal(one.pid, pid);
            assert.ok(typeof one.name === "string" && one.ts >= 0 && "XCi".includes(one.ph), JSON.stringify(one));
            assert.ok(!at || one.ts >= events[at - 1].ts, "in the order of their times");
        });
        const open = [];
        for (const one of named(events, "X")) {
            assert.ok(one.dur >= 0 && one.tid === 1);
            while (open.length && open.at(-1).ts + open.at(-1).dur <= one.ts) {
                open.pop();
            }
            assert.ok(!open.length || one.ts + one.dur <= open.at(-1).ts + open.at(-1).dur, "inside what is open");
            assert.equal(open.length, one.args ? 0 : 1); /* a collection, or a phase of one */
            open.push(one);
        }
        for (const one of named(events, "C")) {
            assert.equal(Object.keys(one.args).length, 1);
            assert.ok(Number.isFinite(Object.values(one.args)[0]) && Object.values(one.args)[0] >= 0);
        }
    });

    test("collections are those of the API, to the nanosecond", async () => {
        const events = named((await trace()).json.traceEvents, "X").filter((one) => one.args);
        const { collections } = (await world.call("GET", `${base}/history/collections?limit=1000`)).json;
        assert.ok(collections.length >= 10);
        for (const one of collections) {
            const event = events.find(({ args }) => args.sequence === one.sequence);
            assert.ok(event, `collection ${one.sequence}`);
            assert.equal(event.name, `collection, ${one.reason}`);
            for (const name of ["reason", "scope", "generation", "examined", "collected", "freed_bytes", "live_bytes_before", "live_bytes_after", "pause_ns", "slices"]) {
                assert.equal(event.args[name], one[name], name);
            }
            assert.ok(Math.abs(event.dur * 1000 - one.pause_ns) < 1, `${event.dur} us, ${one.pause_ns} ns`);
        }
    });

    test("what somebody asked for is an instant", async () => {
        const instants = named((await trace()).json.traceEvents, "i");
        assert.ok(instants.every((one) => one.s === "p" && one.args.who));
        assert.ok(["collect", "config"].every((kind) => instants.some((one) => one.name === kind)), JSON.stringify(instants));
    });

    test("chrome://tracing's importer makes the same of it", async () => {
        const { text, json } = await trace();
        const read = model(text), [process] = read.getAllProcesses(), [thread] = Object.values(process.threads).filter((one) => one.sliceGroup.length);
        assert.deepEqual(read.importWarnings, []);
        assert.equal(read.getAllProcesses().length, 1);
        assert.equal(process.name, "bakery");
        assert.equal(thread.name, "heap 1");
        const events = named(json.traceEvents, "X");
        assert.equal(thread.sliceGroup.length, events.length);
        assert.equal(thread.sliceGroup.topLevelSlices.length, events.filter((one) => one.args).length);
        const remote = thread.sliceGroup.topLevelSlices.find((one) => one.args.reason === "remote");
        assert.ok(remote.subSlices.length >= 1 && remote.subSlices.every((one) => ["find", "callbacks", "free"].includes(one.title)));
        assert.equal(process.instantEvents.length, named(json.traceEvents, "i").length);
        const live = Object.values(process.counters).find((one) => one.name === "live_bytes");
        assert.equal(live.series[0].samples.length, named(json.traceEvents, "C").filter((one) => one.name === "live_bytes").length);
    });

    test("series, a heap and a stretch narrow it; a type's name is only text", async () => {
        const counters = (answer) => [...new Set(named(answer.json.traceEvents, "C").map((one) => one.name))];
        assert.deepEqual(counters(await trace("&series=candidates", `${base}/heaps/1`)), ["candidates"]);
        assert.deepEqual(counters(await trace("&series=type:atom.live_objects,frees.cycle")), ["type:atom.live_objects", "frees.cycle a second"]);
        const before = await world.call("GET", `${base}/history?format=trace&from=-2h&to=-1h`);
        assert.deepEqual(before.json.traceEvents.map((one) => one.ph), ["M"]);
        const wrong = await world.call("GET", `${base}/history?format=trace&series=nope`);
        assert.equal(wrong.status, 422);
        const nobody = await world.call("GET", `/v1/processes/${world.names.nobody}/history?format=trace`);
        assert.equal(nobody.status, 404);
    });

    test("it outlives its process", async () => {
        const { json } = await trace("", `/v1/processes/${world.names.gone}`);
        assert.ok(named(json.traceEvents, "M").some((one) => one.args.name === "short"));
    });
});
