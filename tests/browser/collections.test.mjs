/* The collections of a real process: strip, map, table and detail, by pointer and by keyboard. Skipped where nothing is
 * built, unless TALLY_REQUIRE_ALL is set. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fakeProcess } from "./fake-tallyd.mjs";
import { PATIENCE, axe, byId, cut, eventually, go, open, pixels, saved, wider } from "./page.mjs";
import { staged } from "./stage.mjs";
import { BUILD, World } from "./world.mjs";

const built = ["tallyd", "tally-mal"].every((program) => existsSync(join(BUILD, program)));
const skip = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;
const PROGRAM = "(def! knot (fn* [] (let* [a (atom nil)] (do (reset! a a) nil))))\n(def! churn (fn* [n] (if (> n 0) (do (knot) (churn (- n 1))) nil)))\n";
const MANY = 300; /* more than the 256 that are kept live */

/** As long as figures become. */
const long = (n) => ({ heap: 1, sequence: n, started_at: new Date(Date.now() - 1000 * n).toISOString(), start_mono_ns: 1e9 * n, reason: ["threshold", "remote", "shutdown"][n % 3], generation: 2,
    manager: "generational", scope: "candidates", slices: 1234, pause_ns: 999e6, phases: { find_ns: 666e6, callback_ns: 222e6, free_ns: 111e6 }, examined: 99_900_000, collected: 99_900_000,
    freed_bytes: 1023 * 2 ** 20, uncollectable: 0, live_bytes_before: 1023 * 2 ** 20, live_bytes_after: 1022 * 2 ** 20, safepoint_wait_ns: 999e6, operation: n % 3 === 1 ? "0b0c1d2e-12" : null });
const stage = staged();

stage("no figure is cut, however long", { processes: [fakeProcess("one", { pace: 0, enabled: false, records: [1, 2, 3].map(long) })], place: ({ processes: [one] }) => `view=collections&process=${one.id}&range=1h` }, async ({ page }) => {
    await byId(page, "collections-count").getByText("3 rows").waitFor();
    assert.deepEqual(await cut(page), []);
});

