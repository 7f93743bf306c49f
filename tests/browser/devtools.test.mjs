/* A download of ?format=heapsnapshot in the Memory panel of Chromium's own DevTools, loaded as anybody would: what they count, weigh and
 * call retained is what we say. The front end is the one that this Chromium carries. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { World } from "../api/world.mjs";
import { PATIENCE, eventually, launch } from "./page.mjs";

const OBJECTS = 5000;

/** "24.0 kB" as it may be of so many bytes: their figure is rounded. */
const shows = (text, bytes, what) => {
    const [, figure, unit] = text.match(/^([\d.,]+)\s(B|kB|MB)/) ?? assert.fail(`${what}: no size in ${text}`);
    const scale = { B: 1, kB: 1e3, MB: 1e6 }[unit];
    const precision = figure.includes(".") ? 0.051 : 0.51;
    assert.ok(Math.abs(Number(figure.replaceAll(",", "")) - bytes / scale) <= precision, `${what}: ${text} is not ${bytes}`);
};

/** The rows of the first grid: name, count, distance, sizes. */
const classes = async (page) => {
    const rows = await page.locator(".data-grid").first().locator("tbody tr").allInnerTexts();
    return rows.map((row) => row.split("\t").map((cell) => cell.trim())).filter(([name]) => name && name !== "Constructor").map(([name, distance, shallow, retained]) => {
        const [, type, count] = name.match(/^(\w+)(?:×([\d,]+))?$/) ?? assert.fail(name);
        return { type, count: Number((count ?? "1").replaceAll(",", "")), distance: Number(distance), shallow, retained };
    });
};

test("Chromium's DevTools open a heap snapshot", PATIENCE, async (t) => {
    const world = new World();
    let browser;
    before(async () => {
        await world.begin();
        world.names.artifact = world.artifact("app", OBJECTS, "shop");
        await world.serve();
        browser = await launch();
    });
    after(async () => {
        await browser?.close();
        await world.stop();
    });

    await t.test("and show what tallyd shows", async () => {
        const path = `/v1/artifacts/${world.names.artifact}`;
        const file = join(world.dir, "shop.heapsnapshot");
        const answer = await world.call("GET", `${path}?format=heapsnapshot`);
        assert.equal(answer.status, 200, answer.text.slice(0, 200));
        await writeFile(file, answer.text);
        const { types } = (await world.call("GET", `${path}/types`)).json;

        const page = await (await browser.newContext({ viewport: { width: 1400, height: 900 } })).newPage();
        page.setDefaultTimeout(60_000);
        const faults = [];
        page.on("pageerror", (error) => faults.push(String(error)));
        await page.goto("devtools://devtools/bundled/devtools_app.html", { waitUntil: "commit" });
        await page.getByRole("tab", { name: "Memory" }).click();
        const [chooser] = await Promise.all([page.waitForEvent("filechooser"),
            page.getByRole("button", { name: "Load profile" }).last().click()]);
        await chooser.setFiles(file);
        await page.getByRole("treeitem", { name: /shop.*kB/ }).last().click();
        await page.getByText("×1,000").first().waitFor();

        let rows;
        await eventually("every type has a row", async () => (rows = await classes(page)).length >= types.length || rows);
        assert.deepEqual(rows.map((row) => row.type).sort(), types.map((type) => type.type).sort());
        for (const type of types) {
            const row = rows.find((one) => one.type === type.type);
            assert.equal(row.count, type.objects, type.type);
            shows(row.shallow, type.bytes + type.native_bytes, `${type.type}, shallow`);
            /* Garbage hangs on a node of its own there, each object alone; we call nothing retained by it. */
            shows(row.retained, type.retained_bytes + type.garbage_bytes, `${type.type}, retained`);
        }
        assert.equal(rows.find((row) => row.type === "cache").distance, 1);
        assert.equal(rows.find((row) => row.type === "user").distance, 3);
        assert.deepEqual(faults, []);
    });
});
