/* Threats that only a browser can show, by their number in the threat model: pages of another origin (A4), and programs
 * whose names are markup (A6). Skipped where nothing is built, unless TALLY_REQUIRE_ALL is set. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { PATIENCE, byId, choose, eventually, go, open } from "./page.mjs";
import { BUILD, World } from "./world.mjs";

const built = ["tallyd", "hosts/hostile"].every((program) => existsSync(join(BUILD, program)));
const skip = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;
const NAME = "</script><img src=x onerror=\"window.pwned=1\">";

describe("threats in a browser", { skip }, () => {
    const world = new World();
    let process_, evil;

    before(async () => {
        await world.start();
        const hostile = spawn(join(BUILD, "hosts/hostile"), [], { env: world.env, stdio: ["pipe", "ignore", "inherit"] });
        world.programs.push(hostile);
        await eventually("the program is listed", async () => {
            process_ = (await world.api("/v1/processes")).processes[0];
            return process_?.heaps.length === 1;
        });
        evil = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<!doctype html><title>evil</title>"));
        evil.listen(0, "127.0.0.1");
        await once(evil, "listening");
    }, PATIENCE);
    after(async () => {
        evil?.closeAllConnections();
        evil?.close();
        await world.stop();
    }, PATIENCE);

    test("A4: a page of another origin, with form, image, script, fetch and stream, controls and reads nothing", PATIENCE, async () => {
        const token = (await readFile(join(world.run, "token"), "utf8")).trim();
        const { page, close } = await open(world.browser, `http://localhost:${evil.address().port}/`);
        const statuses = [];
        page.on("response", (answer) => answer.url().includes(world.address) && statuses.push(answer.status()));
        const read = await page.evaluate(async ({ address, id, secret }) => {
            const at = (path) => `http://${address}${path}`;
            const paths = [`/v1/processes/${id}/collect`, "/v1/tokens", "/v1/tokens/rotate", "/v1/session", "/v1/batch"];
            const readable = [];
            const attempt = (path, how) => fetch(at(path), how).then(async (answer) => {
                if (answer.type !== "opaque") {
                    readable.push([path, how?.mode, answer.status, await answer.text()]);
                }
            }, () => {});
            for (const path of paths) {
                await attempt(path, { method: "POST", mode: "no-cors", body: "{}" });
                await attempt(path, { method: "POST", mode: "no-cors", body: new URLSearchParams({ generation: "2" }) });
                await attempt(path, { method: "POST", mode: "cors", body: "{}",
                    headers: { "Content-Type": "application/json", Authorization: `Bearer ${secret}` } });
                await attempt(path, { method: "DELETE", mode: "cors", headers: { Authorization: `Bearer ${secret}` } });
                navigator.sendBeacon(at(path), new Blob(["{}"], { type: "text/plain" }));
            }
            for (const path of ["/v1/info", "/v1/processes", "/metrics", "/healthz", "/v1/stream?topics=fleet", "/"]) {
                await attempt(path, { mode: "no-cors" });
                await attempt(path, { mode: "cors" });
                await attempt(path, { mode: "cors", headers: { Authorization: `Bearer ${secret}` } });
            }
            for (const path of [...paths, "/v1/info", "/main.js"]) {
                for (const tag of ["img", "script", "iframe"]) {
                    const one = document.createElement(tag);
                    one.src = at(path);
                    await new Promise((done) => {
                        one.onload = one.onerror = done;
                        document.body.append(one);
                        setTimeout(done, 1000);
                    });
                }
            }
            for (const [path, type] of paths.flatMap((path) => ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
                .map((type) => [path, type]))) {
                const form = document.createElement("form");
                const frame = document.createElement("iframe");
                frame.name = `f${Math.random()}`;
                Object.assign(form, { method: "post", action: at(path), enctype: type, target: frame.name });
                form.append(Object.assign(document.createElement("input"), { name: "{\"generation\":2,\"x\":\"", value: "\"}" }));
                document.body.append(frame, form);
                await new Promise((done) => {
                    frame.onload = done; /* the answer, or the refusal to show it */
                    form.submit();
                    setTimeout(done, 1000);
                });
            }
            return readable;
        }, { address: world.address, id: process_.id, secret: token });
        await close();
        assert.deepEqual(read, []);
        assert.ok(statuses.length > 20, `the requests have come: ${statuses.length}`);
        const { records } = await world.api("/v1/audit");
        assert.deepEqual(records.filter(({ result }) => result !== "refused"), []);
        assert.equal((await world.api(`/v1/processes/${process_.id}/stats`)).collections, 0);
    });

    test("A4: a top-level form of another origin gets no further", PATIENCE, async () => {
        const { page, close } = await open(world.browser, `http://localhost:${evil.address().port}/`);
        const [answer] = await Promise.all([page.waitForResponse((one) => one.url().includes(world.address)), page.evaluate((action) => {
            const form = Object.assign(document.createElement("form"), { method: "post", action, enctype: "text/plain" });
            document.body.append(form);
            form.submit();
        }, `http://${world.address}/v1/processes/${process_.id}/collect`)]);
        assert.equal(answer.status(), 401);
        await close();
        assert.deepEqual((await world.api("/v1/audit")).records.filter(({ result }) => result !== "refused"), []);
    });

    test("A6: markup in names is shown as text and runs nowhere", PATIENCE, async () => {
        const { page, faults, close } = await open(world.browser, await world.link());
        const dialogs = [];
        page.on("dialog", async (dialog) => {
            dialogs.push(dialog.message());
            await dialog.dismiss();
        });
        await choose(page, NAME);
        await byId(page, "name").getByText(NAME).waitFor();
        await page.getByText("<svg onload='window.pwned=2'>").first().waitFor();
        await go(page, new URL(page.url()).hash.replace(/view=\w+/, "view=types"));
        await page.getByText("{{constructor.constructor('window.pwned=5')()}}").first().waitFor();
        assert.equal(await page.evaluate(() => globalThis.pwned), undefined);
        assert.equal(await page.locator("img[src='x'], svg[onload], [onerror]").count(), 0);
        assert.deepEqual(dialogs, []);
        assert.deepEqual(faults, []);
        await close();
    });

    test("the page cannot be framed, nor opened to be talked to", PATIENCE, async () => {
        const { page, close } = await open(world.browser, `http://localhost:${evil.address().port}/`);
        const framed = await page.evaluate((address) => new Promise((done) => {
            const frame = document.createElement("iframe");
            frame.onload = () => {
                try {
                    done(frame.contentDocument ? "same origin" : "blocked or foreign");
                } catch {
                    done("blocked or foreign");
                }
            };
            frame.src = `http://${address}/`;
            document.body.append(frame);
        }), world.address);
        assert.equal(framed, "blocked or foreign");
        const inside = page.frames().find((frame) => frame !== page.mainFrame());
        assert.ok(!inside || !(await inside.content()).includes("main.js"), "the page is not in the frame");
        const opened = await page.evaluate(async (address) => {
            const other = open(`http://${address}/`);
            for (let turn = 0; turn < 100 && other && !other.closed; turn++) { /* Cross-Origin-Opener-Policy cuts the tie */
                await new Promise((done) => setTimeout(done, 100));
            }
            return !other || other.closed;
        }, world.address);
        assert.ok(opened);
        await close();
    });
});
