/* What is read of processes and of the daemon. */

import assert from "node:assert/strict";
import { until } from "../world.mjs";

/* route     as the document has it               at     its {…}: a name of the world, or the value itself
 * query, body, headers, tcp                      what is sent
 * status    that is wanted (200), or several     code   of the problem that is wanted
 * check     (answer, world, document) => {}      events of a stream to wait for
 * A route needs one case that succeeds; wrong input is made from its first one. */
const heap = { id: "live", n: 1 };

export const cases = [
    { route: "GET /healthz" },
    { route: "GET /v1/info", check: ({ json }) => assert.ok(json.fields.length > 20) },
    { route: "GET /v1/openapi.json" },
    { route: "GET /v1/processes", check: ({ json }) => assert.ok(json.processes.length >= 3) },
    { route: "GET /v1/processes", query: { state: "gone" }, check: ({ json }) => assert.ok(json.processes.every((one) => one.state === "gone")) },
    { route: "GET /v1/processes", query: { label: "kind:cycles", limit: "1", sort: "name" }, check: ({ json }) => assert.equal(json.processes[0].name, "bakery") },
    { route: "GET /v1/processes/{id}", at: { id: "live" } },
    { route: "GET /v1/processes/{id}", at: { id: "pid" } },
    { route: "GET /v1/processes/{id}", at: { id: "gone" }, check: ({ json }) => assert.ok(json.post_mortem) },
    { route: "GET /v1/processes/{id}", at: { id: "nobody" }, status: 404, code: "no_such_process" },
    { route: "GET /v1/processes/{id}/stats", at: { id: "live" } },
    { route: "GET /v1/processes/{id}/stats", at: { id: "gone" } },
    { route: "GET /v1/processes/{id}/types", at: { id: "live" } },
    { route: "GET /v1/processes/{id}/types", at: { id: "ledger" }, query: { histograms: "true", sort: "name", limit: "2" } },
    { route: "GET /v1/processes/{id}/types", at: { id: "live" }, query: { trend: "true" }, check: async ({ json }, world) => {
        let [type] = json.types; /* a type that has just come has none yet, and a program at rest is not told of */
        await until("it has a course", async () => {
            if (!type.trend) {
                await world.call("POST", `/v1/processes/${world.names.live}/collect?wait=30s`, { body: { generation: 0 } });
                [type] = (await world.call("GET", `/v1/processes/${world.names.live}/types?trend=true`)).json.types;
            }
            return type.trend;
        });
        const { trend, live_bytes: now } = type;
        assert.ok(trend.window_s >= 1 && trend.live_bytes.length && trend.live_bytes.at(-1) <= 4 * now, JSON.stringify(trend));
    } },
    { route: "GET /v1/processes/{id}/collections", at: { id: "live" }, check: ({ json }) => assert.ok(json.collections.length) },
    { route: "GET /v1/processes/{id}/forecast", at: { id: "live" }, check: ({ json }) => {
        assert.equal(json.collect[2].sliced, false);
        assert.ok(json.collect[2].runs && json.collect[2].pause_ns >= json.collect[2].least_pause_ns, JSON.stringify(json.collect));
        assert.equal(json.heaps.length, 1);
    } },
    { route: "GET /v1/processes/{id}/forecast", at: { id: "gone" }, check: ({ json }) => {
        assert.equal(json.collect[2].pause_ns, null);
        assert.match(json.collect[2].reason, /gone|heap/);
    } },
    { route: "GET /v1/processes/{id}/config", at: { id: "live" } },
    { route: "GET /v1/processes/{id}/config", at: { id: "gone" } },
    ...["", "/stats", "/types", "/collections", "/config", "/forecast"].flatMap((part) => [
        { route: `GET /v1/processes/{id}/heaps/{n}${part}`, at: heap },
        { route: `GET /v1/processes/{id}/heaps/{n}${part}`, at: { id: "live", n: 99 }, status: 404, code: "no_such_heap" },
    ]),
    { route: "GET /v1/stream", query: { topics: "fleet,stats:{live},operations" }, events: ["hello", "fleet", "stats"],
      check: (answer, world, document) => frames(answer, document, ["hello", "fleet", "stats"]) },
    { route: "GET /v1/stream", query: { topics: "collections:{live}" }, events: ["hello", "collections"],
      check: (answer, world, document) => frames(answer, document, ["hello", "collections"]) },
    { route: "GET /v1/stream", query: { topics: "events:{live}", kind: "alloc,collection" }, events: ["hello"],
      check: (answer, world, document) => frames(answer, document, ["hello"]) },
    { route: "GET /v1/stream", query: { topics: "weather" }, status: 422, code: "bad_value" },
];

/** The events of a stream, each by the schema that the document has for it; `wanted` must be among them. */
export function frames(answer, document, wanted) {
    const events = document.json.paths["/v1/stream"].get.responses[200].content["text/event-stream"]["x-events"];
    const seen = answer.text.split("\n\n").slice(0, -1).filter((frame) => !frame.startsWith(":")).map((frame) => {
        const lines = Object.fromEntries(frame.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
        assert.ok(events[lines.event], `event ${lines.event} is not declared`);
        document.check(events[lines.event].schema, JSON.parse(lines.data), `event ${lines.event}`);
        return lines.event;
    });
    wanted.forEach((event) => assert.ok(seen.includes(event), `no ${event} among ${seen}`));
}
