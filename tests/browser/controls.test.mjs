/* Every control of the overview, by pointer and by keyboard alone: what the page says is compared with what the program
 * has in force. Skipped where nothing is built, unless TALLY_REQUIRE_ALL is set. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { PATIENCE, axe, byId, eventually, go, open, settled, tabTo } from "./page.mjs";
import { BUILD, World } from "./world.mjs";

const built = ["tallyd", "tally-mal", "hosts/heaps", "hosts/ledger"].every((program) => existsSync(join(BUILD, program)));
const skip = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;
const PROGRAM = "(def! knot (fn* [] (let* [a (atom nil)] (do (reset! a a) nil))))\n(def! churn (fn* [n] (if (> n 0) (do (knot) (churn (- n 1))) nil)))\n";

describe("controls", { skip }, () => {
    const world = new World();
    let page, faults, close, bakery, accountant, id, several, ledger, reached = false;

    const config = () => world.api(`/v1/processes/${id}/config`);
    const input = (setting, field) => byId(page, `setting-${setting}`).locator(`[data-field="${field}"]`);
    const answered = (text) => byId(page, "settings-answer").getByText(text).waitFor();
    /** What was asked has come to a good end, and this is said of it. */
    const succeeded = (text) => page.locator('[data-testid="answer"][data-tone="good"]').getByText(text).waitFor();
    /** The answer to what collects: a pause that may be long, as on a busy machine, is asked about first. */
    const collected = async (text) => {
        const answer = byId(page, "answer").getByText(text);
        const yes = byId(page, "confirm-yes");
        await answer.or(yes).first().waitFor();
        await (await yes.count() && yes.click());
        await answer.waitFor();
    };
    const at = (process, more = "") => go(page, `view=process&process=${process}${more}`);
    /** By Tab to a setting's field, from the collect button the first time, then from the first setting. */
    const reach = async (setting, field) => {
        await (reached ? byId(page, "setting-manager").locator("select") : byId(page, "collect")).focus();
        reached = true;
        for (let turn = 0; turn < 90; turn++) {
            if (await page.evaluate(([form, name]) => document.activeElement?.dataset.field === name && document.activeElement.closest(`[data-testid="setting-${form}"]`) !== null, [setting, field])) {
                return;
            }
            await page.keyboard.press("Tab");
        }
        throw new Error(`Tab does not reach ${setting} ${field}`);
    };
    const type = async (text) => {
        await page.keyboard.press("Control+A");
        await page.keyboard.type(text);
    };

    before(async () => {
        await world.start();
        bakery = world.program("bakery", "kind=cycles");
        await world.evaluated(bakery, PROGRAM);
        world.host("heaps");
        accountant = world.host("ledger");
        await eventually("all are listed", async () => {
            const heaps = (await world.api("/v1/processes")).processes.map(({ heaps: all }) => all.length).sort().join();
            return heaps === "1,1,2" || heaps;
        });
        const { processes } = await world.api("/v1/processes");
        id = processes.find(({ name }) => name === "bakery").id;
        ledger = processes.find(({ name }) => name === "ledger").id;
        several = processes.find(({ heaps: all }) => all.length === 2).id;
        ({ page, faults, close } = await open(world.browser, await world.link(), { bypassCSP: true }));
        await byId(page, "processes").waitFor();
        await at(id);
        await byId(page, "setting-stress").waitFor();
    }, PATIENCE);
    after(async () => {
        await close?.();
        await world.stop();
    }, PATIENCE);

    /** Wherever the test before has come to. */
    beforeEach(async () => {
        await page.keyboard.press("Escape");
        await at(id);
        await byId(page, "name").getByText("bakery").waitFor();
    }, PATIENCE);

    test("thresholds: set by pointer, by keyboard, and tallyd's own problem stands at the field", PATIENCE, async () => {
        await input("thresholds", "t0").fill("900");
        await byId(page, "set-thresholds").click();
        await answered("Thresholds: in force: 900 · 10 · 10");
        assert.deepEqual((await config()).thresholds, [900, 10, 10]);
        await reach("thresholds", "t1");
        await type("7");
        await page.keyboard.press("Enter");
        await answered("900 · 7 · 10");
        assert.deepEqual((await config()).thresholds, [900, 7, 10]);
        for (const [wrong, field] of [["99999999999", "t0"], ["many", "t2"]]) {
            await input("thresholds", field).fill(wrong);
            await byId(page, "set-thresholds").click();
            const problem = await byId(page, "problem-thresholds").textContent();
            assert.match(problem, /thresholds/);
            assert.equal(await input("thresholds", field).getAttribute("aria-invalid"), "true");
            await input("thresholds", field).press("Escape");
            await eventually("what is in force is back", async () => await byId(page, "problem-thresholds").count() === 0 && await input("thresholds", field).inputValue() !== wrong);
        }
        assert.deepEqual((await config()).thresholds, [900, 7, 10]);
    });

    test("what is typed while the answer is on its way stays", PATIENCE, async () => {
        let release;
        const held = new Promise((done) => { release = done; });
        await page.route(`**/v1/processes/${id}/stats`, (route) => held.then(() => route.continue())); /* what is in force then */
        await input("thresholds", "t0").fill("800");
        await byId(page, "set-thresholds").click();
        await answered("Thresholds: in force: 800 · 7 · 10");
        await input("thresholds", "t1").fill("9");
        const told = page.waitForResponse(`**/v1/processes/${id}/stats`);
        release();
        await (await told).finished();
        await settled(page);
        assert.equal(await input("thresholds", "t1").inputValue(), "9");
        await page.unrouteAll({ behavior: "wait" });
        await byId(page, "set-thresholds").click();
        await answered("Thresholds: in force: 800 · 9 · 10");
    });

    test("maximum pause", PATIENCE, async () => {
        await input("max_pause", "us").fill("5000");
        await byId(page, "set-max_pause").click();
        await answered("Maximum pause: in force: 5.00 ms");
        assert.equal((await config()).max_pause_us, 5000);
        await reach("max_pause", "us");
        await type("0");
        await page.keyboard.press("Enter");
        await answered("Maximum pause: in force: none");
        assert.equal((await config()).max_pause_us, 0);
        await input("max_pause", "us").fill("10000001");
        await byId(page, "set-max_pause").click();
        await byId(page, "problem-max_pause").getByText("max_pause_us").waitFor();
        await input("max_pause", "us").press("Escape");
    });

    test("memory limit, in the unit that is chosen", PATIENCE, async () => {
        await input("memory_limit", "amount").fill("64");
        await input("memory_limit", "unit").selectOption("MiB");
        await byId(page, "set-memory_limit").click();
        await answered("Memory limit: in force: 64.0 MiB");
        assert.equal((await config()).memory_limit_bytes, 64 * 1024 * 1024);
        await page.mouse.move(0, 0); /* a chart with a pointer on it tells what is there instead */
        await page.locator('[data-figure="live_bytes"]').scrollIntoViewIfNeeded();
        await page.locator('[data-figure="live_bytes"] .note').getByText("limit 64.0 MiB").waitFor();
        await reach("memory_limit", "amount");
        await type("0.5");
        await page.keyboard.press("Tab");
        await page.keyboard.press("G");
        await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
        await answered("512 MiB");
        assert.equal((await config()).memory_limit_bytes, 512 * 1024 * 1024);
        await eventually("in the unit that leaves no rest", async () => await input("memory_limit", "unit").inputValue() === "MiB");
    });

    test("events", PATIENCE, async () => {
        await input("events", "level").selectOption("off");
        await byId(page, "set-events").click();
        await answered("Events: in force: off");
        assert.equal((await config()).events, "off");
        await reach("events", "level");
        await page.keyboard.press("a");
        await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
        await answered("Events: in force: all");
        assert.equal((await config()).events, "all");
    });

    test("debug flags; saveall asks first", PATIENCE, async () => {
        await input("debug", "collectable").check();
        await byId(page, "set-debug").click();
        await answered("Debug flags: in force: collectable");
        assert.deepEqual((await config()).debug, ["collectable"]);
        await input("debug", "saveall").check();
        await byId(page, "set-debug").click();
        await byId(page, "confirm-cost").getByText("Memory grows").waitFor();
        await byId(page, "confirm-no").click();
        assert.deepEqual((await config()).debug, ["collectable"]);
        await reach("debug", "saveall");
        await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
        await byId(page, "confirm").waitFor();
        await page.keyboard.press("Tab"); /* the focus begins at no, where it cannot be taken back */
        await page.keyboard.press("Enter");
        await answered("saveall");
        assert.deepEqual((await config()).debug.sort(), ["collectable", "saveall"]);
    });

    test("collect: predicted before, told after; the garbage list is filled and cleared", PATIENCE, async () => {
        await world.evaluated(bakery, "(churn 50)");
        await eventually("a prediction", async () => /predicted pause|pause not known/.test(await byId(page, "predicted").textContent()));
        await byId(page, "collect").click();
        await collected(/^Collect generation 2: collected [\d,]+ objects/);
        await byId(page, "operations").locator("li a").first().getByText("collect").waitFor();
        await world.evaluated(bakery, "(churn 50)"); /* else the next one has nothing to do, and is foreseen so */
        await eventually("the next one can be predicted", async () => {
            const { pause_ns } = (await world.api(`/v1/processes/${id}/forecast`)).collect[2];
            const drawn = Number(await byId(page, "predicted").getAttribute("data-pause"));
            return pause_ns > 0 && drawn === pause_ns || `${drawn} of ${pause_ns}`;
        });
        const clear = byId(page, "garbage-clear");
        await clear.getByText("(").waitFor();
        await clear.click();
        await succeeded("Clear garbage:");
        await eventually("it is empty", async () => (await world.api(`/v1/processes/${id}/stats`)).garbage === 0);
        await input("debug", "saveall").uncheck();
        await input("debug", "collectable").uncheck();
        await byId(page, "set-debug").click();
        await answered("Debug flags: in force: none");
        await page.evaluate(() => document.activeElement?.blur());
        await tabTo(page, "generation");
        await page.keyboard.press("0");
        await page.keyboard.press("Shift+Tab");
        await page.keyboard.press("Enter");
        await collected(/^Collect generation 0: collected/);
        await tabTo(page, "dry-run");
        await page.keyboard.press("Space");
        await byId(page, "collect").focus();
        await page.keyboard.press("Enter");
        await collected(/^Find cycles: found/);
        const { operations } = await world.api(`/v1/operations?process=${id}&limit=5`);
        assert.ok(operations.some(({ kind, state }) => kind === "find_cycles" && state === "succeeded"), JSON.stringify(operations.map(({ kind, state }) => [kind, state])));
        await byId(page, "dry-run").uncheck();
    });

    test("disable asks, enable does not", PATIENCE, async () => {
        await byId(page, "disable").click();
        await byId(page, "confirm").waitFor();
        await page.keyboard.press("Escape");
        assert.equal((await config()).enabled, true);
        await tabTo(page, "disable");
        await page.keyboard.press("Enter");
        await byId(page, "confirm").waitFor();
        await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
        await page.locator('[data-testid="disable"][aria-pressed="true"]').waitFor();
        assert.equal((await config()).enabled, false);
        await byId(page, "enable").click();
        await page.locator('[data-testid="enable"][aria-pressed="true"]').waitFor();
        assert.equal((await config()).enabled, true);
    });

    test("freeze, unfreeze and baseline", PATIENCE, async () => {
        const stats = () => world.api(`/v1/processes/${id}/stats`);
        await byId(page, "freeze").click();
        await succeeded("Freeze:");
        await eventually("frozen", async () => (await stats()).frozen > 0);
        await byId(page, "unfreeze").getByText(/\d/).waitFor();
        await tabTo(page, "unfreeze");
        await page.keyboard.press("Enter");
        await eventually("thawed", async () => (await stats()).frozen === 0);
        await tabTo(page, "freeze");
        await tabTo(page, "baseline");
        await page.keyboard.press("Enter");
        await succeeded("Baseline:");
        await eventually("there is one", async () => (await world.api(`/v1/processes/${id}/types?baseline=true`)).baseline.seq > 0);
    });

    test("the manager: what it costs is asked, what it lacks is said at the field", PATIENCE, async () => {
        await input("manager", "manager").selectOption("full");
        await byId(page, "set-manager").click();
        await byId(page, "confirm-cost").getByText("The next run takes the whole heap.").waitFor();
        await byId(page, "confirm-yes").click();
        await answered("Manager: in force: full");
        assert.equal((await config()).manager, "full");
        await reach("manager", "manager");
        await page.keyboard.press("r");
        await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
        await byId(page, "confirm").waitFor();
        await page.keyboard.press("Enter");
        await answered("Manager: in force: refcount");
        assert.equal((await config()).manager, "refcount");
        await input("thresholds", "t0").fill("50");
        await byId(page, "set-thresholds").click();
        await byId(page, "problem-thresholds").getByText(/does not have that/).waitFor();
        await input("thresholds", "t0").press("Escape");
        await input("manager", "manager").selectOption("cycle");
        await byId(page, "set-manager").click();
        await byId(page, "confirm-yes").click();
        await answered("Manager: in force: cycle");
    });

    test("stress asks, runs, and is turned off without a question", PATIENCE, async () => {
        await input("stress", "nth").fill("1000");
        await byId(page, "set-stress").click();
        await byId(page, "confirm-cost").getByText("slow").waitFor();
        await byId(page, "confirm-yes").click();
        await answered("Stress: in force: every 1,000 allocations");
        assert.deepEqual((await config()).stress, { nth: 1000, every_decref: false });
        await reach("stress", "nth");
        await type("0");
        await page.keyboard.press("Enter");
        await answered("Stress: in force: off");
        assert.deepEqual((await config()).stress, { nth: 0, every_decref: false });
    });

    test("an operation that cannot begin is shown with its deadline, and is cancelled or expires", PATIENCE, async () => {
        await at(ledger);
        await byId(page, "name").getByText("ledger").waitFor();
        accountant.stdin.write("deaf\n");
        await eventually("it hears nothing", () => accountant.said.includes("hears nothing"));
        await byId(page, "deadline").fill("20");
        await byId(page, "collect").click();
        await byId(page, "answer").locator("progress").waitFor();
        await byId(page, "answer").locator('[data-testid="cancel"]').click();
        await byId(page, "answer").getByText("cancelled").waitFor();
        await byId(page, "deadline").fill("0.3");
        await byId(page, "collect").click();
        await byId(page, "answer").getByText("expired:").waitFor();
        const states = await byId(page, "operations").locator("li").evaluateAll((all) => all.map((line) => line.dataset.state));
        assert.deepEqual(states.sort(), ["cancelled", "expired"]);
    });

    test("a program that lets itself be watched alone says so", PATIENCE, async () => {
        await at(ledger);
        await byId(page, "name").getByText("ledger").waitFor();
        accountant.stdin.write("access 1\n");
        await byId(page, "read-only").getByText("The program lets itself be watched, not controlled.").waitFor();
        assert.ok(await byId(page, "collect").isDisabled());
    });

    test("heaps that differ are shown and set one by one", PATIENCE, async () => {
        await world.done("PATCH", `/v1/processes/${several}/heaps/1/config`, { manager: "generational" });
        await at(several);
        await byId(page, "in-force-manager").getByText("heaps differ").waitFor();
        await byId(page, "in-force-manager").getByText("1: generational").click();
        await byId(page, "in-force-manager").getByText("generational", { exact: true }).waitFor();
        assert.match(page.url(), /heap=1/);
        await input("thresholds", "t2").fill("33");
        await byId(page, "set-thresholds").click();
        await answered("33");
        const { heaps } = await world.api(`/v1/processes/${several}/config`);
        assert.equal(heaps[0].thresholds[2], 33);
        assert.notEqual(heaps[1].thresholds[2], 33);
        assert.equal(await byId(page, "baseline").count(), 0, "a heap has no baseline of its own");
        await at(several);
        await byId(page, "in-force-manager").getByText("heaps differ").waitFor(); /* the form of all heaps, not of the one before */
        await byId(page, "set-manager").click();
        await byId(page, "problem-manager").getByText("manager").waitFor(); /* nothing was chosen: tallyd says so, nobody is asked */
        await input("manager", "manager").selectOption("cycle");
        await byId(page, "set-manager").click();
        await byId(page, "confirm-yes").click();
        await byId(page, "in-force-manager").getByText("cycle", { exact: true }).waitFor();
    });

    test("a session that may only read sees why its controls are off", PATIENCE, async () => {
        const { token } = await world.ask("POST", "/v1/tokens", { name: "onlooker", scope: "read" });
        await page.evaluate((secret) => sessionStorage.setItem("tally.session", secret), token);
        await at(id);
        await page.reload();
        await byId(page, "read-only").getByText(/^Read-only: this token's scope is read/).waitFor();
        for (const control of ["collect", "enable", "disable", "freeze", "set-manager", "set-stress"]) {
            assert.ok(await byId(page, control).isDisabled(), control);
        }
        await byId(page, "in-force-manager").getByText("cycle").waitFor();
        assert.deepEqual(await axe(page), []);
    });

    test("nothing went wrong in the page meanwhile", () => assert.deepEqual(faults, []));
});
