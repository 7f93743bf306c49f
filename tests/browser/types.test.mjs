/* Types: what is alive, what has grown since when, how long it lives; and how ten thousand of them behave. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PATIENCE, LEAK, accessible, addressed, fakePage, inAddress, saved, tabTo, unbuilt } from "./findings.mjs";
import { manyTypes } from "./fake-findings.mjs";
import { byId, cut, eventually, launch, open } from "./page.mjs";
import { World } from "./world.mjs";

const view = (p) => `view=types&process=${p.id}`;
const cell = (page, type, column) => page.locator(`[data-testid="types"] tr[data-type="${type}"] td`).nth(column);
const number = (text) => Number(text.replaceAll(",", "").replace("−", "-").replace("+", ""));

describe("types on a bent tallyd", () => {
    let browser;
    before(async () => { browser = await launch(); });
    after(() => browser?.close());

    test("ten thousand types scroll, sort and filter with few rows drawn", PATIENCE, async () => {
        const { page, faults, end } = await fakePage(browser, view, (fake) => { fake.findings.names = manyTypes(10_000); });
        await byId(page, "types-count").getByText("10,000 rows").waitFor();
        assert.ok(await page.locator('[data-testid="types"] tbody tr').count() < 80);
        await page.locator('[data-testid="types"] th[data-column="name"] button').click(); /* by their names they stay where they are */
        await addressed(page, "sort", "+name");
        await byId(page, "types").focus();
        await page.keyboard.press("End");
        const last = page.locator('[data-testid="types"] tr.active');
        await last.waitFor();
        assert.equal(await last.getAttribute("aria-rowindex"), "10001");
        const most = await page.evaluate(async () => {
            const scroller = document.querySelector(".table-scroll");
            let rows = 0;
            for (let turn = 0; turn < 60; turn++) {
                scroller.scrollTop = turn * 4990;
                await new Promise(requestAnimationFrame);
                rows = Math.max(rows, scroller.querySelectorAll("tbody tr").length);
            }
            return rows;
        });
        assert.ok(most < 80, `${most} rows are in the document`); /* what a frame takes is measured: make bench-page */
        await byId(page, "types-filter").fill("Type0987");
        await byId(page, "types-count").getByText("10 of 10,000 rows").waitFor();
        await addressed(page, "filter", "Type0987");
        await page.reload();
        await byId(page, "types-count").getByText("10 of 10,000 rows").waitFor();
        assert.equal(await page.locator('[data-testid="types"] tbody tr').first().getAttribute("data-type"), "Type09870");
        assert.deepEqual(faults, []);
        await end();
    });

    test("the pane has figures, past and lifetimes, by keyboard alone, and breaches nothing", PATIENCE, async () => {
        const { page, faults, end } = await fakePage(browser, view);
        await byId(page, "types").waitFor();
        await accessible(page, "the list");
        await tabTo(page, '[data-testid="types"]');
        await page.keyboard.press("Home");
        await page.keyboard.press("ArrowDown");
        await page.keyboard.press("Enter");
        await byId(page, "type-pane").waitFor();
        const name = await inAddress(page, "type");
        const onTitle = () => page.evaluate(() => document.activeElement.id === "pane-title");
        await eventually("the focus is on its title", onTitle);
        await byId(page, "lifetime-histogram").waitFor();
        assert.match(await byId(page, "mean-lifetime").textContent(), /^about \d/);
        await byId(page, "type-chart").locator("canvas").waitFor();
        await page.locator(`[data-testid="type-chart"][aria-label^="Live bytes of ${name}: now "]`).waitFor();
        await accessible(page, "the pane");
        await tabTo(page, '[data-testid="span-1h"]');
        await Promise.all([page.waitForRequest((one) => new URL(one.url()).searchParams.get("from") === "-1h"), page.keyboard.press("Enter")]);
        await addressed(page, "span", "1h");
        await page.reload();
        await page.locator('[data-testid="span-1h"][aria-pressed="true"]').waitFor();
        await eventually("the focus is on the pane's title again", onTitle);
        await page.keyboard.press("Escape");
        await byId(page, "type-pane").waitFor({ state: "detached" });
        await eventually("the focus is back", () => page.evaluate(() => document.activeElement.dataset.testid === "types"));
        await page.goBack();
        await byId(page, "type-pane").waitFor();
        await byId(page, "close-pane").click();
        await byId(page, "type-pane").waitFor({ state: "detached" });
        assert.deepEqual(faults, []);
        await end();
    });

    test("each row has the course of its live bytes, whatever its name, and no figure is cut", PATIENCE, async () => {
        const names = ["a,b", "a b", "a+b", "std::map<std::pair<int, long>, std::vector<char>>", "n".repeat(200), "\u05e9\u05dc\u05d5\u05dd\u202e"];
        const { page, faults, fake, end } = await fakePage(browser, view, (fake) => { fake.findings.names = names; });
        await byId(page, "types-count").getByText("6 rows").waitFor();
        const courses = () => page.locator('[data-testid="types"] .trend path[d^="M"]').count();
        await eventually("each has one", async () => await courses() === names.length || await courses());
        await page.locator('th[data-column="live_bytes"][title*="each 4.00 s of the last 48 s"]').waitFor();
        assert.ok(!fake.log.some((line) => line.endsWith("/history")), "history is not asked");
        assert.deepEqual(await cut(page), []);
        for (const name of names) {
            await page.locator(`[data-testid="types"] tr`, { hasText: name }).first().click();
            await byId(page, "type-pane").getByRole("heading", { name, exact: true }).waitFor();
            assert.deepEqual(await cut(page), [], name);
        }
        assert.deepEqual(faults, []);
        await end();
    });

    test("a hostile name is text, and CSV holds no formula", PATIENCE, async () => {
        const names = ["<img src=x onerror=alert(1)>", "=cmd|'/c calc'!A0", "a,b", "plain"];
        const { page, faults, end } = await fakePage(browser, view, (fake) => { fake.findings.names = names; });
        await byId(page, "types-count").getByText("4 rows").waitFor();
        assert.equal(await page.locator("main img").count(), 0);
        const { name, text } = await saved(page, () => byId(page, "types-csv").click());
        assert.equal(name, "tally-types.csv");
        assert.match(text, /^name,live_bytes/);
        assert.match(text, /'=cmd/);
        assert.match(text, /"a,b"/);
        await page.getByText(names[0]).click();
        await byId(page, "type-pane").getByRole("heading", { name: names[0] }).waitFor();
        assert.deepEqual(faults, []);
        await end();
    });
});

