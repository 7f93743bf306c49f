/* Who leaks, and what costs the collector its time. The columns stand in processes.mjs; what grows is told by
 * tests/unit/stats/test_suspects.c in hours that take no time, and by tests/scenario/test_suspects.py with real programs. */

import assert from "node:assert/strict";
import { until } from "../world.mjs";

const live = { id: "live" };
const heap = { id: "live", n: 1 };

const ask = async (world, leaf) => {
    const answer = await world.call("GET", `/v1/processes/${world.names.live}/${leaf}`);
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
};

export const cases = [["", live], ["/heaps/{n}", heap]].flatMap(([below, at]) => [
    { route: `GET /v1/processes/{id}${below}/suspects`, at, check: async ({ json }, world) => {
        const atom = json.reclaimed.find((one) => one.type === "atom"); /* all its garbage is knots */
        assert.ok(atom.by_cycle >= 2000 && atom.share > 0.9 && atom.share_of_collected > 0.2, JSON.stringify(json.reclaimed));
        assert.ok(json.collector.examined >= json.collector.collected && json.collector.collected >= atom.by_cycle);
        assert.deepEqual(json.growing, []);
        assert.equal(json.external === null, json.completeness.external.as_of === null); /* other cases take snapshots */
        const cycles = await ask(world, "cycles"), candidates = await ask(world, "candidates");
        const again = await ask(world, `${below.replace("{n}", "1").slice(1)}/suspects`.replace(/^\//, ""));
        const known = again.reclaimed.find((one) => one.type === "atom").cycle;
        assert.ok(cycles.cycles.some((one) => one.shape === known.shape), known.shape);
        assert.ok(known.weaken === null || known.shape.includes(known.weaken.edge), JSON.stringify(known));
        assert.equal(again.completeness.reclaimed.complete, true);
        assert.equal(again.completeness.always_alive.as_of, candidates.as_of);
        assert.ok(Array.isArray(again.always_alive));
    } },
    { route: `GET /v1/processes/{id}${below}/suspects`, at, query: { limit: "1" }, check: ({ json }) => {
        assert.equal(json.reclaimed.length, 1);
        assert.ok(json.completeness.reclaimed.rows >= 1);
    } },
    { route: `GET /v1/processes/{id}${below}/suspects`, at: { ...at, id: "nobody" }, status: 404, code: "no_such_process" },
]).concat([
    { route: "GET /v1/processes/{id}/suspects", at: live, check: async (answer, world) => {
        const taken = await world.call("POST", `/v1/processes/${world.names.live}/snapshot?wait=30s`, { body: { force: true } });
        assert.equal(taken.status, 200, taken.text);
        const { artifact } = taken.json.result;
        await until("the snapshot is analysed", async () => (await world.call("GET", `/v1/artifacts/${artifact}`)).json.state === "ready");
        const { external, completeness } = await ask(world, "suspects?limit=1000");
        assert.equal(completeness.external.complete, true);
        assert.ok(external.length && external.every((one) => one.artifact === artifact && one.heap === 1 && one.references > 0), JSON.stringify(external));
        assert.deepEqual(external.map((one) => one.references), external.map((one) => one.references).sort((a, b) => b - a));
        const types = (await world.call("GET", `/v1/artifacts/${artifact}/types?limit=1000`)).json.types;
        external.forEach((one) => assert.equal(types.find(({ type }) => type === one.type).external, one.references));
        assert.ok(external.length > 1);
        const paged = [];
        for (let cursor = ""; cursor !== null && paged.length <= external.length;) {
            const page = await ask(world, `suspects?limit=1${cursor && `&cursor=${cursor}`}`);
            assert.equal(page.external.length, 1);
            assert.equal(page.completeness.external.rows, external.length);
            paged.push(...page.external);
            cursor = page.next_cursor;
        }
        assert.deepEqual(paged, external);
        await world.call("DELETE", `/v1/artifacts/${artifact}`);
    } },
    { route: "GET /v1/processes/{id}/suspects", at: { id: "gone" }, check: ({ json }) => assert.equal(json.state, "gone") },
    { route: "GET /v1/processes/{id}/heaps/{n}/suspects", at: { id: "live", n: 99 }, status: 404, code: "no_such_heap" },
]);
