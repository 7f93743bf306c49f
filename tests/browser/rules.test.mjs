/* Rules and alerts: made, changed, copied, disabled and deleted in a real Chromium, against a real tallyd that evaluates them. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { PATIENCE, axe, byId, eventually, go, open, saved, tabTo, typeInto } from "./page.mjs";
import { BUILD, World } from "./world.mjs";

const built = ["tallyd", "tally-mal"].every((program) => existsSync(join(BUILD, program)));
const skip = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;

describe("rules and alerts", { skip }, () => {
    const world = new World();
    let page, faults, close, program;

    before(async () => {
        await world.start();
        program = world.program("keeper", "app=shop");
        program.stdin.write("(def! all (map (fn* [x] (atom x)) (list 1 2 3 4 5 6 7 8 9)))\n");
        await eventually("it is listed", async () => (await world.api("/v1/processes")).processes.length === 1);
        ({ page, faults, close } = await open(world.browser, await world.link()));
        await byId(page, "to-rules").click();
        await byId(page, "rules-none").waitFor();
    }, PATIENCE);
    after(async () => {
        await close?.();
        await world.stop();
    }, PATIENCE);

    /** Wherever the test before has come to. */
    beforeEach(() => go(page, "view=rules"), PATIENCE);

    const rule = (name) => world.api(`/v1/rules/${name}`);
    const row = (name) => page.locator(`[data-testid=rules] tr[data-name="${name}"]`);
    const key = (name) => page.evaluate((one) => new URLSearchParams(location.hash.slice(1)).get(one), name);

    test("nothing fires, and there is a way to begin", PATIENCE, async () => {
        await byId(page, "firing-none").getByText("Nothing fires").waitFor();
        await byId(page, "past-none").waitFor();
        assert.deepEqual(await axe(page), []);
    });

    test("by keyboard alone: a rule is made; what it comes to now is told before, and it fires", PATIENCE, async () => {
        await page.locator("#title").focus();
        await tabTo(page, "rule-new");
        await page.keyboard.press("Enter");
        await byId(page, "rule-form").waitFor();
        await typeInto(page, "rule-name", "many-objects");
        await tabTo(page, "rule-series");
        await page.keyboard.press("Home");
        for (let turn = 0; turn < 100 && await byId(page, "rule-series").inputValue() !== "live_objects"; turn++) {
            await page.keyboard.press("ArrowDown");
        }
        await typeInto(page, "rule-bound", "4");
        await byId(page, "preview").getByText("It would fire for the one process that fits").waitFor();
        await typeInto(page, "rule-labels", "app=shop");
        await tabTo(page, "rule-log");
        await page.keyboard.press("Space");
        await tabTo(page, "rule-save");
        await page.keyboard.press("Enter");
        await byId(page, "rule-form").waitFor({ state: "detached" });
        const { when, do: actions, selector } = await rule("many-objects");
        assert.deepEqual({ when, actions, selector }, { when: { series: "live_objects", above: 4, for: "0s" }, actions: ["log", "alert"], selector: { label: { app: "shop" } } });
        await page.locator('[data-testid="firing"] tr[data-rule="many-objects"]', { hasText: "keeper" }).waitFor();
        await byId(page, "alert-count").getByText("1").waitFor();
        await byId(page, "rule-states").getByText("keeper").waitFor();
        assert.equal(await key("rule"), "many-objects");
    });

    test("a page that is opened at a rule shows the same", PATIENCE, async () => {
        await go(page, "view=rules&rule=many-objects");
        await page.reload();
        await byId(page, "rule-detail").getByText("live_objects is above 4").waitFor();
    });

    test("refusals stand at the field that they are about", PATIENCE, async () => {
        await byId(page, "rule-new").click();
        await byId(page, "rule-name").fill("Not Allowed");
        await byId(page, "rule-bound").fill("much");
        await byId(page, "rule-save").click();
        const wrong = async (field) => {
            await page.locator(`[data-testid="rule-wrong"][data-field="${field}"]`).waitFor();
            assert.equal(await byId(page, `rule-${field}`).getAttribute("aria-invalid"), "true");
            await eventually(`${field} has the focus`, () => byId(page, `rule-${field}`).evaluate((input) => input === document.activeElement));
        };
        await wrong("bound");
        await byId(page, "rule-bound").fill("1 MiB");
        await byId(page, "rule-save").click();
        await eventually("the name is what is wrong now", async () => await page.locator('[data-testid="rule-wrong"]').getAttribute("data-field") === "name");
        await byId(page, "rule-name").fill("many-objects");
        await byId(page, "rule-save").click();
        await page.locator('[data-field="name"]', { hasText: "A rule of this name exists" }).waitFor();
        await byId(page, "rule-name").fill("growth");
        await byId(page, "rule-condition").selectOption("grows_by");
        await byId(page, "rule-bound").fill("20%");
        await byId(page, "rule-over").fill("1s");
        await byId(page, "rule-save").click();
        await wrong("over");
        await byId(page, "rule-over").fill("1m");
        await byId(page, "rule-alert").uncheck();
        await byId(page, "rule-collect").selectOption("2");
        await byId(page, "rule-setting").selectOption("max_pause_us");
        await byId(page, "rule-value").fill("a while");
        await byId(page, "rule-save").click();
        await wrong("value");
        await byId(page, "rule-value").fill("2 ms");
        assert.deepEqual(await axe(page), []);
        await byId(page, "rule-save").click();
        await byId(page, "rule-form").waitFor({ state: "detached" });
        const { when, do: actions } = await rule("growth");
        assert.deepEqual({ when, actions }, { when: { series: "live_bytes", grows_by: "20%", over: "1m", for: "0s" }, actions: [{ collect: { generation: 2 } }, { config: { max_pause_us: 2000 } }] });
    });

    test("a rule is changed; somebody else's change meanwhile is not lost", PATIENCE, async () => {
        await row("many-objects").click();
        await byId(page, "rule-detail").getByText("live_objects is above 4").waitFor();
        await byId(page, "rule-change").click();
        assert.equal(await byId(page, "rule-labels").inputValue(), "app=shop");
        await world.ask("PUT", "/v1/rules/many-objects", { when: { series: "live_objects", above: 5 }, do: ["alert"] });
        await byId(page, "rule-bound").fill("3");
        await byId(page, "rule-save").click();
        await byId(page, "rule-wrong").getByText("Somebody else has changed this rule meanwhile").waitFor();
        assert.equal((await rule("many-objects")).when.above, 5);
        await byId(page, "rule-bound").focus();
        await page.keyboard.press("Escape");
        await byId(page, "rule-form").waitFor({ state: "detached" });
        await byId(page, "rule-detail").getByText("live_objects is above 5").waitFor();
        await byId(page, "rule-change").click();
        await byId(page, "rule-bound").fill("3");
        await byId(page, "rule-save").click();
        await byId(page, "rule-detail").getByText("live_objects is above 3").waitFor();
    });

    test("copied, disabled, deleted: the keyboard asks first, and no means no", PATIENCE, async () => {
        await row("many-objects").click();
        await byId(page, "rule-detail").getByText("live_objects is above 3").waitFor();
        await byId(page, "rule-copy").click();
        assert.equal(await byId(page, "rule-name").inputValue(), "many-objects-copy");
        await byId(page, "rule-save").click();
        await byId(page, "rule-detail").getByText("many-objects-copy").waitFor();
        await byId(page, "rule-toggle").click();
        await byId(page, "rule-answer").getByText("Disable many-objects-copy: it watches nothing now").waitFor();
        assert.equal((await rule("many-objects-copy")).enabled, false);
        await page.locator("#rule-title").focus();
        await tabTo(page, "rule-delete");
        await page.keyboard.press("Enter");
        await byId(page, "confirm").waitFor();
        await page.keyboard.press("Escape");
        assert.equal((await rule("many-objects-copy")).name, "many-objects-copy");
        await page.keyboard.press("Enter");
        await byId(page, "confirm").waitFor();
        await tabTo(page, "confirm-yes");
        await page.keyboard.press("Enter");
        await row("many-objects-copy").waitFor({ state: "detached" });
    });

    test("rows by keyboard: Enter opens a rule", PATIENCE, async () => {
        await page.locator('[data-testid="rules"]').focus();
        await page.keyboard.press("Home");
        await page.keyboard.press("ArrowDown");
        await page.keyboard.press("Enter");
        await eventually("the second of the list is open", async () => await key("rule") === "many-objects" || await key("rule"));
        await byId(page, "rule-close").click();
        await byId(page, "rule-detail").waitFor({ state: "detached" });
    });

    test("an alert leads to its cause, by keyboard into its row", PATIENCE, async () => {
        await byId(page, "firing").locator('tr[data-rule="many-objects"]').waitFor();
        await byId(page, "firing").focus();
        await page.keyboard.press("Home");
        for (const what of ["many-objects", "keeper", "who grows"]) {
            await page.keyboard.press("ArrowRight");
            assert.equal(await page.evaluate(() => document.activeElement.textContent), what);
        }
        await page.keyboard.press("ArrowLeft");
        await page.keyboard.press("Escape");
        assert.equal(await page.evaluate(() => document.activeElement.dataset.testid), "firing");
        await page.keyboard.press("ArrowRight");
        await page.keyboard.press("ArrowRight");
        await page.keyboard.press("ArrowRight");
        await page.keyboard.press("Enter");
        await byId(page, "growing-section").waitFor();
        await page.goBack();
        await byId(page, "firing").waitFor();
    });

    test("what is resolved stands in the past, with its reason; history has both changes", PATIENCE, async () => {
        await world.ask("PUT", "/v1/rules/many-objects", { when: { series: "live_objects", above: 1e9 }, do: ["alert"] });
        await byId(page, "past").locator("tr").getByText("its rule was changed").first().waitFor();
        await byId(page, "firing-none").waitFor();
        const { name, text } = await saved(page, () => byId(page, "past-csv").click());
        assert.equal(name, "tally-past.csv");
        assert.match(text, /many-objects/);
        await page.locator("select[data-testid=past]").selectOption("-1h");
        await byId(page, "past").locator("tr", { hasText: "firing" }).first().waitFor();
        assert.equal(await key("past"), "-1h");
        await page.locator("select[data-testid=past]").selectOption(""); /* and back: what history told of is not read as an alert */
        await byId(page, "past").locator("tr").getByText("its rule was changed").first().waitFor();
    });

    test("a session that may only read is told why it cannot change anything", PATIENCE, async () => {
        const reader = await world.openAs("read", "#view=rules&rule=many-objects");
        await byId(reader.page, "rules-off").getByText("this token's scope is read").waitFor();
        for (const id of ["rule-new", "rule-change", "rule-copy", "rule-toggle", "rule-delete"]) {
            assert.equal(await byId(reader.page, id).isDisabled(), true, id);
        }
        assert.deepEqual(await axe(reader.page), []);
        await reader.close();
    });

    test("accessible in dark colours and narrow", PATIENCE, async () => {
        await page.emulateMedia({ colorScheme: "dark" });
        await page.setViewportSize({ width: 360, height: 800 });
        assert.deepEqual(await axe(page), []);
    });

    test("nothing went wrong in the page meanwhile", () => assert.deepEqual(faults, []));
});