describe("collections", { skip }, () => {
    const world = new World();
    let page, faults, close, bakery, id;

    const rows = () => byId(page, "collections").locator("tbody tr[data-sequence]");
    const count = async () => Number((await byId(page, "collections-count").textContent()).replaceAll(",", "").match(/\d+/)[0]);
    const inAddress = (key) => page.evaluate((name) => new URLSearchParams(location.hash.slice(1)).get(name), key);
    const place = (more = "&range=5m") => go(page, `view=collections&process=${id}${more}`);
    const column = (name) => page.evaluate((wanted) => {
        const heads = [...document.querySelectorAll('[data-testid="collections"] th[data-column]')].map((head) => head.dataset.column);
        return [...document.querySelectorAll('[data-testid="collections"] tbody tr[data-sequence]')].map((row) => row.cells[heads.indexOf(wanted)].textContent.trim());
    }, name);

    const total = async () => (await world.api(`/v1/processes/${id}/stats`)).collections;
    /** How many there are, once history has all of them, the last one of which has this reason. */
    const recorded = async (reason) => {
        let all;
        await eventually("history has all collections", async () => {
            const { collections } = await world.api(`/v1/processes/${id}/history/collections?limit=1000&from=-1h`).catch(() => ({ collections: [] })); /* not known yet */
            all = await total();
            return collections.length === all && collections[0]?.reason === reason || `${collections.length} of ${all}`;
        });
        return all;
    };
    const allShown = () => eventually("all are shown", async () => {
        const [shown, all] = [await count(), await total()];
        return shown === all || `${shown} of ${all}`;
    });

    before(async () => {
        await world.start();
        bakery = world.program("bakery", "kind=cycles");
        await world.evaluated(bakery, PROGRAM);
        await eventually("it is listed", async () => (await world.api("/v1/processes")).processes[0]?.heaps.length === 1);
        id = (await world.api("/v1/processes")).processes[0].id;
        /* Many by threshold, in bursts that the recorder can keep up with; then one that is asked for. */
        for (let done = 0; done < MANY; done = await recorded("threshold")) {
            await world.evaluated(bakery, "(churn 60000)");
        }
        await world.done("POST", `/v1/processes/${id}/collect`, { generation: 2 });
        await recorded("remote");
        ({ page, faults, close } = await open(world.browser, await world.link(), { bypassCSP: true, acceptDownloads: true }));
        await byId(page, "processes").waitFor();
        await place();
        await rows().first().waitFor();
    }, PATIENCE);
    after(async () => {
        await close?.();
        await world.stop();
    }, PATIENCE);

    test("rows are the API's, older ones than it keeps live come from history", PATIENCE, async () => {
        const { collections } = await world.api(`/v1/processes/${id}/collections?limit=256`);
        await eventually("the newest is first", async () => await rows().first().getAttribute("data-sequence") === `${collections[0].heap}/${collections[0].sequence}`);
        await allShown();
        assert.ok(await count() > 256);
        const first = rows().first();
        const text = await first.textContent();
        for (const part of [collections[0].reason, collections[0].scope, collections[0].collected.toLocaleString("en-US")]) {
            assert.ok(text.includes(part), `${part} in ${text}`);
        }
        assert.ok(await rows().count() < 120, "of many rows those in sight are drawn");
    });

    test("filters of reason, generation and pause are in the address, by pointer and keyboard", PATIENCE, async () => {
        await allShown();
        await byId(page, "reason-threshold").click();
        await eventually("the one that was asked for is left", async () => await count() === 1 || await count());
        assert.deepEqual(await column("reason"), ["remote"]);
        assert.equal(await inAddress("hide"), "threshold");
        await byId(page, "reason-threshold").focus();
        await page.keyboard.press("Space");
        await allShown();
        await byId(page, "generation-0").focus();
        await page.keyboard.press("Enter");
        assert.equal(await inAddress("without"), "0");
        await eventually("others", async () => !(await column("generation")).includes("0"));
        await byId(page, "generation-0").click();
        await byId(page, "min-pause").selectOption("1000");
        assert.equal(await inAddress("min"), "1000");
        await page.reload();
        await byId(page, "collections-view").waitFor();
        await eventually("a reload keeps them", async () => await byId(page, "min-pause").inputValue() === "1000");
        await byId(page, "min-pause").selectOption("");
        await allShown();
    });

    test("the table is sorted by its heads and saved as CSV", PATIENCE, async () => {
        await byId(page, "collections").locator('th[data-column="pause_ns"] button').click();
        await eventually("the longest first", async () => (await inAddress("sort")) === "-pause_ns");
        const { name, text } = await saved(page, () => byId(page, "collections-csv").click());
        assert.equal(name, "tally-collections.csv");
        const [head, ...lines] = text.trim().split("\r\n");
        assert.match(head, /^start,pause_ns,reason,initiator,generation,scope,find_ns,/);
        const pauses = lines.map((line) => Number(line.split(",")[1]));
        assert.equal(lines.length, await count());
        assert.deepEqual(pauses, [...pauses].sort((a, b) => b - a));
        await place();
    });

    test("what one cost and why: phases, reason, who asked, with a way to the audit", PATIENCE, async () => {
        await byId(page, "reason-remote").waitFor();
        await place("&range=5m&hide=threshold");
        await eventually("one row", async () => await count() === 1);
        await byId(page, "collections").focus();
        await page.keyboard.press("Home");
        await page.keyboard.press("Enter");
        const detail = byId(page, "detail");
        await detail.waitFor();
        await detail.getByText("Somebody asked for it from outside").waitFor();
        await byId(page, "initiator").getByText(/token.*127\.0\.0\.1/).waitFor();
        assert.equal(await detail.locator(".phases rect").count(), 3);
        assert.match(await byId(page, "verdict").textContent(), /% of the pause went into/);
        await eventually("reading begins at its title", () => page.evaluate(() => document.activeElement?.id === "detail-title"));
        assert.ok(await inAddress("from"), "the time is held, so that the link stays good");
        const shared = page.url();
        await byId(page, "initiator").getByText("audit").click();
        await page.waitForURL(/view=audit/);
        await page.goto(shared);
        await detail.waitFor();
        await byId(page, "close-detail").focus();
        await page.keyboard.press("Enter");
        await eventually("closed", async () => await detail.count() === 0);
        await go(page, `${new URL(page.url()).hash}&collection=1%2F999999`);
        await byId(page, "detail-missing").waitFor();
        await place();
    });

    test("the strip is zoomed by drag and by keyboard, and opens a collection", PATIENCE, async () => {
        const strip = page.locator('[data-figure="timeline"] [role="slider"]');
        await eventually("it is drawn", async () => !(await strip.getAttribute("class")).includes("blank") && await pixels(page, "timeline") !== 0);
        await byId(page, "history-loading").waitFor({ state: "detached" }); /* what is above it moves it no more */
        const box = await page.locator('[data-figure="timeline"] .u-over').boundingBox();
        await page.mouse.move(box.x + box.width * 0.8, box.y + 30);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width - 2, box.y + 40, { steps: 3 });
        await page.mouse.up();
        await byId(page, "held").waitFor();
        await page.goBack();
        await byId(page, "pause").waitFor();
        await eventually("the whole time is drawn again", async () => await strip.getAttribute("aria-valuemax") - await strip.getAttribute("aria-valuemin") >= 299);
        await strip.focus();
        await page.keyboard.press("ArrowLeft");
        const first = await strip.getAttribute("aria-valuetext");
        assert.match(first, /collection, (remote|threshold), [\d.]+ (µs|ms|ns)/);
        await page.keyboard.press("Shift+ArrowLeft");
        await eventually("another", async () => await strip.getAttribute("aria-valuetext") !== first);
        await page.keyboard.press("+");
        await byId(page, "held").waitFor();
        await page.keyboard.press("Enter");
        await byId(page, "detail").waitFor();
        await place();
    });

    test("the map is read cell by cell, as words and as a table, and a cell is zoomed into", PATIENCE, async () => {
        const map = page.locator('canvas[data-chart="heat"]');
        await page.mouse.move(0, 0); /* a pointer that rests on the map chooses cells, too */
        await map.scrollIntoViewIfNeeded();
        await map.focus();
        await page.keyboard.press("ArrowLeft");
        await page.keyboard.press("ArrowUp");
        const cell = /^\d\d:\d\d:\d\d to \d\d:\d\d:\d\d, .*: (none|\d+ collections?)$/;
        await eventually("the cell", async () => cell.test(await map.getAttribute("aria-valuetext") ?? ""));
        await eventually("words", async () => /^[\d,]+ pauses\. /.test(await page.locator("#words-heat").textContent()));
        await page.keyboard.press("t");
        await byId(page, "heat-table").waitFor();
        await eventually("the map counts the rows", async () => {
            const counted = (await byId(page, "heat-table").locator("tbody tr").evaluateAll((all) => all.map((row) => Number(row.cells[1].textContent.replaceAll(",", ""))))).reduce((a, b) => a + b, 0);
            const rows = await count();
            return Math.abs(counted - rows) <= 3 || `${counted} in the map, ${rows} rows`;
        });
        await eventually("the table has the focus", () => page.evaluate(() => document.activeElement.getAttribute("aria-label") === "Pauses by length"));
        await page.keyboard.press("t");
        await byId(page, "heat-table").waitFor({ state: "detached" });
        await eventually("the map has it again", () => page.evaluate(() => document.activeElement.dataset.chart === "heat"));
        await page.keyboard.press("End");
        await page.keyboard.press("Enter");
        await byId(page, "held").waitFor();
        await page.goBack();
        await byId(page, "pause").waitFor();
    });

    test("new ones come by themselves", PATIENCE, async () => {
        const newest = await rows().first().getAttribute("data-sequence");
        await world.done("POST", `/v1/processes/${id}/collect`, { generation: 0 });
        await eventually("it is on top", async () => await rows().first().getAttribute("data-sequence") !== newest);
        await place("&range=1m&hide=threshold,remote");
        await byId(page, "collections-empty").waitFor();
        await byId(page, "collections-empty").getByRole("link").click();
        await rows().first().waitFor();
    });

    for (const theme of ["light", "dark"]) {
        test(`accessible, ${theme}, wide and narrow`, PATIENCE, async () => {
            await byId(page, "theme").selectOption(theme);
            await place("&range=5m&tables=timeline,heat");
            await byId(page, "heat-table").waitFor();
            await rows().first().click();
            await byId(page, "detail").waitFor();
            assert.deepEqual(await axe(page), []);
            await page.setViewportSize({ width: 360, height: 740 });
            await place();
            assert.deepEqual(await axe(page), []);
            assert.deepEqual(await wider(page), []);
            await page.setViewportSize({ width: 1280, height: 900 });
        });
    }

    test("nothing went wrong in the page meanwhile", () => assert.deepEqual(faults, []));
});
