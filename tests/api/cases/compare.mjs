/* Baselines, and two states beside each other. The columns stand in processes.mjs. */

import assert from "node:assert/strict";

const states = ["new", "grown", "shrunk", "gone", "same"];
const live = { id: "live" };
const compare = (query, more) => ({ route: "GET /v1/compare", query, ...more });
const ids = ({ json }) => json.baselines.map((one) => one.id);

export const cases = [
    { route: "GET /v1/processes/{id}/baselines", at: live, check: (answer, world) => {
        assert.ok(ids(answer).includes(world.names.baseline));
        assert.ok(answer.json.baselines.every((one) => one.process === world.names.live && one.type_count));
    } },
    { route: "GET /v1/processes/{id}/baselines", at: { id: "saved" }, check: (answer) => assert.deepEqual(ids(answer), []) },
    { route: "GET /v1/processes/{id}/baselines", at: { id: "nobody" }, status: 404, code: "no_such_process" },
    { route: "GET /v1/baselines", check: (answer, world) => assert.ok(ids(answer).includes(world.names.baseline)) },
    { route: "GET /v1/processes/{id}/types", at: live, query: { baseline: "{baseline}" }, check: ({ json }) => assert.ok(json.types[0].since_baseline) },
    { route: "GET /v1/processes/{id}/types", at: live, query: { type: "atom", histograms: "true" }, check: ({ json }) => {
        assert.deepEqual(json.types.map((one) => one.name), ["atom"]);
        assert.ok(json.types[0].lifetime_ns);
    } },
    { route: "GET /v1/processes/{id}/types", at: live, query: { type: "nothing" }, check: ({ json }) => assert.deepEqual(json.types, []) },
    { route: "GET /v1/processes/{id}/types", at: { id: "ledger" }, query: { baseline: "{baseline}" }, status: 409, code: "no_baseline" },
    compare({ a: "{baseline}", b: "now:{live}" }, { check: ({ json }, world) => {
        assert.equal(json.a.baseline, world.names.baseline);
        assert.equal(json.b.id, world.names.live);
        assert.equal(json.total.delta_objects, json.types.reduce((sum, one) => sum + one.delta_objects, 0));
        const ranks = json.types.map((one) => states.indexOf(one.state));
        assert.deepEqual(ranks, [...ranks].sort((one, other) => one - other));
        const atom = json.types.find((one) => one.type === "atom");
        assert.ok(atom.delta_objects >= 5 && ["new", "grown"].includes(atom.state), JSON.stringify(atom));
        states.forEach((state) => assert.equal(json.total.states[state], json.types.filter((one) => one.state === state).length));
    } }),
    compare({ a: "now:{live}", b: "now:{saved}", sort: "name" }, { check: ({ json }) => { /* two programs */
        assert.ok(json.types.some((one) => one.state === "gone") && json.types.some((one) => one.state === "new"));
        const names = json.types.map((one) => one.type);
        assert.deepEqual(names, [...names].sort());
    } }),
    compare({ a: "now:{live}", b: "now:{live}" }, { check: ({ json }) => assert.ok(json.types.length && json.types.every((one) => one.state === "same")) }),
    compare({ a: "now:{live}", b: "now:{gone}", state: "new,gone", limit: "1" }, { check: async ({ json, headers }, world) => {
        assert.equal(json.types.length, 1);
        assert.match(headers.link, /cursor=/);
        const seen = [json.types[0].type];
        for (let cursor = json.next_cursor; cursor;) {
            const { names } = world;
            const next = await world.call("GET", `/v1/compare?a=now:${names.live}&b=now:${names.gone}&state=new,gone&limit=1&cursor=${cursor}`);
            seen.push(next.json.types[0].type);
            cursor = next.json.next_cursor;
        }
        assert.equal(new Set(seen).size, json.total.states.new + json.total.states.gone);
    } }),
    compare({ a: "{baseline}", b: "now:{pid}" }, { headers: { Accept: "application/x-ndjson" }, check: ({ text }) => assert.ok(JSON.parse(text.split("\n")[0]).state) }),
    compare({ a: "{artifact}", b: "now:{live}" }, { check: ({ json }, world) => { /* of another program, and of one heap */
        assert.equal(json.a.artifact, world.names.artifact);
        assert.equal(json.a.name, "shop");
        assert.ok(json.total.a.objects >= 1000 && json.types.some((one) => one.state === "gone"));
    } }),
    compare({ a: "{artifact}", b: "{artifact}" }, { check: ({ json }) => assert.ok(json.types.length && json.types.every((one) => one.state === "same")) }),
    compare({ a: "ffffffffffffffff", b: "now:{live}" }, { status: 404, code: "no_such_artifact" }),
    compare({ a: "{baseline}" }, { status: 422, code: "bad_value" }),
    compare({ b: "{baseline}" }, { status: 422, code: "bad_value" }),
    compare({ a: "{baseline}", b: "now:{nobody}" }, { status: 404, code: "no_such_process" }),
    compare({ a: "now:{live}", b: "now:" }, { status: 404, code: "no_such_process" }),
    ...["..%2f..%2fetc", "{baseline}0", "{baseline}x", "-b1", "b1", "now", "%3Cscript%3E", "{live}"].map((a) => (
        compare({ a, b: "now:{live}" }, { status: 404, code: "no_such_baseline" }))),
    { route: "DELETE /v1/baselines/{baseline}", at: { baseline: "spare" }, status: [204, 404], check: async (answer, world) => {
        const list = await world.call("GET", "/v1/baselines");
        assert.ok(!ids(list).includes(world.names.spare) && ids(list).includes(world.names.baseline));
    } },
    { route: "DELETE /v1/baselines/{baseline}", at: { baseline: "0-b1" }, status: 404, code: "no_such_baseline" },
];
