/* Controls and their operations, and sessions. The columns stand in processes.mjs. */

import assert from "node:assert/strict";

const finished = ({ json }) => assert.equal(json.state, "succeeded");
const sink = { query: { wait: "30s" }, body: {} };

export const cases = [
    ...[["", {}], ["/heaps/{n}", { n: 1 }]].flatMap(([heap, n]) => [
        { route: `POST /v1/processes/{id}${heap}/collect`, at: { id: "live", ...n }, query: { wait: "30s" }, body: { generation: 2, deadline_ms: 20000 }, check: finished },
        { route: `POST /v1/processes/{id}${heap}/collect`, at: { id: "live", ...n }, ...sink, check: finished },
        { route: `POST /v1/processes/{id}${heap}/collect`, at: { id: "live", ...n }, body: {}, status: [202, 200],
          check: ({ headers, json }) => assert.equal(headers.location, `/v1/operations/${json.id}`) },
        { route: `POST /v1/processes/{id}${heap}/collect`, at: { id: "gone", ...n }, body: {}, status: 410, code: "process_gone",
          check: ({ headers, json }, { names }) => {
              assert.equal(json.post_mortem, `/v1/processes/${names.gone}`);
              assert.equal(headers.link, `<${json.post_mortem}>; rel="related"`);
          } },
        { route: `POST /v1/processes/{id}${heap}/collect`, at: { id: "nobody", ...n }, body: {}, status: 404, code: "no_such_process" },
        { route: `PATCH /v1/processes/{id}${heap}/config`, at: { id: "live", ...n },
          body: { thresholds: [700, 10, 10], debug: [], events: "all", max_pause_us: 0, memory_limit_bytes: 0, enabled: true, deadline_ms: 20000 } },
        { route: `PATCH /v1/processes/{id}${heap}/config`, at: { id: "live", ...n }, query: { wait: "30s" }, body: { manager: "generational" },
          check: ({ json }) => assert.equal(json.manager, "generational") },
        ...[[5, 5, false], [{ nth: 7, every_decref: true }, 7, true], [{}, 0, false]].map(([stress, nth, every]) => (
            { route: `PATCH /v1/processes/{id}${heap}/config`, at: { id: "ledger", ...n }, query: { wait: "30s" }, body: { stress },
              check: ({ json }) => assert.deepEqual(json.stress, { nth, every_decref: every }) })),
        ...[-1, 1.5, "5", true, { nth: -1 }, { nth: 2147483648 }, { every_decref: 1 }, { of: 3 }].map((stress) => (
            { route: `PATCH /v1/processes/{id}${heap}/config`, at: { id: "ledger", ...n }, body: { stress }, status: 422, code: "bad_value" })),
        { route: `PATCH /v1/processes/{id}${heap}/config`, at: { id: "gone", ...n }, body: { enabled: true }, status: 410, code: "process_gone" },
    ]),
    ...[["", {}], ["/heaps/{n}", { n: 1 }]].flatMap(([heap, n]) => [
        { route: `POST /v1/processes/{id}${heap}/snapshot`, at: { id: "live", ...n }, query: { wait: "30s" }, body: { mode: "clone", force: true, deadline_ms: 20000 },
          check: ({ json }) => {
              assert.equal(json.state, "succeeded");
              assert.match(json.result.artifact, /^[0-9a-f]{16}$/);
              assert.deepEqual([json.result.mode, json.result.instant], ["clone", true]);
              assert.ok(json.result.objects > 0 && json.result.predicted_pause_ns > 0 && json.result.pause_ns > 0);
              assert.equal(json.heaps[0].artifact, json.result.artifact);
          } },
        { route: `POST /v1/processes/{id}${heap}/snapshot`, at: { id: "live", ...n }, query: { wait: "30s" }, body: { mode: "slices" },
          check: ({ json }) => assert.deepEqual([json.state, json.result.mode, json.result.instant], ["succeeded", "slices", false]) },
        { route: `POST /v1/processes/{id}${heap}/snapshot`, at: { id: "gone", ...n }, body: {}, status: 410, code: "process_gone" },
        { route: `POST /v1/processes/{id}${heap}/snapshot`, at: { id: "nobody", ...n }, body: {}, status: 404, code: "no_such_process" },
        ...[{ mode: "fork" }, { force: 1 }, { deadline_ms: 0 }, { generation: 2 }].map((body) => (
            { route: `POST /v1/processes/{id}${heap}/snapshot`, at: { id: "live", ...n }, body, status: 422, code: "bad_value" })),
    ]),
    { route: "GET /v1/operations", check: ({ json }) => assert.ok(json.operations.length) },
    { route: "GET /v1/operations", query: { limit: "1" }, check: ({ json }) => assert.equal(json.operations.length, 1) },
    { route: "GET /v1/operations/{op}", at: { op: "operation" } },
    { route: "GET /v1/operations/{op}", at: { op: "0-1" }, status: 404, code: "no_such_operation" },
    { route: "DELETE /v1/operations/{op}", at: { op: "operation" } },
    { route: "DELETE /v1/operations/{op}", at: { op: "0-1" }, status: 404, code: "no_such_operation" },
    { route: "GET /v1/session", check: ({ json }) => assert.deepEqual(json.scopes, ["read", "control", "admin"]) },
    { route: "POST /v1/session", body: {}, status: 201, check: ({ json }, world) => { world.names.code = json.code; } },
    { route: "POST /v1/session", body: { code: "{code}" }, tcp: true },
    { route: "POST /v1/session", body: { code: "0" }, tcp: true, status: 401, code: "unauthorized" },
];
