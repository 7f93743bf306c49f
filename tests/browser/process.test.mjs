/* The overview of a real process: identity, heaps, charts over time, by pointer and by keyboard, and how one that is
 * gone looks. Skipped where nothing is built, unless TALLY_REQUIRE_ALL is set. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { PATIENCE, axe, byId, eventually, go, open, pixels, saved, settled, tabTo, wider } from "./page.mjs";
import { BUILD, World } from "./world.mjs";

const built = ["tallyd", "tally-mal", "hosts/heaps"].every((program) => existsSync(join(BUILD, program)));
const skip = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;
const PROGRAM = "(def! knot (fn* [] (let* [a (atom nil)] (do (reset! a a) nil))))\n(def! churn (fn* [n] (if (> n 0) (do (knot) (churn (- n 1))) nil)))\n";
const CHARTS = ["live_bytes", "live_objects", "allocation_rate", "free_rate", "pauses", "candidates", "gc_time", "memory"];

describe("the overview", { skip }, () => {
    const world = new World();
    let page, faults, close, bakery, baking, id, crashed;

    const slider = (chart) => page.locator(`[data-figure="${chart}"] [role="slider"]`);
    const ends = (chart) => slider(chart).evaluate((plot) => [plot.getAttribute("aria-valuemin"), plot.getAttribute("aria-valuemax")].map(Number));
    const inAddress = (key) => page.evaluate((name) => new URLSearchParams(location.hash.slice(1)).get(name), key);
    /** A chart is drawn, and there are some figures in it. */
    const known = async (chart) => {
        await slider(chart).locator("xpath=self::*[not(contains(@class, 'blank'))]").waitFor();
        await eventually(`${chart} is known`, async () => !(await page.locator(`[data-figure="${chart}"] .value`).allTextContents()).includes("–"));
    };
    const place = (more = "") => go(page, `view=process&process=${id}${more}`);

    before(async () => {
        await world.start();
        bakery = world.program("bakery", "kind=cycles");
        bakery.stdin.write(PROGRAM);
        baking = setInterval(() => bakery.stdin.write("(churn 150)\n"), 60);
        crashed = world.program("crashed", "kind=cycles");
        crashed.stdin.write(`${PROGRAM}(churn 2000)\n`);
        const heaps = spawn(join(BUILD, "hosts/heaps"), [], { env: world.env, stdio: ["pipe", "ignore", "inherit"] });
        world.programs.push(heaps);
        heaps.stdin.write("1 ring 50\n2 make 20\n");
        await eventually("all are listed", async () => (await world.api("/v1/processes")).processes.filter(({ allocations }) => allocations > 0).length === 3);
        id = (await world.api("/v1/processes")).processes.find(({ name }) => name === "bakery").id;
        ({ page, faults, close } = await open(world.browser, await world.link(), { bypassCSP: true, acceptDownloads: true }));
        await byId(page, "processes").waitFor();
        await place();
        await byId(page, "name").getByText("bakery").waitFor();
    }, PATIENCE);
    after(async () => {
        clearInterval(baking);
        await close?.();
        await world.stop();
    }, PATIENCE);

    /** Wherever the test before has come to. */
    beforeEach(async () => {
        await page.setViewportSize({ width: 1280, height: 900 });
        await place();
        await byId(page, "name").getByText("bakery").waitFor();
    }, PATIENCE);

    test("who it is stands above", PATIENCE, async () => {
        await byId(page, "id").getByText(id).waitFor();
        await eventually("all of it is said", async () => {
            const process = await world.api(`/v1/processes/${id}`);
            const head = await page.locator(".identity").textContent();
            const missing = [`pid ${process.pid}`, "kind=cycles", "live", process.complete ? "exact" : "incomplete: ", `libtally ${process.library}`, "attached", "safepoint"].filter((text) => !head.includes(text));
            return missing.length === 0 || `${missing} not in ${head}`;
        });
        const age = () => byId(page, "safepoint-age").textContent();
        const first = await age();
        await eventually("its age is live", async () => await age() !== first);
    });

    test("eight charts, drawn where they are seen and not elsewhere", PATIENCE, async () => {
        await page.setViewportSize({ width: 1280, height: 500 });
        await page.evaluate(() => scrollTo(0, 0));
        await settled(page); /* the page knows what is in sight now */
        await slider("live_bytes").locator("xpath=self::*[not(contains(@class, 'blank'))]").waitFor();
        assert.deepEqual(await page.locator(".charts figure").evaluateAll((all) => all.map((figure) => figure.dataset.figure)), CHARTS);
        const still = await pixels(page, "memory");
        for (let drawings = 0; drawings < 3; drawings++) {
            const seen = await pixels(page, "live_bytes");
            await eventually("what is in sight is drawn", async () => await pixels(page, "live_bytes") !== seen);
        }
        assert.equal(await pixels(page, "memory"), still, "out of sight nothing is drawn");
        await page.setViewportSize({ width: 1280, height: 900 });
        for (const chart of CHARTS) {
            await page.locator(`[data-figure="${chart}"]`).scrollIntoViewIfNeeded();
            await eventually(`${chart} is drawn`, async () => !(await slider(chart).getAttribute("class")).includes("blank") && await pixels(page, chart) !== 0);
        }
        await page.evaluate(() => scrollTo(0, 0));
    });

    /** Adds up rates from the last second of history on, and holds them against the recorder, however steady the program
     * was: what it had made at t lies between the whole seconds around. @param {{t: number, rate: number}[]} rows @param {Map<number, number>} recorded */
    function judge(rows, recorded) {
        const steps = [...recorded.values()].map((value, n, all) => value - all[n - 1]).filter((step) => step >= 0);
        const slack = 0.15 * Math.max(...steps);
        const wrong = [];
        let judged = 0;
        rows.forEach((row, n) => {
            const base = rows.slice(0, n).findLast(({ t }) => row.t - t >= 0.95);
            const summed = (base?.made ?? NaN) + row.rate * (row.t - base?.t);
            const [least, most] = Number.isInteger(row.t) ? [recorded.get(row.t), recorded.get(row.t)] : [recorded.get(Math.floor(row.t - 0.1)), recorded.get(Math.ceil(row.t + 0.1))];
            if (summed < least - slack || summed > most + slack) {
                wrong.push(`at ${row.t}: ${summed}, recorded ${least} to ${most}`);
            }
            judged += !Number.isInteger(row.t) && Number.isFinite(summed + least + most) ? 1 : 0;
            row.made = Number.isInteger(row.t) ? recorded.get(row.t) : summed;
        });
        return { judged, wrong };
    }

    test("history and stream join without a dent", PATIENCE, async () => {
        await eventually("some seconds are known", async () => (await world.api(`/v1/processes/${id}/history?from=-60s`)).series[0].last.filter((v) => v !== null).length >= 6);
        await eventually("readings after the join are judged", async () => {
            await page.reload(); /* from here on the stream, before it history */
            await byId(page, "name").getByText("bakery").waitFor();
            await byId(page, "range-1m").click();
            await known("allocation_rate");
            const [, loaded] = await ends("live_bytes");
            await eventually("the stream has gone on for a while", async () => (await ends("live_bytes"))[1] >= loaded + 5);
            const { text } = await saved(page, () => page.locator('[data-figure="allocation_rate"]').getByRole("button", { name: /^CSV/ }).click());
            const rows = text.trim().split("\r\n").slice(1).map((line) => line.split(",")).map(([time, rate]) => ({ t: Date.parse(time) / 1000, rate: rate === "" ? NaN : Number(rate) }));
            const { at, series: [{ last }] } = await world.api(`/v1/processes/${id}/history?from=-90s&series=allocations`);
            const { judged, wrong } = judge(rows, new Map(at.map((second, n) => [second, last[n] ?? NaN])));
            assert.deepEqual(wrong, []);
            return judged >= 8 || `${judged} of ${rows.length}`;
        });
    });

    test("every range is chosen by pointer, and by keyboard, and the address has it", PATIENCE, async () => {
        const seconds = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "6h": 21_600, "1d": 86_400, "7d": 604_800, "31d": 2_678_400 };
        const asksFor = (length) => page.waitForRequest((request) => {
            const query = request.url().includes("/history?") ? new URL(request.url()).searchParams : new Map();
            const span = (Date.parse(query.get("to")) - Date.parse(query.get("from"))) / 1000;
            return Math.abs(span - length) <= 3 && Number(query.get("points")) <= 600;
        });
        await Promise.all([asksFor(seconds["15m"]), byId(page, "range-15m").click()]);
        for (const [name, length] of Object.entries(seconds)) {
            await Promise.all([asksFor(length), byId(page, `range-${name}`).click()]);
            assert.equal(await inAddress("range"), name);
            await eventually(`${name} is drawn`, async () => { const [from, to] = await ends("live_bytes"); return Math.abs(to - from - length) <= 1 || [from, to]; });
        }
        assert.equal(await byId(page, "range-31d").getAttribute("aria-pressed"), "true");
        await byId(page, "range-31d").focus();
        await page.keyboard.press("Shift+Tab");
        await page.keyboard.press("Enter");
        assert.equal(await inAddress("range"), "7d");
        await byId(page, "range-5m").focus();
        await page.keyboard.press("Space");
        assert.equal(await inAddress("range"), "5m");
    });

    test("drag zooms all charts, back and forward go through the address, a double click resets", PATIENCE, async () => {
        await byId(page, "range-1m").click();
        await eventually("a minute", async () => { const [from, to] = await ends("live_bytes"); return to - from === 60 || to - from; });
        const box = await page.locator('[data-figure="live_bytes"] .u-over').boundingBox();
        await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width * 0.75, box.y + 60, { steps: 4 });
        await page.mouse.up();
        await byId(page, "held").waitFor();
        const from = Number(await inAddress("from")), to = Number(await inAddress("to"));
        assert.ok(Math.abs(to - from - 15) < 1.5, `${from} – ${to}`);
        for (const chart of ["live_bytes", "live_objects", "allocation_rate"]) {
            await eventually(`${chart} is zoomed`, async () => { const [a, b] = await ends(chart); return a === Math.round(from) && b === Math.round(to) || [a, b]; });
        }
        await page.goBack();
        await byId(page, "pause").waitFor();
        await page.goForward();
        await byId(page, "held").waitFor();
        assert.equal(Number(await inAddress("from")), from);
        await page.reload(); /* a shared link is the same page */
        await byId(page, "held").waitFor();
        await eventually("the same window", async () => { const [a, b] = await ends("live_bytes"); return a === Math.round(from) && b === Math.round(to) || [a, b]; });
        const again = await page.locator('[data-figure="live_bytes"] .u-over').boundingBox();
        await page.mouse.dblclick(again.x + again.width / 2, again.y + 60);
        await byId(page, "pause").waitFor();
        assert.equal(await inAddress("from"), null);
    });

    test("buttons move and zoom, for fingers and keys", PATIENCE, async () => {
        await byId(page, "range-1m").click();
        const length = async () => Math.round(Number(await inAddress("to")) - Number(await inAddress("from")));
        await byId(page, "zoom-in").click();
        assert.equal(await length(), 30);
        const from = Number(await inAddress("from"));
        await byId(page, "earlier").focus();
        await page.keyboard.press("Enter");
        assert.ok(Math.abs(from - Number(await inAddress("from")) - 15) < 0.1);
        await byId(page, "later").click();
        await byId(page, "zoom-out").focus();
        await page.keyboard.press("Space");
        assert.equal(await length(), 60);
        await byId(page, "resume").click();
    });

    test("by keyboard: the cursor reads, + and - zoom, pages move, P pauses, 0 resets, T shows the table", PATIENCE, async () => {
        await byId(page, "range-1m").click();
        await known("live_bytes");
        await slider("live_bytes").focus();
        const said = () => slider("live_bytes").getAttribute("aria-valuetext");
        await page.keyboard.press("ArrowLeft");
        await page.keyboard.press("ArrowLeft");
        const first = await said();
        assert.match(first, /^\d\d:\d\d:\d\d: [\d.]+ (B|KiB|MiB)/);
        await page.keyboard.press("Shift+ArrowLeft");
        await eventually("another reading", async () => await said() !== first);
        assert.notEqual(await page.locator('[data-figure="live_objects"] .u-cursor-x').evaluate((line) => line.style.transform), "", "the others follow");
        await page.keyboard.press("+");
        await byId(page, "held").waitFor();
        assert.ok(Math.abs(Number(await inAddress("to")) - Number(await inAddress("from")) - 30) < 0.1);
        await page.keyboard.press("-");
        await page.keyboard.press("-");
        assert.ok(Math.abs(Number(await inAddress("to")) - Number(await inAddress("from")) - 120) < 0.1);
        const before = Number(await inAddress("from"));
        await page.keyboard.press("PageUp");
        assert.ok(Math.abs(before - Number(await inAddress("from")) - 60) < 0.1);
        await page.keyboard.press("0");
        await byId(page, "pause").waitFor();
        await page.keyboard.press("p");
        await byId(page, "held").waitFor();
        await page.keyboard.press("p");
        await byId(page, "pause").waitFor();
        await page.keyboard.press("t");
        await page.locator('[data-figure="live_bytes"] table').waitFor();
        assert.equal(await inAddress("tables"), "live_bytes");
        await eventually("a row has the time and three figures", async () => await page.locator('[data-figure="live_bytes"] table tbody tr').first().locator("td").count() === 4);
        await eventually("the table has the focus", () => page.evaluate(() => document.activeElement.getAttribute("aria-label") === "Live bytes, table"));
        await page.keyboard.press("t");
        await eventually("the chart again", () => page.locator('[data-figure="live_bytes"] canvas').isVisible());
        await eventually("the chart has it again", () => page.evaluate(() => document.activeElement.getAttribute("role") === "slider"));
    });

    test("paused, charts stand still while the stream is kept; resumed, nothing is missing", PATIENCE, async () => {
        await byId(page, "pause").click();
        await byId(page, "held").getByText("readings kept since").waitFor();
        const window = await ends("live_bytes");
        const seqOf = () => byId(page, "figures").locator('[data-field="allocations"]').getAttribute("data-seq");
        const seq = await seqOf();
        const kept = async () => Number(/(\d+) readings/.exec(await byId(page, "held").textContent())?.[1] ?? 0);
        await eventually("readings are kept", async () => await kept() >= 4 || await kept());
        assert.deepEqual(await ends("live_bytes"), window);
        await eventually("the figures go on", async () => await seqOf() !== seq);
        await byId(page, "resume").click();
        await byId(page, "pause").waitFor();
        await page.locator('[data-figure="live_bytes"] .tool').first().click();
        await page.locator('[data-figure="live_bytes"] table tbody tr').nth(3).waitFor();
        const texts = await page.locator('[data-figure="live_bytes"] table tbody tr').evaluateAll((all) => all.slice(0, 10).map((row) => row.cells[1].textContent));
        assert.ok(!texts.includes("not known"), texts.join());
        await page.locator('[data-figure="live_bytes"] .tool').first().click();
    });

    test("collections are marked by reason, and the legend filters them", PATIENCE, async () => {
        await world.ask("POST", `/v1/processes/${id}/collect?wait=5s`, { generation: 2 });
        await byId(page, "reason-remote").locator(".number", { hasText: /^1$/ }).waitFor();
        const words = page.locator("#words-pauses");
        await eventually("it is in the words", async () => /remote|collections? marked/.test(await words.textContent()));
        await byId(page, "reason-threshold").click();
        assert.equal(await inAddress("hide"), "threshold");
        await eventually("one is left", async () => { await page.locator('[data-figure="pauses"]').scrollIntoViewIfNeeded(); return /1 collection marked/.test(await words.textContent()) || await words.textContent(); });
        await byId(page, "reason-threshold").focus();
        await page.keyboard.press("Enter");
        assert.equal(await inAddress("hide"), null);
    });

    test("a chart is saved as CSV and as a picture", PATIENCE, async () => {
        const tool = (name) => page.locator('[data-figure="free_rate"]').getByRole("button", { name });
        await page.locator('[data-figure="free_rate"]').scrollIntoViewIfNeeded();
        await known("free_rate");
        const csv = await saved(page, () => tool(/^CSV/).click());
        assert.equal(csv.name, "bakery-free_rate.csv");
        assert.match(csv.text, /^time,by count,by cycle\r\n(\d{4}-\d\d-\d\dT[\d:.]+Z,[\d.]*,[\d.]*\r\n)+$/);
        await tool(/^PNG/).focus();
        const [file] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
        const png = await readFile(await file.path());
        assert.equal(png.subarray(1, 4).toString(), "PNG");
        assert.ok(png.length > 3000, `${png.length} bytes`);
    });

    test("the time shown is exported as a trace, from its button by keyboard", PATIENCE, async () => {
        await byId(page, "trace").focus();
        const { name, text } = await saved(page, () => page.keyboard.press("Enter"));
        assert.equal(name, "bakery.trace.json");
        const { traceEvents } = JSON.parse(text);
        assert.ok(traceEvents.some(({ ph }) => ph === "X") && traceEvents.some(({ ph }) => ph === "C"), text.slice(0, 300));
    });

    test("heaps are shown together and one by one", PATIENCE, async () => {
        const several = (await world.api("/v1/processes")).processes.find(({ heaps }) => heaps.length === 2);
        await place("");
        await go(page, `view=process&process=${several.id}`);
        await byId(page, "heaps").waitFor();
        const drawn = () => byId(page, "figures").locator('[data-field="allocations"]').getAttribute("data-value").then(Number);
        const figureOf = async (path) => (await world.api(`/v1/processes/${several.id}/${path}`)).allocations;
        await eventually("the figures of all", async () => await figureOf("stats") === await drawn() || await drawn());
        await byId(page, "heaps").getByText("heap 1").click();
        await eventually("its figures", async () => await figureOf("heaps/1") === await drawn() || await drawn());
        assert.ok(await figureOf("heaps/1") < await figureOf("stats"));
        assert.equal(await inAddress("heap"), "1");
        await go(page, `view=process&process=${several.id}&heap=9`);
        await byId(page, "no-heap").waitFor();
    });

    test("one that was killed shows how it ended, its last collections and events", PATIENCE, async () => {
        const other = (await world.api("/v1/processes")).processes.find(({ name }) => name === "crashed");
        crashed.kill("SIGKILL");
        await go(page, `view=process&process=${other.id}`);
        await byId(page, "ending").waitFor();
        await eventually("it is what tallyd knows", async () => {
            const { post_mortem: mortem } = await world.api(`/v1/processes/${other.id}`);
            const text = await byId(page, "ending").textContent();
            return text.includes(mortem.exit ? "Killed by SIGKILL" : "kernel does not tell")
                && (await byId(page, "state-markers").textContent()).includes(mortem.heaps[0].was.replaceAll("_", " "))
                && await byId(page, "last-collections").locator("li").count() === Math.min(6, mortem.last_collections.length) || text;
        });
        await eventually("its last events", async () => await byId(page, "last-events").locator("li").count() > 5);
        assert.equal(await byId(page, "collect").count(), 0);
    });

    test("it is reached and left by keyboard alone", PATIENCE, async () => {
        await place();
        await byId(page, "name").getByText("bakery").waitFor();
        await page.evaluate(() => document.activeElement?.blur());
        await tabTo(page, "collect");
        await tabTo(page, "range-1m");
        await page.keyboard.press("Enter");
        await tabTo(page, "trace");
        for (const name of ["Table of Live bytes", "CSV of Live bytes", "PNG of Live bytes", "Live bytes"]) {
            await page.keyboard.press("Tab");
            assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), name);
        }
    });

    for (const theme of ["light", "dark"]) {
        test(`accessible, ${theme}, wide and narrow`, PATIENCE, async () => {
            await byId(page, "theme").selectOption(theme);
            await page.locator('[data-figure="pauses"]').scrollIntoViewIfNeeded();
            assert.deepEqual(await axe(page), []);
            await place("&tables=live_bytes,pauses");
            await page.locator('[data-figure="pauses"] table').waitFor();
            await page.setViewportSize({ width: 360, height: 740 });
            assert.deepEqual(await axe(page), []);
            assert.deepEqual(await wider(page), []);
            await page.setViewportSize({ width: 1280, height: 900 });
            await place();
        });
    }

    test("nothing went wrong in the page meanwhile", () => assert.deepEqual(faults, []));
});
