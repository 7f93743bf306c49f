/* What the program is asked for: listings, freezing, baselines, batches, and its events. The columns stand in processes.mjs. */

import assert from "node:assert/strict";

const finished = ({ json }) => assert.equal(json.state, "succeeded", JSON.stringify(json));
const is = (kind, more = () => {}) => (answer) => {
    finished(answer);
    assert.equal(answer.json.kind, kind);
    more(answer.json);
};
const live = { id: "live" };
const wait = { wait: "30s" };
const levels = [["", live], ["/heaps/{n}", { id: "live", n: 1 }]];

/** Every control of a process that is gone, and of one that is not there. */
const absent = (method, route, body) => [["gone", 410, "process_gone"], ["nobody", 404, "no_such_process"]].map(([id, status, code]) => (
    { route: `${method} ${route}`, at: { id, n: 1, index: 0 }, body, status, code }));

export const cases = levels.flatMap(([heap, at]) => {
    const below = `/v1/processes/{id}${heap}`;
    return [
        { route: `POST ${below}/collect`, at, query: wait, body: { dry_run: true }, check: is("find_cycles", ({ result }) => assert.ok(result.unreachable >= 0)) },
        { route: `POST ${below}/freeze`, at, query: wait, body: {}, check: is("freeze", ({ result }) => assert.ok(result.frozen > 0)) },
        { route: `GET ${below}/objects`, at, query: { generation: "frozen", limit: "1000" },
          check: ({ json }) => assert.ok(json.objects.length && json.objects.every((one) => one.generation === "frozen")) },
        { route: `POST ${below}/unfreeze`, at, query: wait, body: { deadline_ms: 20000 }, check: is("unfreeze", ({ result }) => assert.equal(result.frozen, 0)) },
        { route: `GET ${below}/objects`, at, query: { limit: "3" }, check: async ({ json, headers }, world) => {
            assert.equal(json.objects.length, 3);
            assert.equal(json.complete, false);
            const numbers = json.objects.map((one) => one.object);
            assert.deepEqual(numbers, [...numbers].sort((one, other) => one - other));
            assert.match(headers.link, /cursor=/);
            const path = `/v1/processes/${world.names.live}${heap.replace("{n}", "1")}/objects`;
            const next = await world.call("GET", `${path}?limit=3&cursor=${json.next_cursor}`);
            assert.equal(next.json.objects.length, 3);
            assert.ok(next.json.objects[0].object > numbers[2]);
            const operation = await world.call("GET", `/v1/operations/${json.operation}`);
            assert.deepEqual(operation.json.result.objects, json.objects);
            const lines = await world.call("GET", `${path}?limit=3`, { headers: { Accept: "application/x-ndjson" } });
            assert.equal(lines.text.trim().split("\n").length, 3);
        } },
        { route: `GET ${below}/objects`, at, query: { type: "list" }, check: ({ json }) => assert.ok(json.objects.every((one) => one.type === "list")) },
        { route: `GET ${below}/objects`, at, query: { type: "no-such-type" }, status: 422, code: "bad_value" },
        { route: `GET ${below}/objects`, at, query: { cursor: "x" }, status: 422, code: "bad_value" },
        { route: `GET ${below}/objects`, at, query: { wait: "0s" }, status: [200, 202], check: ({ status, json, headers }) => {
            assert.ok(status === 200 || headers.location === `/v1/operations/${json.id}`);
        } },
        ...absent("GET", `${below}/objects`),
        { route: `GET ${below}/garbage`, at: { ...at, id: "saved" }, check: ({ json }) => {
            assert.ok(json.garbage.length && json.garbage.every((one, index) => one.index === index));
            assert.equal(json.heaps[0].total, json.garbage.length);
        } },
        { route: `GET ${below}/garbage/{index}/referrers`, at: { ...at, id: "saved", index: 0 }, check: ({ json }) => {
            assert.ok(json.referrers.length);
            assert.ok(json.heaps[0].object > 0);
        } },
        { route: `GET ${below}/garbage/{index}/referrers`, at: { ...at, id: "saved", index: 4000000000 }, status: 404, code: "no_such_entry" },
        ...absent("GET", `${below}/garbage/{index}/referrers`),
        ...absent("GET", `${below}/garbage`),
        { route: `GET ${below}/candidates`, at, check: ({ json }) => {
            assert.equal(json.complete, true);
            assert.equal(json.candidates.reduce((sum, one) => sum + one.candidates, 0), json.heaps[0].total);
            assert.ok(json.candidates.every((one) => one.survived <= one.candidates && one.type));
        } },
        ...absent("GET", `${below}/candidates`),
        { route: `GET ${below}/cycles`, at, check: ({ json }) => assert.ok(json.cycles.length && json.cycles.every((one) => one.shape.includes(".") && one.count > 0)) },
        ...absent("GET", `${below}/cycles`),
        { route: `GET ${below}/events`, at: { ...at, id: "live" }, query: { wait: "300ms", kind: "alloc", limit: "10" },
          check: ({ json }) => assert.ok(json.events.every((one) => one.kind === "alloc")) },
        { route: `GET ${below}/events`, at, query: { wait: "0s", limit: "1" } },
        ...absent("GET", `${below}/events`),
        ...absent("POST", `${below}/freeze`, {}), ...absent("POST", `${below}/unfreeze`, {}),
    ];
}).concat([
    { route: "POST /v1/processes/{id}/garbage/clear", at: { id: "saved" }, query: wait, body: {}, check: is("garbage_clear", ({ result }) => assert.ok(result.cleared > 0)) },
    { route: "POST /v1/processes/{id}/heaps/{n}/garbage/clear", at: { id: "saved", n: 1 }, query: wait, body: {}, check: is("garbage_clear") },
    ...absent("POST", "/v1/processes/{id}/garbage/clear", {}),
    { route: "GET /v1/processes/{id}/types", at: { id: "saved" }, query: { baseline: "true" }, status: 409, code: "no_baseline" },
    { route: "POST /v1/processes/{id}/baseline", at: live, body: {}, check: is("baseline") },
    { route: "GET /v1/processes/{id}/types", at: live, query: { baseline: "true" }, check: ({ json }) => {
        assert.ok(json.baseline.seq > 0);
        assert.ok(json.types.every((one) => one.since_baseline.allocations >= 0));
    } },
    { route: "GET /v1/processes/{id}/heaps/{n}/types", at: { ...live, n: 1 }, query: { baseline: "true" }, check: ({ json }) => assert.ok(json.types[0].since_baseline) },
    ...absent("POST", "/v1/processes/{id}/baseline", {}),
    { route: "POST /v1/batch", query: wait, body: { selector: { label: { kind: "cycles" } }, kind: "collect", generation: 2 }, check: is("collect", (json) => {
        assert.equal(json.process, null);
        assert.equal(json.process_count, json.processes.length);
        assert.ok(json.processes.length);
        assert.ok(json.processes.every((one) => one.state === "succeeded" && one.heaps.length && one.result.collected >= 0));
    }) },
    { route: "POST /v1/batch", query: wait, body: { selector: { name: "bakery", state: "live" }, kind: "config", max_pause_us: 0 }, check: is("config") },
    ...["freeze", "unfreeze", "garbage_clear", "baseline"].map((kind) => (
        { route: "POST /v1/batch", query: wait, body: { selector: { name: "bakery" }, kind }, check: is(kind) })),
    { route: "POST /v1/batch", body: { selector: { name: "nobody has this name" }, kind: "collect" }, check: is("collect", (json) => assert.deepEqual(json.processes, [])) },
    { route: "POST /v1/batch", body: { selector: {}, kind: "freeze", generation: 1 }, status: 422, code: "bad_value",
      check: ({ json }) => assert.match(json.detail, /generation/) },
    { route: "POST /v1/batch", body: { selector: {}, kind: "collect", enabled: true }, status: 422, code: "bad_value" },
    { route: "POST /v1/batch", body: { kind: "collect" }, status: 422, code: "bad_value" },
    { route: "POST /v1/batch", body: { selector: { label: { a: 1 } }, kind: "collect" }, status: 422, code: "bad_value" },
]);
