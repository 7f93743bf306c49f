/* Every operation of /v1/openapi.json, called on a real tallyd with input that is right and input that is wrong; every
 * answer is held against its schema. Cases stand in cases/*.mjs and are found there; a route without one fails. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Document } from "./document.mjs";
import { World } from "./world.mjs";

const folder = new URL("cases/", import.meta.url);
const files = (await readdir(folder)).filter((name) => name.endsWith(".mjs"));
const cases = (await Promise.all(files.map((name) => import(new URL(name, folder))))).flatMap((file) => file.cases);
const succeeds = (one) => [one.status ?? 200].flat()[0] < 400;

describe("the API", () => {
    const world = new World();
    let document;

    /** The target of a case: {…} of the path and of texts are names of the world, or values. */
    const fill = (text, at = {}) => text.replace(/\{(\w+)\}/g, (whole, name) => {
        const value = name in at ? at[name] : name;
        return world.names[value] ?? (name in at ? value : whole);
    });
    const target = (one, query = one.query ?? {}) => {
        const path = fill(one.route.split(" ")[1], one.at);
        const words = Object.entries(query).map(([name, value]) => `${name}=${fill(value)}`);
        return path + (words.length ? `?${words.join("&")}` : "");
    };
    const send = (one, change = {}) => {
        const body = "body" in change ? change.body : one.body;
        return world.call(change.method ?? one.route.split(" ")[0], change.path ?? target(one), {
            ...one, ...change, body: body && typeof body === "object" ? JSON.parse(fill(JSON.stringify(body))) : body });
    };
    const refused = (operation, answer, statuses, what) => {
        assert.ok(statuses.includes(answer.status), `${what}: ${answer.status}, not ${statuses}: ${answer.text.slice(0, 300)}`);
        document.checkAnswer(operation, answer, what);
    };
    const known304 = (answer, what) => {
        assert.equal(answer.status, 304, `${what}: ${answer.text.slice(0, 300)}`);
        assert.equal(answer.text, "", what);
        assert.ok(answer.headers.etag, what);
    };
    /** Runs `check` for every operation with its first case that succeeds. */
    const each = async (check) => {
        for (const one of document.operations) {
            const first = cases.find((candidate) => candidate.route === one.route && succeeds(candidate));
            if (first) {
                await check(one, first);
            }
        }
    };

    before(async () => {
        await world.start();
        const answer = await world.call("GET", "/v1/openapi.json");
        assert.equal(answer.status, 200, answer.text);
        document = new Document(answer.json);
    });
    after(() => world.stop());

    test("the document is one by OpenAPI's own schema", async () => assert.deepEqual(await document.faults(), []));

    test("API.md is what the tables make", async () => {
        const root = fileURLToPath(new URL("../../", import.meta.url));
        const made = spawnSync("python3", ["config/apidoc.py"], { cwd: root, encoding: "utf8" });
        assert.equal(made.stderr, "");
        assert.ok(made.stdout === await readFile(`${root}src/api/API.md`, "utf8"), "it is old: make documents");
        document.operations.forEach((one) => assert.ok(made.stdout.includes(`| \`${one.route}\` |`), one.route));
    });

    test("every route has a case, and every case a route", () => {
        const routes = document.operations.map((one) => one.route);
        assert.deepEqual(routes.filter((route) => !cases.some((one) => one.route === route && succeeds(one))), []);
        assert.deepEqual(cases.map((one) => one.route).filter((route) => !routes.includes(route)), []);
    });

    test("each case is answered as the document says", async () => {
        for (const one of cases) {
            const { operation } = document.operations.find(({ route }) => route === one.route);
            const answer = await send(one);
            const what = `${one.route} ${target(one)}`;
            assert.ok([one.status ?? 200].flat().includes(answer.status), `${what}: ${answer.status}: ${answer.text.slice(0, 500)}`);
            document.checkAnswer(operation, answer, what);
            if (one.code) {
                assert.equal(answer.json.code, one.code, what);
            }
            await one.check?.(answer, world, document);
        }
    });

    test("every GET of JSON has an ETag, and is 304 to who has it", () => each(async ({ operation, method }, first) => {
        if (method !== "GET" || !operation.responses[304]) {
            return;
        }
        const answer = await send(first);
        if (answer.status !== 200) { /* what another case has cleared away, or still waits for */
            return;
        }
        assert.match(answer.headers.etag ?? "none", /^(W\/)?"[0-9a-f]+(-[0-9a-f]+){1,2}"$/, first.route);
        const again = await send(first, { headers: { ...first.headers, "If-None-Match": '"x", *, "y"' } });
        assert.equal(again.status, 200, first.route); /* a star stands alone */
        known304(await send(first, { headers: { ...first.headers, "If-None-Match": "*" } }), first.route);
    }));

    test("wrong parameters are 422 and named", () => each(async ({ operation }, first) => {
        for (const parameter of operation.parameters.filter((one) => one.in === "query")) {
            for (const wrong of document.wrongTexts(parameter.schema)) {
                const query = { ...first.query, [parameter.name]: encodeURIComponent(wrong) };
                const answer = await send(first, { path: target(first, query), events: undefined });
                const what = `${first.route} ${parameter.name}=${wrong}`;
                refused(operation, answer, [422], what);
                assert.match(answer.json.detail, new RegExp(`\\b${parameter.name}\\b`), what);
            }
        }
        const answer = await send(first, { path: target(first, { ...first.query, nope: "1" }) });
        refused(operation, answer, [422], `${first.route} ?nope=1`);
        assert.match(answer.json.detail, /\bnope\b/);
    }));

    test("what a path names and is not there is 404", () => each(async ({ operation, path }, first) => {
        const makes = first.route.startsWith("PUT ");
        for (const [, segment] of path.matchAll(/\{(\w+)\}/g)) {
            for (const wrong of ["nobody", "none", "0-0", "4294967296", "-1", "%00", "%zz"]) {
                if (makes && !wrong.startsWith("%")) {
                    continue;
                }
                const answer = await send(first, { path: target({ ...first, at: { ...first.at, [segment]: wrong } }) });
                refused(operation, answer, wrong.startsWith("%") ? [400] : [404, 422], `${first.route} ${segment}=${wrong}`);
            }
        }
    }));

    test("wrong bodies are refused, and the member is named", () => each(async ({ operation }, first) => {
        const content = operation.requestBody?.content["application/json"];
        if (!content) {
            return;
        }
        for (const [body, status, headers] of [["{", 400], ["", 400, { "Content-Length": "0" }], ["[]", 400], ["{} x", 400], ['{"a":1,"a":1}', 400],
            [`{"a":${"[".repeat(40)}${"]".repeat(40)}}`, 400], ["{}", 415, { "Content-Type": "text/plain" }], [{ nope: 1 }, 422],
            ["x".repeat(70_000), 413]]) {
            if (body !== "") {
                refused(operation, await send(first, { body, headers }), [status], `${first.route} ${JSON.stringify(body).slice(0, 40)}`);
            }
        }
        for (const [name, schema] of Object.entries(document.follow(content.schema).properties ?? {})) {
            for (const wrong of document.wrongValues(schema)) {
                const answer = await send(first, { body: { ...first.body, [name]: wrong } });
                const what = `${first.route} ${name}: ${JSON.stringify(wrong)}`;
                refused(operation, answer, [422], what);
                assert.match(answer.json.detail, new RegExp(`\\b${name}\\b`), what);
            }
        }
    }));

    test("other methods are 405 and say what is allowed; OPTIONS too", async () => {
        for (const path of Object.keys(document.json.paths)) {
            const first = cases.find((one) => one.route.endsWith(` ${path}`) && succeeds(one));
            const known = Object.keys(document.json.paths[path]).map((method) => method.toUpperCase());
            const answer = await send(first, { method: "PUT", body: undefined });
            if (!known.includes("PUT")) {
                refused({ responses: {} }, answer, [405], `PUT ${path}`);
                known.forEach((method) => assert.ok(answer.headers.allow.split(", ").includes(method), path));
            }
            const options = await send(first, { method: "OPTIONS", body: undefined });
            assert.equal(options.status, 204, path);
            assert.ok(known.every((method) => options.headers.allow.split(", ").includes(method)), path);
            assert.deepEqual(Object.keys(options.headers).filter((name) => name.startsWith("access-control")), []);
        }
    });
});
