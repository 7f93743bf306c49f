/* Downloads of artifacts: read back by others' readers, compressed where that is accepted, for who may, and while the artifact goes. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { SLOWER, World, until } from "./world.mjs";

const { Profile } = createRequire(new URL("../../web/package.json", import.meta.url))("pprof-format");
const OBJECTS = 20_000;

describe("downloads", () => {
    const world = new World();
    let path, types;

    before(async () => {
        await world.begin();
        world.names.artifact = world.artifact("app", OBJECTS, "a shop/\u00e4");
        await world.serve();
        path = `/v1/artifacts/${world.names.artifact}`;
        ({ types } = (await world.call("GET", `${path}/types`)).json);
    });
    after(() => world.stop());

    /** The answer, whose body has not been read. */
    const ask = (target, headers = {}, method = "GET") => new Promise((done, failed) => {
        request({ socketPath: join(world.run, "api.sock"), method, path: target, headers: { host: "x", ...headers }, agent: false }, done)
            .on("error", failed).end();
    });
    const bytes = async (target, headers, method) => {
        const answer = await ask(target, headers, method);
        const pieces = [];
        for await (const piece of answer) {
            pieces.push(piece);
        }
        return { answer, body: Buffer.concat(pieces) };
    };

    test("pprof's reader finds our figures by type", async () => {
        const { answer, body } = await bytes(`${path}?format=pprof`, { "accept-encoding": "gzip" });
        assert.equal(answer.headers["content-encoding"], undefined, "it is compressed in itself");
        assert.match(answer.headers["content-disposition"], /^attachment; filename="a_shop___-heap1-[0-9a-f]{16}\.pb\.gz"$/);
        const profile = Profile.decode(gunzipSync(body));
        const text = (at) => profile.stringTable.strings[Number(at)];
        assert.deepEqual(profile.sampleType.map((one) => [text(one.type), text(one.unit)]),
            [["objects", "count"], ["bytes", "bytes"], ["retained", "bytes"]]);
        assert.equal(text(profile.defaultSampleType), "bytes");
        const names = new Map(profile.function.map((one) => [Number(one.id), text(one.name)]));
        const frames = new Map(profile.location.map((one) => [Number(one.id), names.get(Number(one.line[0].functionId))]));
        const sums = new Map();
        for (const { locationId, value } of profile.sample) {
            const [type] = locationId.map((id) => frames.get(Number(id)));
            const garbage = frames.get(Number(locationId.at(-1))) === "(unreachable)";
            const sum = sums.get(type) ?? [0, 0, 0];
            sums.set(type, sum.map((so_far, i) => so_far + (i === 2 && garbage ? 0 : Number(value[i]))));
        }
        assert.deepEqual([...sums].sort(), types.map((type) => (
            [type.type, [type.objects, type.bytes + type.native_bytes, type.retained_bytes]])).sort());
    });

    test("a HEAD has the headers of the GET", async () => {
        const ticket = (await world.call("POST", `${path}/ticket`, { body: { format: "pprof" } })).json.url;
        for (const target of [`${path}?format=ndjson`, `${path}?format=pprof`, `${path}?format=heapsnapshot`, ticket]) {
            const headers = { "accept-encoding": "gzip" };
            const told = (await bytes(target, headers, "HEAD")).answer, sent = (await bytes(target, headers)).answer;
            assert.equal(sent.statusCode, 200, target);
            assert.ok(sent.headers["content-disposition"], target);
            for (const name of ["content-type", "content-disposition", "content-encoding", "vary", "cache-control", "x-content-type-options"]) {
                assert.equal(told.headers[name], sent.headers[name], `${name} of ${target}`);
            }
        }
    });

    test("NDJSON has every object and edge, and gzip the same", async () => {
        const plain = await bytes(`${path}?format=ndjson`);
        const packed = await bytes(`${path}?format=ndjson`, { "accept-encoding": "gzip" });
        assert.equal(packed.answer.headers["content-encoding"], "gzip");
        assert.ok(packed.body.length < plain.body.length / 3);
        assert.ok(gunzipSync(packed.body).equals(plain.body));
        const rows = plain.body.toString().trimEnd().split("\n").map((line) => JSON.parse(line));
        const artifact = (await world.call("GET", path)).json;
        assert.equal(rows.length, artifact.objects);
        assert.equal(rows.reduce((sum, row) => sum + row.edges.length, 0), artifact.edges);
        assert.equal(rows.reduce((sum, row) => sum + row.bytes, 0), artifact.bytes);
        const numbers = new Set(rows.map((row) => row.object));
        assert.ok(rows.every((row) => row.edges.every((edge) => numbers.has(edge.to))));
    });

    test("a token of scope read sees types, and no objects", async () => {
        const made = await world.call("POST", "/v1/tokens", { body: { name: "reader", scope: "read" } });
        const headers = { authorization: `Bearer ${made.json.token}` };
        const status = async (target) => (await world.call("GET", target, { headers, tcp: true })).status;
        assert.equal(await status(path), 200);
        assert.equal(await status(`${path}/types`), 200);
        for (const target of ["?format=ndjson", "?format=heapsnapshot", "/objects", "/objects/8194/path", "/dominators"]) {
            assert.equal(await status(path + target), 403, target);
        }
    });

    test("one that has begun ends as its token is revoked", async () => {
        const made = await world.call("POST", "/v1/tokens", { body: { name: "taker", scope: "control" } });
        const [hostname, port] = (await readFile(join(world.run, "http.addr"), "utf8")).trim().split(":");
        const answer = await new Promise((done, failed) => {
            request({ hostname, port, path: `${path}?format=ndjson`, headers: { authorization: `Bearer ${made.json.token}` }, agent: false },
                done).on("error", failed).end();
        });
        assert.equal(answer.statusCode, 200);
        await new Promise((readable) => answer.once("readable", readable));
        assert.equal((await world.call("DELETE", "/v1/tokens/taker")).status, 200);
        await assert.rejects(async () => {
            for await (const piece of answer) {
                assert.ok(piece.length);
            }
        }, { code: "ECONNRESET" });
    });

    test("four go on at once; who has begun goes on when the artifact is deleted", async () => {
        let begun = [];
        await until("four have begun", async () => { /* one that was cut off holds its place for a moment */
            begun.forEach((answer) => answer.destroy());
            begun = await Promise.all(Array.from({ length: 4 }, () => ask(`${path}?format=ndjson`)));
            return begun.every((answer) => answer.statusCode === 200);
        });
        const fifth = await bytes(`${path}?format=ndjson`);
        assert.equal(fifth.answer.statusCode, 503);
        assert.equal(JSON.parse(fifth.body).code, "too_many_downloads");
        assert.equal(fifth.answer.headers["retry-after"], "1");
        begun[3].destroy(); // hangs up in the middle
        assert.equal((await world.call("DELETE", path)).status, 204);
        assert.equal((await world.call("GET", path)).status, 404);
        for (const answer of begun.slice(0, 3)) {
            let lines = 0;
            for await (const piece of answer) {
                lines += piece.toString("latin1").split("\n").length - 1;
            }
            assert.equal(lines, OBJECTS);
        }
        await until("no download is left", async () => {
            const left = await bytes(`/v1/artifacts/${world.names.artifact}?format=ndjson`);
            return left.answer.statusCode === 404;
        });
    });

    test("tallyd ends at once while somebody downloads and does not read", async () => {
        world.names.artifact = world.artifact("app", OBJECTS, "other");
        world.daemon.kill("SIGTERM");
        await until("tallyd has ended", () => world.daemon.exitCode !== null);
        await world.serve();
        const stalled = await ask(`/v1/artifacts/${world.names.artifact}?format=ndjson`);
        stalled.on("error", () => {});
        const start = Date.now();
        world.daemon.kill("SIGTERM");
        await until("tallyd has ended", () => world.daemon.exitCode !== null);
        assert.ok(Date.now() - start < 5000 * SLOWER);
        assert.equal(world.daemon.exitCode, 0);
    });
});
