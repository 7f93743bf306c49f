/* Compare: two states of a program, what is new first. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PATIENCE, LEAK, accessible, addressed, fakePage, inAddress, saved, tabTo, unbuilt } from "./findings.mjs";
import { byId, eventually, launch, open } from "./page.mjs";
import { World } from "./world.mjs";

const states = (page) => page.locator('[data-testid="compared"] tbody tr').evaluateAll((rows) => rows.map((row) => row.dataset.state));

describe("comparisons on a bent tallyd", () => {
    let browser;
    before(async () => { browser = await launch(); });
    after(() => browser?.close());
    const view = (p) => `view=compare&process=${p.id}`;

    test("new comes first; states, order and filter are in the address", PATIENCE, async () => {
        const { page, faults, end } = await fakePage(browser, view, (fake, p) => { fake.findings.baseline(p); fake.findings.turn += 9; });
        await byId(page, "compared").waitFor();
        const order = ["new", "grown", "shrunk", "gone"];
        const shown = await states(page);
        assert.ok(shown.length > 5 && shown[0] === "new");
        assert.deepEqual(shown, [...shown].sort((a, b) => order.indexOf(a) - order.indexOf(b)));
        await accessible(page, "compare");
        await byId(page, "state-grown").click();
        await eventually("the grown are away", async () => !(await states(page)).includes("grown"));
        await page.reload();
        await byId(page, "compared").waitFor();
        assert.ok(!(await states(page)).includes("grown"));
        await page.locator("h1").focus();
        await tabTo(page, '[data-testid="state-grown"]');
        await page.keyboard.press("Space");
        await eventually("they are back", async () => (await states(page)).includes("grown"));
        await page.locator('th[data-column="delta_bytes"] button').click();
        await addressed(page, "sort", "-delta_bytes");
        const { text } = await saved(page, () => byId(page, "compared-csv").click());
        assert.match(text, /^state,type,delta_bytes/);
        await byId(page, "compared-filter").fill("Fresh");
        await byId(page, "compared-count").getByText("1 of").waitFor();
        await byId(page, "compared").focus();
        await page.keyboard.press("Home");
        await page.keyboard.press("Enter");
        await byId(page, "type-pane").waitFor();
        assert.deepEqual(faults, []);
        await end();
    });

    test("both sides are chosen, exchanged and begun anew by keyboard alone", PATIENCE, async () => {
        const { page, faults, end } = await fakePage(browser, view, (fake, p) => { fake.findings.baseline(p); fake.findings.turn += 9; });
        await byId(page, "compared").waitFor();
        await page.locator("h1").focus();
        await byId(page, "compare-a").locator('option[value^="now:"]').first().waitFor({ state: "attached" }); /* the fleet comes by itself */
        await tabTo(page, '[data-testid="compare-a"]');
        const before = await byId(page, "compare-a").inputValue();
        await page.keyboard.press("ArrowUp");
        await eventually("another one is chosen", async () => await inAddress(page, "a") !== null && await inAddress(page, "a") !== before);
        await tabTo(page, '[data-testid="compare-swap"]');
        const a = await inAddress(page, "a");
        await page.keyboard.press("Enter");
        await addressed(page, "b", a);
        await tabTo(page, '[data-testid="make-baseline"]');
        await page.keyboard.press("Enter");
        await addressed(page, "a", "0a0b0c0d-b2");
        assert.deepEqual(faults, []);
        await end();
    });

    test("while tallyd is away what was shown stays, and one notice says so", PATIENCE, async () => {
        const { page, fake, end } = await fakePage(browser, view, (one, p) => { one.findings.baseline(p); one.findings.turn += 9; });
        await byId(page, "compared").waitFor();
        await fake.stop();
        await byId(page, "offline").waitFor();
        const failed = page.waitForEvent("requestfailed", (request) => request.url().endsWith("/v1/baselines"));
        await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange"))); /* it asks again at once */
        await failed;
        await page.locator('.notice[data-status="0"]').first().waitFor({ state: "attached" });
        await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
        assert.ok(await byId(page, "compared").isVisible());
        assert.equal(await byId(page, "compare-empty").count(), 0);
        assert.equal(await page.locator(".notice.bad:visible").count(), 1);
        await end();
    });

    test("with nothing to compare it says how to get it", PATIENCE, async () => {
        const { page, faults, end } = await fakePage(browser, view);
        await byId(page, "compare-empty").waitFor();
        await accessible(page, "nothing to compare");
        await byId(page, "make-baseline").click();
        await byId(page, "compared").or(byId(page, "compare-same")).waitFor();
        await addressed(page, "a", "0a0b0c0d-b1");
        assert.deepEqual(faults, []);
        await end();
    });
});

describe("a real program before and after", { skip: unbuilt }, () => {
    const world = new World();
    let page, faults, close, leak, id;
    before(async () => {
        await world.start();
        leak = world.program("leak", "kind=leak");
        await world.evaluated(leak, `${LEAK}(keep 20)`);
        world.program("other", "kind=idle");
        await eventually("both are attached", async () => (await world.api("/v1/processes")).processes.filter(({ heaps }) => heaps.length).length === 2);
        id = (await world.api("/v1/processes")).processes.find(({ name }) => name === "leak").id;
        ({ page, faults, close } = await open(world.browser, await world.link()));
        await page.goto(`http://${world.address}/#view=compare&process=${id}`);
    }, PATIENCE);
    after(async () => {
        await close?.();
        await world.stop();
    }, PATIENCE);

    test("what it leaked since is what has grown, to the object", PATIENCE, async () => {
        await byId(page, "compare-empty").waitFor();
        await byId(page, "make-baseline").click();
        await byId(page, "compared").or(byId(page, "compare-same")).waitFor();
        await eventually("it is in the address", async () => await inAddress(page, "a") !== null);
        await world.evaluated(leak, "(keep 500)");
        await eventually("the lists have grown", async () => {
            const row = page.locator('[data-testid="compared"] tr[data-type="list"] td');
            const { types } = await world.api(`/v1/compare?a=${await inAddress(page, "a")}&b=now:${id}`);
            const { delta_objects } = types.find(({ type }) => type === "list");
            const drawn = await row.count() ? await row.nth(3).textContent() : "";
            return delta_objects >= 1000 && drawn === `+${delta_objects.toLocaleString("en-US")}` || `${drawn} of ${delta_objects}`;
        });
        assert.match(await byId(page, "compare-summary").textContent(), /grew most(list|string)/);
        await byId(page, "compare-swap").click();
        await eventually("turned round, what had grown has shrunk", async () => {
            const { types } = await world.api(`/v1/compare?a=now:${id}&b=${await inAddress(page, "b")}`);
            const told = types.map(({ state }) => state).filter((state) => state !== "same");
            const shown = await states(page);
            return types.find(({ type }) => type === "list").state === "shrunk" && shown.join() === told.join() || `${shown} of ${told}`;
        });
        const other = await page.locator('[data-testid="compare-b"] optgroup[label="Other processes"] option').first().getAttribute("value");
        await byId(page, "compare-b").selectOption(other);
        await addressed(page, "b", other);
        await byId(page, "compare-summary").getByText("other").waitFor();
        assert.deepEqual(faults, []);
    });
});
