/* The live tail, beside a real tallyd and programs of which one is too fast for any page. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { PATIENCE, axeIn, byId, choose, eventually, go, open, saved, tabTo, typeInto } from "./page.mjs";
import { BUILD, World } from "./world.mjs";

const built = ["tallyd", "tally-mal"].every((program) => existsSync(join(BUILD, program)));
const skip = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;

const PROGRAM = `(def! knot (fn* [] (let* [a (atom nil)] (do (reset! a a) nil))))
(def! churn (fn* [n] (if (> n 0) (do (knot) (churn (- n 1))) nil)))
`;

describe("events", { skip }, () => {
    const world = new World();
    let page, faults, close, calm, beat, id;
    let beating = true, ended = false;

    before(async () => {
        await world.start();
        calm = world.program("calm", "kind=slow");
        await world.evaluated(calm, PROGRAM);
        beat = setInterval(() => beating && calm.stdin.write("(churn 5)\n"), 100);
        world.program("storm", "kind=fast").stdin.write(`${PROGRAM}(churn 100000000)\n`);
        await eventually("both are listed", async () => (await world.api("/v1/processes")).processes.filter(({ heaps }) => heaps.length).length === 2);
        id = (await world.api("/v1/processes")).processes.find(({ name }) => name === "calm").id;
        ({ page, faults, close } = await open(world.browser, await world.link()));
        await choose(page, "calm");
        await byId(page, "to-events").click();
        await byId(page, "tail").waitFor();
    }, PATIENCE);
    after(async () => {
        clearInterval(beat);
        await close?.();
        await world.stop();
    }, PATIENCE);

    const kinds = () => page.locator("[data-testid=tail] tr[data-kind]").evaluateAll((rows) => [...new Set(rows.map((row) => row.dataset.kind))].sort());
    const types = () => page.locator("[data-testid=tail] td.type").evaluateAll((cells) => [...new Set(cells.map((cell) => cell.textContent))].sort());
    const account = async (what) => Number(await byId(page, "tail-account").getAttribute(`data-${what}`));
    const hash = () => page.evaluate(() => new URLSearchParams(location.hash.slice(1)));
    const key = async (name) => page.evaluate((one) => new URLSearchParams(location.hash.slice(1)).get(one), name);
    /** To the tail of calm without a filter, with rows of its own: those of another process have gone with the name. */
    const clearFilters = async () => {
        await go(page, `view=events&process=${id}`);
        await byId(page, "process-nav").getByText("calm").waitFor();
        await byId(page, "tail").locator("tr[data-kind]").first().waitFor();
    };
    const pause = async (pressed) => {
        await byId(page, "tail-pause").click();
        await page.locator(`[data-testid="tail-pause"][aria-pressed="${pressed}"]`).waitFor();
    };
    /** calm does nothing more, and what it did has come. */
    const rest = async () => {
        beating = false;
        await world.evaluated(calm, "(atom [1])");
        await byId(page, "tail").locator("td.type", { hasText: "vector" }).first().waitFor();
    };
    /** Events that have become rows since the tail began. */
    const rows = () => byId(page, "tail-account").evaluate(({ dataset }) => dataset.came - dataset.passed);
    /** What the gap of this kind says that stands behind so many events, however many have come since. */
    const gapAfter = async (count, kind) => {
        await eventually("events come", async () => await rows() > count || count);
        await pause(true);
        const newer = await rows() - count;
        await byId(page, "tail").evaluate((tail, events) => { tail.scrollTop = (events - 5) * tail.querySelector("tr[data-kind]").offsetHeight; }, newer);
        const text = await page.locator(`[data-gap=${kind}]`).first().textContent();
        await pause(false);
        return text;
    };

    /** Wherever the test before has come to. */
    beforeEach(async () => {
        if (!ended) {
            beating = true;
            calm.kill("SIGCONT");
            await clearFilters();
            await (await page.locator('[data-testid="tail-pause"][aria-pressed="true"]').count() && pause(false));
        }
    }, PATIENCE);

    test("what comes is shown, newest first, with exact rates", PATIENCE, async () => {
        await eventually("all kinds come", async () => (await kinds()).includes("alloc") || await kinds());
        await eventually("the counters' rate is drawn", async () => /^[1-9]/.test(await page.locator("[data-rate=alloc]").textContent()));
        const times = await page.locator('[data-testid=tail] tr[data-kind]:not([data-kind^=collection]) td.at').allTextContents(); /* a collection knows its own */
        assert.deepEqual(times, [...times].sort().reverse());
        assert.match(times[0], /^\d\d:\d\d:\d\d\.\d{3}$/);
    });

    test("kinds are chosen with the pointer, and stand in the address", PATIENCE, async () => {
        for (const kind of ["free_refcount", "free_cycle", "collection"]) {
            await byId(page, `kind-${kind}`).click();
        }
        assert.equal(await key("kind"), "alloc");
        await eventually("allocations alone", async () => (await kinds()).join() === "alloc" || await kinds());
        await page.reload();
        await eventually("after a reload too", async () => (await kinds()).join() === "alloc" || await kinds());
        assert.equal(await byId(page, "kind-free_cycle").isChecked(), false);
    });

    test("by keyboard alone: a kind, a type, at least so many bytes, pause and clear", PATIENCE, async () => {
        await clearFilters();
        await page.locator("#title").focus();
        await tabTo(page, "kind-alloc");
        await page.keyboard.press("Space");
        assert.equal(await key("kind"), "free_refcount,free_cycle,collection");
        await page.keyboard.press("Space");
        await typeInto(page, "tail-type", "atom");
        await page.keyboard.press("Enter");
        await eventually("atoms alone", async () => (await types()).join() === "atom" || await types());
        await typeInto(page, "tail-bytes", "17");
        await page.keyboard.press("Tab");
        await byId(page, "tail-empty").getByText("None that fits the filter").waitFor(); /* an atom has 16 */
        assert.equal(await key("min_bytes"), "17");
        await tabTo(page, "tail-clear-filter");
        await page.keyboard.press("Enter");
        await byId(page, "tail").waitFor();
        assert.deepEqual(await hash().then(() => key("type")), null);
        await page.locator("#title").focus();
        await tabTo(page, "tail-pause");
        await page.keyboard.press("Enter");
        assert.equal(await byId(page, "tail-pause").getAttribute("aria-pressed"), "true");
        await page.keyboard.press("Enter");
        await tabTo(page, "tail-clear");
        await eventually("some came", async () => await account("came") > 100);
        await rest(); /* else as many may come again before anybody looks */
        const came = await account("came");
        await page.keyboard.press("Enter");
        await eventually("it begins anew", async () => await account("came") < came);
    });

    test("paused, nothing moves, and what passed is a gap where it is", PATIENCE, async () => {
        await byId(page, "tail").locator("tr[data-kind]").first().waitFor();
        await pause(true);
        const shown = await byId(page, "tail").locator("tbody").innerText();
        const count = await rows();
        await eventually("some pass", async () => await account("passed") > 20 || await account("passed"));
        assert.equal(await byId(page, "tail").locator("tbody").innerText(), shown);
        await pause(false);
        const passed = await account("passed");
        assert.equal(await gapAfter(count, "passed"), `${passed.toLocaleString("en-US")} passed while the tail was paused`);
    });

    test("who scrolls away holds the tail; at the top it goes on", PATIENCE, async () => {
        const tail = byId(page, "tail");
        await eventually("there is something to scroll", () => tail.evaluate((element) => element.scrollHeight > element.clientHeight + 100));
        await tail.evaluate((element) => { element.scrollTop = 80; });
        await byId(page, "tail-held").waitFor();
        await tail.evaluate((element) => { element.scrollTop = 0; });
        await byId(page, "tail-held").waitFor({ state: "detached" });
    });

    test("only one type, from the sums, and back; a type leads to its view", PATIENCE, async () => {
        const row = byId(page, "tail-sums").locator("tr", { hasText: "atom" });
        await row.getByRole("button").click();
        await eventually("atoms alone", async () => (await types()).join() === "atom" || await types());
        assert.match(await row.locator("a").getAttribute("href"), new RegExp(`view=types&process=${id}&type=atom`));
        await page.goBack();
        assert.equal(await key("type"), null);
        await rest(); /* a row that moves on is hard to hit */
        await byId(page, "tail").locator("td.type button", { hasText: "atom" }).first().click();
        assert.equal(await key("type"), "atom");
    });

    test("CSV has what is kept, oldest first", PATIENCE, async () => {
        await byId(page, "tail").locator("tr[data-kind]").first().waitFor();
        const { name, text } = await saved(page, () => byId(page, "tail-csv").click());
        assert.equal(name, "tally-events.csv");
        const [head, ...rows] = text.trim().split("\r\n").map((line) => line.split(","));
        assert.deepEqual(head, ["after_mono_ns", "kind", "type", "bytes", "object", "heap", "missed_before", "lost_before"]);
        assert.ok(rows.length > 0);
        const clean = rows.filter(([, kind]) => !kind.startsWith("collection")).map(([at]) => Number(at));
        assert.deepEqual(clean, [...clean].sort((a, b) => a - b));
    });

    for (const [colorScheme, width] of [["light", 1280], ["dark", 360]]) {
        test(`accessible in ${colorScheme} colours at ${width}`, PATIENCE, async () => assert.deepEqual(await axeIn(page, colorScheme, width), []));
    }

    test("a program too fast for a page: every gap stands where it is, and what is drawn stays small", PATIENCE, async () => {
        await choose(page, "storm");
        await byId(page, "to-events").click();
        await eventually("some are missed", async () => await account("missed") > 1000 || await account("missed"));
        await eventually("many have come", async () => await account("came") > 1500 || await account("came"));
        await pause(true);
        const { text } = await saved(page, () => byId(page, "tail-csv").click());
        const rows = text.trim().split("\r\n").slice(1);
        const newer = [...rows].reverse().findIndex((line) => Number(line.split(",")[6]) > 0) + 1; /* than the newest gap */
        assert.ok(newer > 0, "the file has a gap");
        await byId(page, "tail").evaluate((tail, events) => { tail.scrollTop = (events - 5) * tail.querySelector("tr[data-kind]").offsetHeight; }, newer);
        await page.locator("[data-gap=missed]").first().getByText(/^[\d,]+ missed: they came faster than a page is told/).waitFor();
        const before = await byId(page, "tail").evaluate((tail) => (tail.scrollTop = 1000)); /* from where there is room: the gap may be at the end */
        await byId(page, "tail").focus();
        await page.keyboard.press("PageDown");
        await eventually("keys scroll it", async () => await byId(page, "tail").evaluate((tail) => tail.scrollTop) > before);
        await byId(page, "tail").evaluate((tail) => new Promise((done) => { /* it does so by and by */
            let last = NaN;
            const look = () => { tail.scrollTop === last ? done() : (last = tail.scrollTop, requestAnimationFrame(look)); };
            look();
        }));
        assert.ok(rows.length > 1000 && rows.length <= 10_000, `${rows.length} rows are kept`);
        const told = rows.reduce((sum, line) => sum + Number(line.split(",")[6]), 0);
        assert.ok(told > 0 && told <= await account("missed"), "gaps in the file are of what was missed");
        await pause(false);
        const most = await page.evaluate(() => new Promise((done) => {
            let rows = 0, left = 60;
            const step = () => { rows = Math.max(rows, document.querySelectorAll("[data-testid=tail] tbody tr").length); --left ? requestAnimationFrame(step) : done(rows); };
            requestAnimationFrame(step);
        }));
        assert.ok(most < 80, `${most} rows are in the document`); /* what a frame takes is measured: make bench-page */
    });

    test("tallyd was away, and the program for longer: the tail goes on, and says for how long nobody knows", PATIENCE, async () => {
        await clearFilters();
        beating = false;
        calm.kill("SIGSTOP");
        world.daemon.kill("SIGKILL");
        await once(world.daemon, "exit");
        await byId(page, "offline").waitFor();
        const count = await rows();
        await rm(join(world.run, "http.addr"), { force: true });
        const followed = page.waitForResponse((answer) => answer.url().includes("/v1/stream") && answer.ok());
        await world.startDaemon(world.address);
        assert.match(decodeURIComponent((await followed).url()), new RegExp(`events:${id}`), "what is not there yet is waited for");
        calm.kill("SIGCONT");
        beating = true;
        assert.match(await gapAfter(count, "away"), /^no stream for [\d.]+ m?s/);
    });

    test("events that are off, and a program that has ended, are said", PATIENCE, async () => {
        await world.done("PATCH", `/v1/processes/${id}/config`, { events: "off" });
        const off = Number(process.hrtime.bigint());
        await eventually("all of before is read", async () => (await world.api(`/v1/processes/${id}/stats`)).as_of_mono_ns > off);
        await page.reload();
        await byId(page, "tail-off").waitFor();
        await world.done("PATCH", `/v1/processes/${id}/config`, { events: "all" });
        await byId(page, "tail").waitFor();
        beating = false;
        ended = true;
        calm.stdin.end();
        await page.locator('[data-testid="process-nav"]', { hasText: "gone" }).waitFor();
        await byId(page, "tail-gone").waitFor(); /* beside its last events */
        await page.reload();
        await byId(page, "tail-gone").waitFor(); /* which may still come here, too */
        await go(page, `view=events&process=${id}&kind=alloc&min_bytes=1000000000`);
        await byId(page, "tail-gone").waitFor(); /* or are filtered out */
    });

    test("nothing went wrong in the page meanwhile", () => assert.deepEqual(faults, []));
});
