/* Heap snapshots: the list, one, its types and objects, downloads, and its end. The columns stand in processes.mjs. */

import assert from "node:assert/strict";

const at = { a: "artifact" };
const one = "GET /v1/artifacts/{a}";
const object = { a: "artifact", o: "8194" }; // the cache
const descending = (rows, member) => rows.every((row, i) => !i || rows[i - 1][member] >= row[member]);
const missing = (route, where = {}) => ({ route, at: { a: "00000000000000ff", o: "1", ...where }, ...route.startsWith("POST") ? { body: { format: "pprof" } } : {}, status: 404, code: "no_such_artifact" });

export const cases = [
    { route: "GET /v1/artifacts", check: ({ json }) => {
        assert.deepEqual(json.artifacts.map((artifact) => artifact.name), ["shop", "short"]);
        assert.equal(json.artifacts[0].state, "ready");
        assert.equal(json.artifacts[0].progress, 1);
    } },
    { route: "GET /v1/artifacts", query: { limit: "1" }, check: ({ json }) => assert.match(json.next_cursor, /^[0-9a-f]{16}$/) },
    { route: "GET /v1/artifacts", query: { cursor: "{artifact}" }, check: ({ json }) => assert.equal(json.artifacts[0].name, "short") },
    { route: "GET /v1/artifacts", query: { process: "f".repeat(32) }, check: ({ json }) => assert.equal(json.artifacts.length, 0) },
    { route: "GET /v1/artifacts", query: { cursor: "nothing" }, status: 422, code: "bad_value" },
    { route: one, at, check: ({ json }) => {
        assert.equal(json.objects, 1000);
        assert.equal(json.summary.declared_roots, 1);
        assert.equal(json.summary.external_references, 4);
        assert.ok(json.summary.garbage_objects > 0);
    } },
    { route: one, at, query: { format: "json" } },
    { route: one, at, query: { format: "ndjson" }, check: ({ text, headers }) => {
        const lines = text.trimEnd().split("\n").map((line) => JSON.parse(line));
        assert.equal(lines.length, 1000);
        assert.equal(lines[0].type, "cache");
        assert.match(headers["content-disposition"], /^attachment; filename="shop-heap1-[0-9a-f]{16}\.ndjson"$/);
    } },
    { route: one, at, query: { format: "heapsnapshot" }, check: ({ text }) => {
        const { snapshot, nodes, edges } = JSON.parse(text);
        assert.equal(nodes.length, 7 * snapshot.node_count);
        assert.equal(edges.length, 3 * snapshot.edge_count);
    } },
    { route: one, at, query: { format: "pprof" } },
    { route: one, at, query: { format: "svg" }, status: 422, code: "bad_value" },
    { route: "POST /v1/artifacts/{a}/ticket", at, body: { format: "ndjson" }, status: 201, check: ({ json }, world) => {
        assert.match(json.url, /^\/v1\/downloads\/[0-9a-f]{64}$/);
        world.names.ticket = json.url.split("/").at(-1);
    } },
    { route: "GET /v1/downloads/{ticket}", at: { ticket: "ticket" }, check: ({ text, headers }) => {
        assert.equal(text.trimEnd().split("\n").length, 1000);
        assert.match(headers["content-disposition"], /^attachment; filename="shop-heap1-[0-9a-f]{16}\.ndjson"$/);
    } },
    { route: "GET /v1/downloads/{ticket}", at: { ticket: "ticket" }, status: 404, code: "no_such_ticket" },
    missing("POST /v1/artifacts/{a}/ticket", {}),
    missing(one),
    { route: `${one}/types`, at, check: ({ json }) => {
        assert.ok(descending(json.types, "retained_bytes"));
        assert.equal(json.types.reduce((sum, type) => sum + type.objects, 0), 1000);
        assert.equal(json.types.find((type) => type.type === "entry").external, 4);
    } },
    { route: `${one}/types`, at, query: { sort: "name", limit: "2" }, check: ({ json }) => {
        assert.deepEqual(json.types.map((type) => type.type), ["cache", "entry"]);
        assert.ok(json.next_cursor);
    } },
    { route: `${one}/types`, at, query: { cursor: "x" }, status: 422, code: "bad_value" },
    missing(`${one}/types`),
    { route: `${one}/objects`, at, query: { limit: "5" }, check: ({ json }) => {
        assert.ok(descending(json.objects, "retained_bytes"));
        assert.equal(json.objects[0].root, "declared");
        assert.match(json.next_cursor, /^retained_bytes\.\d+$/);
    } },
    { route: `${one}/objects`, at, query: { type: "entry", sort: "external", roots: "true" }, check: ({ json }) => {
        assert.equal(json.objects.length, 4);
        assert.ok(json.objects.every((row) => row.type === "entry" && row.root === "external"));
    } },
    { route: `${one}/objects`, at, query: { sort: "bytes", cursor: "bytes.8206", limit: "3" }, check: ({ json }) => assert.equal(json.objects.length, 3) },
    ...[{ type: "weather" }, { sort: "colour" }, { cursor: "bytes.8194" }, { cursor: "retained_bytes.1" }].map((query) => (
        { route: `${one}/objects`, at, query, status: 422, code: "bad_value" })),
    missing(`${one}/objects`),
    { route: `${one}/objects/{o}`, at: object, check: ({ json }) => {
        assert.equal(json.type, "cache");
        assert.equal(json.dominator, null);
        assert.equal(json.distance, 0);
    } },
    { route: `${one}/objects/{o}`, at: { ...object, o: "1" }, status: 404, code: "no_such_object" },
    missing(`${one}/objects/{o}`),
    { route: `${one}/objects/{o}/edges`, at: object, query: { limit: "2", cursor: "3" }, check: ({ json }) => {
        assert.deepEqual(json.edges.map((edge) => [edge.kind, edge.field, edge.index]), [["trailing", "entries", 3], ["trailing", "entries", 4]]);
        assert.equal(json.next_cursor, "5");
    } },
    { route: `${one}/objects/{o}/edges`, at: object, query: { cursor: "x" }, status: 422, code: "bad_value" },
    { route: `${one}/objects/{o}/referrers`, at: { ...object, o: "8206" }, check: ({ json }) => {
        assert.deepEqual(json.referrers.map((edge) => [edge.type, edge.field, edge.times]), [["entry", "session", 1], ["user", "session", 1]]);
    } },
    { route: `${one}/objects/{o}/referrers`, at: object, query: { cursor: "number.1" }, status: 422, code: "bad_value" },
    { route: `${one}/objects/{o}/path`, at: { ...object, o: "8212" }, check: ({ json }) => {
        assert.deepEqual(json.path.map((step) => [step.type, step.field]), [["cache", null], ["entry", "entries"], ["session", "session"], ["user", "user"]]);
        assert.equal(json.root, "declared");
    } },
    missing(`${one}/objects/{o}/path`),
    { route: `${one}/dominators`, at, check: ({ json }) => assert.equal(json.dominators[0].object, 8194) },
    { route: `${one}/dominators`, at, query: { object: "8194", limit: "1" }, check: ({ json }) => assert.equal(json.dominators[0].dominator, 8194) },
    { route: `${one}/dominators`, at, query: { object: "1" }, status: 404, code: "no_such_object" },
    missing(`${one}/dominators`),
    { route: "DELETE /v1/artifacts/{a}", at: { a: "doomed" }, status: 204 },
    { route: "DELETE /v1/artifacts/{a}", at: { a: "doomed" }, status: 404, code: "no_such_artifact" },
];