describe("types of a real program", { skip: unbuilt }, () => {
    const world = new World();
    let page, faults, close, leak, id;
    before(async () => {
        await world.start();
        leak = world.program("leak", "kind=leak");
        leak.stdin.write(`${LEAK}(keep 50)\n(knots 50)\n`);
        await eventually("it is attached", async () => (await world.api("/v1/processes")).processes.length === 1);
        id = (await world.api("/v1/processes")).processes[0].id;
        await world.caughtUp(leak); /* what it did before is no change */
        ({ page, faults, close } = await open(world.browser, await world.link()));
        await page.goto(`http://${world.address}/#view=types&process=${id}`);
        await byId(page, "types").waitFor();
    }, PATIENCE);
    after(async () => {
        await close?.();
        await world.stop();
    }, PATIENCE);

    test("live figures are the API's, and Δ counts from the opening on", PATIENCE, async () => {
        await eventually("nothing has changed", async () => await cell(page, "list", 4).textContent() === "0" || cell(page, "list", 4).textContent());
        leak.stdin.write("(keep 40)\n");
        await eventually("the lists that are kept are counted", async () => {
            const delta = number(await cell(page, "list", 4).textContent());
            return delta >= 80 || delta;
        });
        await eventually("live objects are drawn", async () => {
            const { types } = await world.api(`/v1/processes/${id}/types?type=list`);
            return number(await cell(page, "list", 3).textContent()) === types[0].live_objects || cell(page, "list", 3).textContent();
        });
    });

    test("a baseline is set, chosen among several, and kept in the address", PATIENCE, async () => {
        /** What is drawn is what tallyd says of the baseline in the address, and at least what was kept since. */
        const sameDelta = async (least = 60) => {
            const since = await inAddress(page, "since");
            const { types } = await world.api(`/v1/processes/${id}/types?type=list&baseline=${since}`);
            const drawn = number(await cell(page, "list", 4).textContent());
            return drawn === types[0].since_baseline.live_objects && drawn >= least || drawn;
        };
        await page.goto(`http://${world.address}/#view=types&process=${id}`);
        for (const count of [1, 2]) {
            await byId(page, "make-baseline").click();
            await eventually("it can be chosen", async () => await page.locator('[data-testid="since"] option').count() === count + 1);
            await eventually("it is chosen", async () => /-b\d+$/.test(await inAddress(page, "since") ?? ""));
            leak.stdin.write("(keep 30)\n");
            await eventually("Δ counts from it", () => sameDelta());
        }
        const first = await page.locator('[data-testid="since"] option').last().getAttribute("value");
        await byId(page, "since").selectOption(first);
        await eventually("the first one is older", () => sameDelta(120));
        await page.reload();
        await byId(page, "types").waitFor();
        await eventually("after a reload too", () => sameDelta(120));
        await byId(page, "compare-link").click();
        await page.locator('[data-testid="compared"] tr[data-type="list"]').waitFor();
        await page.goBack();
    });

    test("a type's pane has what the program did", PATIENCE, async () => {
        leak.stdin.write("(knots 900)\n(keep 10)\n");
        await page.goto(`http://${world.address}/#view=types&process=${id}&type=atom`);
        await byId(page, "lifetime-histogram").waitFor();
        await byId(page, "type-chart").waitFor();
        await byId(page, "type-pane").getByText("by cycle").waitFor();
        await byId(page, "type-cycles").click();
        await byId(page, "cycles-filter").waitFor();
        assert.equal(await byId(page, "cycles-filter").inputValue(), "atom");
        assert.deepEqual(faults, []);
    });

    test("a type whose name has blanks has a past and lifetimes, too", PATIENCE, async () => {
        leak.stdin.write("(keep 20)\n");
        let name;
        await eventually("there is one", async () => {
            const { types } = await world.api(`/v1/processes/${id}/types`);
            name = types.find((type) => type.name.includes(" ") && type.lifetimes?.known)?.name;
            return name !== undefined || types.map((type) => type.name);
        });
        await page.goto(`http://${world.address}/#${new URLSearchParams({ view: "types", process: id, type: name })}`);
        await byId(page, "type-pane").getByRole("heading", { name }).waitFor();
        await byId(page, "lifetime-histogram").waitFor();
        await page.locator(`[data-testid="types"] tr[data-type="${name}"] .trend path[d^="M"]`).waitFor({ state: "attached" });
    });
});
