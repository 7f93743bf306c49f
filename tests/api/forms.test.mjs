/* What holds for many routes at once: conditional requests, HEAD, pages, rows a line, compression, large integers. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { World, until } from "./world.mjs";

const MANY = 12;

describe("forms of answers", () => {
    const world = new World();
    let live;

    before(async () => {
        await world.start();
        live = `/v1/processes/${world.names.live}`;
        const loaves = Array.from({ length: MANY }, (none, i) => world.spawn("tally-mal", "--name", `loaf-${i % 4}`, "--label", "kind=loaf"));
        await until("all are attached", async () => (await world.call("GET", "/v1/processes?label=kind:loaf"))
            .json.processes.filter((one) => one.heaps.length).length === MANY);
        await Promise.all(loaves.map((loaf) => world.tell(loaf, "1"))); /* their figures rest from now on, and are shown */
        const done = await world.call("POST", "/v1/batch?wait=30s", { body: { selector: { label: { kind: "loaf" } }, kind: "collect" } });
        assert.equal(done.json.state, "succeeded", done.text);
    });
    after(() => world.stop());

    const get = (path, headers, more) => world.call("GET", path, { headers, ...more });

    /** Views change with every sweep: asks until the one that was asked about is still the newest. */
    const still = async (path, change) => {
        for (let i = 0; i < 50; i++) {
            const { headers: { etag } } = await get(path);
            const answer = await get(path, { "If-None-Match": change(etag) });
            if (answer.status === 304 || i === 49) {
                assert.equal(answer.status, 304, `${path} ${etag}`);
                assert.equal(answer.text, "");
                assert.equal(answer.headers.etag, etag);
                assert.equal(answer.headers.vary, "Accept, Accept-Encoding");
                return;
            }
        }
    };

    test("every view has an ETag, and is 304 to who has it", async () => {
        for (const path of ["/healthz", "/v1/info", "/v1/openapi.json", "/v1/processes", "/v1/operations", `/v1/operations/${world.names.operation}`,
            ...["", "/stats", "/types", "/collections", "/config", "/heaps/1", "/heaps/1/stats", "/heaps/1/types", "/heaps/1/config"]
                .map((part) => live + part)]) {
            await still(path, (etag) => etag);
            await still(path, (etag) => `W/${etag}`);
            await still(path, (etag) => `"x-1", W/"y", ${etag}, "z"`);
            await still(path, () => "*");
            for (const other of ['"x-1"', "x", ",", '"', (await get(path)).headers.etag.slice(0, -1), `${(await get(path)).headers.etag}x`.replace('"x', 'x"')]) {
                assert.equal((await get(path, { "If-None-Match": other })).status, 200, `${path} ${other}`);
            }
        }
    });

    test("a change is never 304: it has been made", async () => {
        for (const tag of ["*", (await get(`${live}/config`)).headers.etag]) {
            const answer = await world.call("PATCH", `${live}/config`, { body: "{}", headers: { "If-None-Match": tag } });
            assert.equal(answer.status, 200);
            assert.equal(answer.json.state, "live");
        }
    });

    test("a problem names the parameter, and the methods that there are", async () => {
        for (const [path, name] of [["/v1/stream?topics=nothing", "topics"], ["/v1/stream?topics=events:1", "topics"], ["/metrics?detail=app,heaps", "detail"],
            ["/v1/audit?cursor=x", "cursor"], ["/v1/audit?from=soon", "from"], [`${live}/history?to=later`, "to"], [`${live}/history?from=now&to=-1h`, "from"],
            [`${live}/history?step=1ms`, "step"], [`${live}/history?step=0s`, "step"], [`${live}/history?series=nothing`, "series"],
            [`${live}/history?series=,`, "series"]]) {
            const { status, json } = await get(path);
            assert.deepEqual([status, json.parameter], [422, name], path);
        }
        const { status, json } = await world.call("POST", "/v1/history/purge", { body: JSON.stringify({ before: "soon" }) });
        assert.deepEqual([status, json.pointer], [422, "/before"]);
        const lacks = await world.call("POST", "/v1/batch", { body: JSON.stringify({ kind: "collect" }) });
        assert.deepEqual([lacks.status, lacks.json.pointer], [422, "/selector"]);
        assert.match((await world.call("DELETE", "/v1/processes")).json.detail, /^allowed here: GET/);
    });

    test("HEAD is GET without a body", async () => {
        for (const path of ["/healthz", "/v1/openapi.json", `/v1/processes/${world.names.gone}/stats`, `${live}/nothing`, "/v1/processes?limit=0", "/"]) {
            const [full, head] = [await get(path), await world.call("HEAD", path)];
            assert.equal(head.status, full.status, path);
            assert.equal(head.text, "");
            for (const name of ["content-type", "content-length", "etag", "cache-control", "vary"]) {
                assert.equal(head.headers[name], full.headers[name], `${path} ${name}`);
            }
        }
    });

    /** All rows of a list, page by page; `between` runs after each page. */
    const walk = async (path, member, between) => {
        const rows = [];
        for (let next = path; next;) {
            const { status, json, headers, text } = await get(next);
            assert.equal(status, 200, text);
            rows.push(...json[member]);
            const link = /^<(.*)>; rel="next"$/.exec(headers.link ?? "");
            assert.equal(link !== null, json.next_cursor !== null, next);
            if (link) {
                assert.ok(link[1].endsWith(`cursor=${json.next_cursor}`));
                assert.equal(json[member].length, Number(new URL(next, "http://x").searchParams.get("limit")));
            }
            next = link?.[1];
            await between?.(rows);
        }
        return rows;
    };

    test("pages of every order hold each row once, in that order", async () => {
        const whole = (await get("/v1/processes")).json.processes.map((one) => one.id);
        assert.deepEqual((await walk("/v1/processes?limit=3", "processes")).map((one) => one.id), whole);
        for (const sort of ["live_bytes", "live_objects", "allocations", "collections", "attached_at", "name"].flatMap((one) => [one, `+${one}`, `-${one}`])) {
            const rows = await walk(`/v1/processes?sort=${sort}&limit=4&label=kind:loaf`, "processes");
            assert.equal(new Set(rows.map((one) => one.id)).size, MANY, sort);
            const word = sort.replace(/^[+-]/, "");
            const down = sort[0] === "-" || (sort[0] !== "+" && word !== "name");
            const values = rows.map((one) => one[word]);
            const order = [...values].sort((a, b) => (a < b ? -1 : Number(a > b)));
            assert.deepEqual(values, down ? order.reverse() : order, sort);
        }
        for (const [path, member] of [[`${live}/types`, "types"], [`${live}/types?sort=name`, "types"], [`${live}/collections`, "collections"],
            [`${live}/collections?sort=pause_ns`, "collections"], ["/v1/operations", "operations"]]) {
            const joined = path + (path.includes("?") ? "&" : "?");
            const rows = await walk(`${joined}limit=1`, member);
            const keys = rows.map((one) => one.id ?? `${one.name} ${one.size_bytes} ${one.heap} ${one.sequence}`);
            assert.equal(new Set(keys).size, keys.length, path);
            assert.equal(rows.length, (await get(path)).json[member].length, path);
        }
    });

    test("a row that comes or goes between pages moves no other", async () => {
        const before = (await get("/v1/processes?sort=%2Bname&label=kind:loaf")).json.processes;
        let changed = false;
        const rows = await walk("/v1/processes?sort=%2Bname&limit=5", "processes", async () => {
            if (!changed) {
                changed = true;
                const early = world.spawn("tally-mal", "--name", "aaa");
                await until("it is there, before the page that was read", () => world.find(early.pid, "live"));
            }
        });
        const ids = rows.map((one) => one.id);
        assert.equal(new Set(ids).size, ids.length);
        before.forEach((one) => assert.ok(ids.includes(one.id)));
        assert.ok(!rows.some((one) => one.name === "aaa"));
    });

    test("a link holds nothing that ends it early", async () => {
        const { link } = (await get("/v1/processes?limit=1&label=kind:lo%61f&label=kind:loaf")).headers;
        assert.match(link, /^<\/v1\/processes\?limit=1&label=kind:lo%61f&label=kind:loaf&cursor=[\w-]+>; rel="next"$/);
        const name = 'a>;"b<';
        ["x", "y"].forEach(() => world.spawn("tally-mal", "--name", "odd", "--label", `odd=${name}`));
        const path = `/v1/processes?limit=1&label=odd:${name.replace('"', "%22")}`;
        await until("both are there", async () => (await get(path)).headers.link);
        const odd = /^<([^<>]*)>; rel="next"$/.exec((await get(path)).headers.link);
        assert.equal((await get(odd[1])).json.processes.length, 1);
    });

    test("a cursor of another order, or none of ours, is 422", async () => {
        const { json } = await get("/v1/processes?limit=1");
        for (const path of [`/v1/processes?sort=name&cursor=${json.next_cursor}`, `/v1/processes?cursor=${json.next_cursor}x`, "/v1/processes?cursor=AAAA",
            `${live}/types?cursor=${json.next_cursor}`, "/v1/processes?cursor=1", "/v1/operations?cursor=%20"]) {
            const answer = await get(path);
            assert.equal(answer.status, 422, path);
            assert.equal(answer.json.parameter, "cursor");
        }
    });

    test("filters of lists", async () => {
        const all = (await get(`${live}/collections`)).json.collections;
        const remote = (await get(`${live}/collections?reason=remote`)).json.collections;
        assert.ok(remote.length >= 1 && remote.every((one) => one.reason === "remote"));
        assert.equal((await get(`${live}/collections?reason=remote,threshold,explicit,shutdown,stress,out_of_memory`)).json.collections.length, all.length);
        const [longest] = (await get(`${live}/collections?sort=pause_ns&limit=1`)).json.collections;
        const us = Math.floor(longest.pause_ns / 1000);
        assert.ok((await get(`${live}/collections?min_pause_us=${us}`)).json.collections.every((one) => one.pause_ns >= us * 1000));
        assert.deepEqual((await get(`${live}/collections?min_pause_us=${us + 1}`)).json.collections, []);
        assert.equal((await get("/v1/operations?state=failed,expired")).json.operations.length, 0);
        assert.ok((await get(`/v1/operations?state=succeeded&process=${world.names.live}&kind=collect`)).json.operations.length >= 1);
        assert.equal((await get(`/v1/operations?process=${world.names.gone}`)).json.operations.length, 0);
    });

    test("rows a line to who accepts that", async () => {
        for (const [path, member] of [["/v1/processes", "processes"], [`${live}/types`, "types"], [`${live}/collections`, "collections"], ["/v1/operations", "operations"]]) {
            const rows = (await get(path)).json[member].length;
            for (const accept of ["application/x-ndjson", "text/html, application/x-ndjson;q=0.5"]) {
                const answer = await get(path, { Accept: accept });
                assert.equal(answer.headers["content-type"], "application/x-ndjson", path);
                assert.equal(answer.text.trimEnd().split("\n").map((line) => JSON.parse(line)).length, rows, path);
                assert.ok(answer.headers.etag && answer.headers.vary.includes("Accept"), path);
            }
            for (const accept of ["application/json", "*/*", "application/x-ndjson;q=0"]) {
                assert.equal((await get(path, { Accept: accept })).headers["content-type"], "application/json", path);
            }
        }
        const gone = `/v1/processes/${world.names.gone}/types`;
        const { etag } = (await get(gone)).headers;
        assert.equal((await get(gone, { "If-None-Match": etag })).status, 304);
        const lines = await get(gone, { Accept: "application/x-ndjson", "If-None-Match": etag });
        assert.equal(lines.status, 200, "the tag is of the document, not of the lines");
        assert.equal((await get(gone, { Accept: "application/x-ndjson", "If-None-Match": lines.headers.etag })).status, 304);
        assert.match((await get("/v1/processes?limit=2", { Accept: "application/x-ndjson" })).headers.link, /rel="next"/);
    });

    test("large bodies are compressed for who takes gzip", async () => {
        const plain = await get("/v1/openapi.json");
        for (const accept of ["gzip", "deflate, GZIP;q=0.5", "br;q=1, gzip"]) {
            const packed = await get("/v1/openapi.json", { "Accept-Encoding": accept });
            assert.equal(packed.headers["content-encoding"], "gzip", accept);
            assert.equal(gunzipSync(packed.bytes).toString(), plain.text);
            assert.ok(packed.bytes.length * 4 < plain.bytes.length);
            assert.equal(packed.headers.etag, `W/${plain.headers.etag}`);
            assert.equal((await get("/v1/openapi.json", { "Accept-Encoding": accept, "If-None-Match": packed.headers.etag })).status, 304);
        }
        for (const accept of ["identity", "gzip;q=0", "br", ""]) {
            assert.equal((await get("/v1/openapi.json", { "Accept-Encoding": accept })).headers["content-encoding"], undefined, accept);
        }
        assert.equal((await get("/healthz", { "Accept-Encoding": "gzip" })).headers["content-encoding"], undefined);
    });

    test("the page's files are compressed when they are built in, and all of them are small", async () => {
        const files = new Set(["/", "/favicon.svg"]);
        let sent = 0;
        for (const file of files) { /* grows by what each names */
            const [plain, packed] = [await get(file), await get(file, { "Accept-Encoding": "gzip" })];
            const small = packed.headers["content-encoding"] === undefined && plain.bytes.length < 500;
            assert.ok(small || gunzipSync(packed.bytes).equals(plain.bytes), file);
            assert.equal(packed.headers.etag, small ? plain.headers.etag : `W/${plain.headers.etag}`);
            assert.equal((await get(file, { "If-None-Match": `"x", ${packed.headers.etag}` })).status, 304);
            sent += packed.bytes.length;
            [...plain.bytes.toString().matchAll(/"\.(\/[\w/-]+\.(?:js|css))"/g)].forEach(([, name]) => files.add(name));
        }
        assert.deepEqual([...files].sort(), ["/", "/favicon.svg", "/main.js", "/page.css"]);
        assert.ok(sent < 150_000, `${sent} bytes`);
    });

    test("integers are exact, and strings beyond 2^53 - 1 where that is asked for", async () => {
        for (const [limit, as] of [["9007199254740991", '9007199254740991'], ["9007199254740992", '"9007199254740992"'], ["9223372036854775807", '"9223372036854775807"']]) {
            const body = `{"memory_limit_bytes":${limit}}`;
            assert.equal((await world.call("PATCH", `${live}/config`, { body })).status, 200);
            assert.ok((await get(`${live}/config`)).text.includes(`"memory_limit_bytes":${limit},`), limit);
            assert.ok((await get(`${live}/config?bigint=string`)).text.includes(`"memory_limit_bytes":${as},`), limit);
            assert.ok((await get(`${live}/stats?bigint=string`)).text.includes(`"memory_limit_bytes":${as},`), limit);
        }
        assert.equal((await get(`${live}/config?bigint=number`)).status, 422);
        await world.call("PATCH", `${live}/config`, { body: { memory_limit_bytes: 0 } });
    });
});
