/* Idempotency-Key: what was asked for once with a key is not done again with it. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { World, until } from "./world.mjs";

describe("Idempotency-Key", () => {
    const world = new World();
    let collect;

    before(async () => {
        await world.start();
        collect = `/v1/processes/${world.names.live}/collect`;
    });
    after(() => world.stop());

    const post = (key, { path = `${collect}?wait=30s`, body = {}, ...more } = {}) =>
        world.call("POST", path, { body, headers: { "Idempotency-Key": key }, ...more });
    const count = async () => (await world.call("GET", "/v1/operations")).json.operations.length;

    test("the same request is the same operation", async () => {
        const first = await post("one");
        const begun = await count();
        for (let i = 0; i < 5; i++) {
            const again = await post("one");
            assert.equal(again.status, 200, again.text);
            assert.equal(again.json.id, first.json.id);
            assert.equal(again.headers.location, first.headers.location);
        }
        assert.equal((await post("one", { path: collect })).json.id, first.json.id); /* how long one waits is no other request */
        assert.equal(await count(), begun);
        assert.notEqual((await post("two")).json.id, first.json.id);
    });

    test("another request with it is 422", async () => {
        await post("three");
        for (const other of [{ body: { generation: 1 } }, { path: `/v1/processes/${world.names.ledger}/collect` }]) {
            const answer = await post("three", other);
            assert.equal(answer.status, 422);
            assert.equal(answer.json.code, "key_reused");
        }
        assert.equal((await post("three")).status, 200);
    });

    test("a key is its sender's own", async () => {
        const minted = await world.call("POST", "/v1/session", { body: {} });
        const { json: { token } } = await world.call("POST", "/v1/session", { body: { code: minted.json.code }, tcp: true });
        const first = await post("four");
        const theirs = await world.call("POST", `${collect}?wait=30s`,
            { body: {}, tcp: true, headers: { "Idempotency-Key": "four", Authorization: `Bearer ${token}` } });
        assert.equal(theirs.status, 200, theirs.text);
        assert.notEqual(theirs.json.id, first.json.id);
    });

    test("who asks again meanwhile waits for the same operation", async () => {
        world.mal.kill("SIGSTOP");
        try {
            const begun = await count();
            const both = [post("five"), post("five")];
            await until("it has begun", async () => await count() > begun);
            const third = await post("five", { path: collect });
            assert.equal(third.status, 202);
            world.mal.kill("SIGCONT");
            const [one, two] = await Promise.all(both);
            assert.deepEqual([one.json.id, two.json.id], [third.json.id, third.json.id]);
            assert.equal(one.json.state, "succeeded");
            assert.equal(await count(), begun + 1);
        } finally {
            world.mal.kill("SIGCONT");
        }
    });

    test("what failed may be tried again, and bad keys are refused", async () => {
        assert.equal((await post("six", { body: { generation: 9 } })).status, 422);
        assert.equal((await post("six")).status, 200);
        const gone = `/v1/processes/${world.names.gone}/collect`;
        assert.equal((await post("seven", { path: gone })).status, 410);
        assert.equal((await post("seven", { path: `${collect}?wait=30s` })).status, 200);
        for (const key of ["", " ", "a b", "x".repeat(129), "\u00e9"]) {
            assert.equal((await post(key)).status, 400, key);
        }
        assert.equal((await post("x".repeat(128))).status, 200);
    });
});
