/* The page against the real tallyd and real programs: every control is clicked, and what it shows is compared with
 * what the API says. Skipped where nothing is built, unless TALLY_REQUIRE_ALL is set. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { PATIENCE, byId, choose, drawn, eventually, go, open, pixels } from "./page.mjs";
import { BUILD, World } from "./world.mjs";

const built = ["tallyd", "tally-mal"].every((program) => existsSync(join(BUILD, program)));
const skip = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;

/* An atom that holds itself is garbage that only the cycle collector finds. */
const PROGRAM = `(def! knot (fn* [] (let* [a (atom nil)] (do (reset! a a) nil))))
(def! churn (fn* [n] (if (> n 0) (do (knot) (churn (- n 1))) nil)))
`;

describe("the real tallyd", { skip }, () => {
    const world = new World();
    let page, faults, close, bakery, baking, id;
    let resting = false;

    before(async () => {
        await world.start();
        bakery = world.program("bakery", "kind=cycles");
        bakery.stdin.write(PROGRAM);
        baking = setInterval(() => resting || bakery.stdin.write("(churn 150)\n"), 60);
        world.program("orchard", "kind=idle");
        await eventually("both programs are listed", async () => (await world.api("/v1/processes")).processes.length === 2);
        ({ page, faults, close } = await open(world.browser, await world.link()));
        await choose(page, "bakery");
        await byId(page, "name").getByText("bakery").waitFor();
        ({ id } = await chosen());
    }, PATIENCE);
    after(async () => {
        clearInterval(baking);
        await close?.();
        await world.stop();
    }, PATIENCE);

    /** Wherever the test before has come to. */
    beforeEach(async () => {
        await go(page, `view=process&process=${id}`);
        await byId(page, "name").getByText("bakery").waitFor();
    }, PATIENCE);

    const figure = async (path) => (await drawn(page, path)).value;
    const chosen = async () => (await world.api("/v1/processes")).processes.find(({ name }) => name === "bakery");

    test("a process is shown with its labels and what is in force", PATIENCE, async () => {
        await page.locator('[data-testid="process-view"]', { hasText: "kind=cycles" }).waitFor();
        await page.locator('[data-testid="enable"][aria-pressed="true"]').waitFor();
        await byId(page, "in-force-manager").getByText("cycle").waitFor();
        const { thresholds } = await world.api(`/v1/processes/${id}/config`);
        await byId(page, "in-force-thresholds").getByText(thresholds.join(" · ")).waitFor();
    });

    test("a drawn value is the API's at the same seq", PATIENCE, async () => {
        const told = new Map();
        let compared = 0;
        await eventually("three views are compared", async () => {
            const stats = await world.api(`/v1/processes/${id}/stats`);
            told.set(stats.seq, stats);
            const { seq, value } = await drawn(page, "live_bytes");
            if (told.has(seq)) {
                assert.equal(value, told.get(seq).live_bytes, `at seq ${seq}`);
                told.delete(seq);
                compared++;
            }
            return compared >= 3 || compared;
        });
    });

    test("every chart moves", PATIENCE, async () => {
        for (const chart of ["live_bytes", "live_objects", "allocation_rate", "free_rate"]) {
            const first = await pixels(page, chart);
            await eventually(`${chart} moves`, async () => await pixels(page, chart) !== first);
        }
    });

    test("disabled, live objects rise and no collection runs; collecting brings them down", PATIENCE, async () => {
        await byId(page, "disable").click();
        await byId(page, "confirm-yes").click();
        await byId(page, "answer").getByText("Disable: in force: automatic collection disabled").waitFor();
        await page.locator('[data-testid="disable"][aria-pressed="true"]').waitFor();
        const { collections } = await chosen(); /* no more, as it is in force */
        await eventually("they are drawn", async () => await figure("collections") === collections || await figure("collections"));
        const start = await figure("live_objects");
        await eventually("live objects rise", async () => await figure("live_objects") > start + 5000 || await figure("live_objects"));
        assert.equal(await figure("collections"), collections);
        resting = true; /* else they rise again before that is drawn */
        await world.caughtUp(bakery);
        await byId(page, "collect").click();
        const answer = byId(page, "answer").getByText(/^Collect generation 2: collected [\d,]+ objects/);
        await answer.waitFor();
        const collected = Number(/collected ([\d,]+)/.exec(await answer.textContent())[1].replaceAll(",", ""));
        assert.ok(collected >= 5000, `collected ${collected}`);
        await eventually("live objects fall", async () => await figure("live_objects") < start + 4000 || await figure("live_objects"));
        await byId(page, "reason-remote").waitFor();
        resting = false;
    });

    test("enabled again, the collector runs by itself", PATIENCE, async () => {
        resting = false;
        await world.ask("PATCH", `/v1/processes/${id}/config?wait=30s`, { enabled: false });
        await page.locator('[data-testid="disable"][aria-pressed="true"]').waitFor();
        const start = await figure("live_objects");
        await eventually("live objects rise", async () => await figure("live_objects") > start + 3000 || await figure("live_objects"));
        const collections = await figure("collections");
        await byId(page, "enable").click();
        await byId(page, "answer").getByText("Enable: in force: automatic collection enabled").waitFor();
        await eventually("collections run", async () => await figure("collections") > collections);
        await eventually("live objects fall", async () => await figure("live_objects") < start + 2000 || await figure("live_objects"));
    });

    test("an idle program is collected on request, and rest is not called stale", PATIENCE, async () => {
        await choose(page, "orchard");
        await byId(page, "name").getByText("orchard").waitFor();
        const seq = async () => (await drawn(page, "allocations")).seq;
        const first = await seq();
        await sleep(4500);
        await byId(page, "stale").waitFor({ state: "detached" });
        assert.equal(await seq(), first, "nothing has happened in it");
        await byId(page, "collect").click();
        await byId(page, "answer").getByText(/^Collect generation 2: collected [\d,]+ objects?/).waitFor();
    });

    test("a screenshot is kept", PATIENCE, async () => {
        await page.screenshot({ path: join(BUILD, "dashboard.png") });
    });

    test("tallyd is killed and comes back; the page goes on by itself, still logged in", PATIENCE, async () => {
        const before = await figure("allocations");
        world.daemon.kill("SIGKILL");
        await once(world.daemon, "exit");
        await byId(page, "link").getByText(/^offline since/).waitFor();
        await rm(join(world.run, "http.addr"), { force: true });
        await world.startDaemon(world.address);
        await page.locator('[data-testid="link"][data-state="live"]').waitFor();
        await eventually("the numbers go on", async () => await figure("allocations") > before);
    });

    test("a program that ends is shown as gone, with its last numbers", PATIENCE, async () => {
        clearInterval(baking);
        bakery.stdin.end();
        await byId(page, "controls-gone").waitFor();
        await page.locator('[data-testid="process-view"] [data-badge="state"]', { hasText: "gone" }).waitFor();
        assert.ok(await figure("allocations") > 0);
    });

    test("nothing went wrong in the page meanwhile", () => assert.deepEqual(faults, []));
});
