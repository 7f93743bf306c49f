/* Metrics. The columns stand in processes.mjs. */

import assert from "node:assert/strict";

const has = (...words) => ({ text }) => words.forEach((word) => assert.ok(text.includes(word), word));

export const cases = [
    { route: "GET /metrics", check: has("# TYPE tally_heap_live_bytes gauge\n", "uid=\"", "\n# EOF\n") },
    { route: "GET /metrics", query: { detail: "heaps,histograms,more,types" }, check: has("heap=\"1\"", "le=\"+Inf\"", "tally_type_live_bytes{") },
    { route: "GET /metrics", query: { detail: "app" }, check: ({ text }) => assert.ok(!text.includes("uid=\"")) },
    { route: "GET /metrics", query: { detail: "app,types" }, status: 422, code: "bad_value" },
    { route: "GET /metrics", query: { detail: "app,process" }, status: 422, code: "bad_value" },
    { route: "GET /metrics/sd", check: ({ json }) => assert.deepEqual(json.map((one) => one.targets.length), [1]) },
];
