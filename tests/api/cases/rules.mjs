/* Rules and alerts. The columns stand in processes.mjs. */

import assert from "node:assert/strict";

const rule = { when: { series: "live_objects", above: 1e15 }, do: ["log", "alert"] };
const whole = {
    enabled: true, selector: { name: "shop", label: { shard: "1" } }, every: "5m", limit_per_hour: 360,
    when: { series: "type_live_bytes", type: "node", grows_by: "12.5%", grows_steadily: true, over: "10m", for: "1500ms" },
    do: ["alert", { collect: { generation: 1, deadline_ms: 900 } }, { config: { enabled: false } }],
};
const put = { route: "PUT /v1/rules/{rule}", at: { rule: "big-heap" } };
const wrong = (change, member) => ({ ...put, body: { ...rule, ...change }, status: 422, code: "bad_value",
    check: ({ json }) => assert.ok(json.detail.includes(member), json.detail) });

export const cases = [
    { ...put, body: rule, status: 201, check: ({ headers, json }) => {
        assert.equal(headers.location, "/v1/rules/big-heap");
        assert.equal(json.limit_per_hour, 6);
        assert.equal(json.when.for, "0s");
    } },
    { ...put, body: rule },
    { ...put, at: { rule: "leak" }, body: whole, status: 201, check: ({ json }) => assert.deepEqual(json.do, whole.do) },
    wrong({ do: ["shout"] }, "\"do[0]\" is not allowed: it must be one of [\"log\",\"alert\"]"),
    wrong({ do: [{ collect: { generation: 3 } }] }, "\"do[0].collect.generation\" is not allowed: it must be 0 to 2"),
    wrong({ do: [{ config: { manager: "none of them" } }] }, "do[0].config.manager"),
    wrong({ do: [{ collect: {}, config: {} }] }, "do[0]"),
    wrong({ when: { series: "weather", above: 1 } }, "of when must be one of these, not \"weather\": live_objects live_bytes "),
    wrong({ when: { series: "ä".repeat(99), above: 1 } }, `not "${"ä".repeat(40)}": live_objects`),
    wrong({ when: { series: "", above: 1 } }, " candidates_due pause_p99_ns "),
    wrong({ when: { series: "", above: 1 } }, " allocations_per_s "),
    wrong({ when: { series: "live_bytes", above: 1, below: 2 } }, "above"),
    wrong({ when: { series: "live_bytes", above: -1 } }, "above"),
    wrong({ when: { series: "live_bytes", grows_by: 1, over: "9s" } }, "over"),
    wrong({ name: "other" }, "name"),
    wrong({ limit_per_hour: 0 }, "limit_per_hour"),
    wrong({ selector: { pid: 1 } }, "selector"),
    wrong({ colour: "red" }, "colour"),
    { ...put, body: rule, headers: { "If-Match": "\"0-1\"" }, status: 412, code: "precondition_failed" },
    { ...put, body: rule, headers: { "If-None-Match": "*" }, status: 412, code: "precondition_failed" },
    { route: "GET /v1/rules", check: ({ json }) => {
        assert.deepEqual(json.rules.map((one) => one.name), ["big-heap", "leak"]);
        assert.ok(json.series.some((one) => one.name === "allocations_per_s"));
    } },
    { route: "GET /v1/rules/{rule}", at: { rule: "leak" } },
    { route: "GET /v1/rules/{rule}", at: { rule: "none" }, status: 404, code: "no_such_rule" },
    { route: "GET /v1/rules/{rule}/states", at: { rule: "leak" } },
    { route: "GET /v1/rules/{rule}/states", at: { rule: "none" }, status: 404, code: "no_such_rule" },
    { route: "GET /v1/alerts", check: ({ json }) => assert.deepEqual(json.alerts, []) },
    { route: "GET /v1/alerts", query: { state: "firing", rule: "leak", limit: "5" } },
    { route: "DELETE /v1/rules/{rule}", at: { rule: "leak" }, status: 204 },
    { route: "DELETE /v1/rules/{rule}", at: { rule: "leak" }, status: 404, code: "no_such_rule" },
];
