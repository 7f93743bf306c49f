/* History, and the audit. The columns stand in processes.mjs. */

import assert from "node:assert/strict";

const recorded = ({ json }) => {
    assert.equal(json.resolution_s, 1);
    assert.ok(json.series.every((one) => one.last.length === json.at.length));
    assert.ok(json.series[0].last.some((value) => value !== null), "something was recorded");
};

export const cases = [
    { route: "GET /v1/processes/{id}/history", at: { id: "ledger" }, check: recorded },
    { route: "GET /v1/processes/{id}/history", at: { id: "ledger" }, query: { from: "-30s", to: "now", step: "1s", points: "100",
        series: "frees.cycle,live_bytes,type:node.live_bytes,rest.live_objects" },
      check: ({ json }) => assert.deepEqual(json.series.map((one) => one.kind), ["counter", "gauge", "gauge", "gauge"]) },
    { route: "GET /v1/processes/{id}/history", at: { id: "ledger" }, query: { series: "type:a,b.live_bytes,live_bytes" },
      check: ({ json }) => assert.deepEqual(json.series.map((one) => one.name), ["type:a,b.live_bytes", "live_bytes"]) },
    { route: "GET /v1/processes/{id}/history", at: { id: "ledger" }, query: { format: "trace" }, check: ({ json }) => assert.ok(json.traceEvents.length) },
    { route: "GET /v1/processes/{id}/history", at: { id: "ledger" }, query: { format: "csv" },
      check: ({ text }) => assert.match(text, /^time,"live_bytes","live_bytes min","live_bytes max",[^\r]*\r\n2/) },
    { route: "GET /v1/processes/{id}/history", at: { id: "ledger" }, headers: { accept: "text/csv" }, check: ({ text }) => assert.match(text, /^time,/) },
    ...["weather", "type:node", "type:node.weather", "rest.collections", "type:ä".repeat(30)].map((series) => (
        { route: "GET /v1/processes/{id}/history", at: { id: "ledger" }, query: { series: `live_bytes,${encodeURI(series)}` }, status: 422,
          code: "bad_value", check: ({ json }) => {
            assert.equal(json.parameter, "series");
            const whole = Buffer.byteLength(series) <= 80;
            assert.ok(json.detail.includes(`there is no "${whole ? `${series}"` : "type:ätype:ä"}`), json.detail);
            assert.match(json.detail, /there are: live_objects live_bytes .* candidates_due; .* with PATH one of: live_objects .* frees\.cycle$/);
        } })),
    ...[{ from: "yesterday" }, { from: "2026-02-30T00:00:00Z" },
        { from: "now", to: "-1h" }, { step: "1ms" }, { series: Array(17).fill("live_bytes").join(",") }].map((query) => (
            { route: "GET /v1/processes/{id}/history", at: { id: "ledger" }, query, status: 422, code: "bad_value" })),
    { route: "GET /v1/processes/{id}/history", at: { id: "nobody" }, status: 404, code: "no_such_process" },
    { route: "GET /v1/processes/{id}/heaps/{n}/history", at: { id: "ledger", n: 1 }, check: recorded },
    { route: "GET /v1/processes/{id}/history/collections", at: { id: "live" }, query: { heap: "1", limit: "1", from: "-1h" },
      check: ({ json }) => assert.equal(json.collections.length, 1) },
    { route: "GET /v1/history/processes", check: ({ json }) => assert.ok(json.processes.length) },
    { route: "GET /v1/history/processes", query: { process: "{live}", limit: "1" }, check: ({ json }) => assert.equal(json.processes[0].watched, true) },
    { route: "GET /v1/history/alerts" },
    { route: "GET /v1/audit", query: { who: "nobody", kind: "collect", target: "x", result: "done" }, check: ({ json }) => assert.equal(json.records.length, 0) },
    { route: "GET /v1/audit", query: { limit: "2", from: "-1h", to: "now" }, check: ({ json }) => assert.ok(json.records.length) },
    { route: "POST /v1/history/purge", body: { before: "-30d" }, check: ({ json }) => assert.equal(json.done, true) },
    ...[{ before: "soon" }, {}, { all: false }, { all: true, before: "-30d" }].map((body) => (
        { route: "POST /v1/history/purge", body, status: 422, code: "bad_value" })),
    { route: "DELETE /v1/processes/{id}/history", at: { id: "gone" } },
];
