/* The audit against a real tallyd: who asked, from where, what came of it; filtered by tallyd, page by page. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { PATIENCE, axeIn, byId, eventually, open, saved, tabTo, typeInto } from "./page.mjs";
import { BUILD, World } from "./world.mjs";

const built = ["tallyd", "tally-mal"].every((program) => existsSync(join(BUILD, program)));
const skip = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;

describe("audit", { skip }, () => {
    const world = new World();
    let page, faults, close, id;

    before(async () => {
        await world.start();
        world.program("asked", "app=shop");
        await eventually("it is listed", async () => (await world.api("/v1/processes")).processes[0]?.heaps.length === 1);
        id = (await world.api("/v1/processes")).processes[0].id;
        await world.done("POST", `/v1/processes/${id}/collect`, { generation: 1 });
        await world.ask("PUT", "/v1/rules/quiet", { when: { series: "live_bytes", above: 1e12 }, do: ["log"] });
        ({ page, faults, close } = await open(world.browser, await world.link()));
        await byId(page, "to-audit").click();
        await byId(page, "audit").waitFor();
    }, PATIENCE);
    after(async () => {
        await close?.();
        await world.stop();
    }, PATIENCE);

    const rows = (column) => page.locator("[data-testid=audit] tbody tr[data-key]").evaluateAll((all, name) => all.map((row) => row.dataset[name]), column);
    const key = (name) => page.evaluate((one) => new URLSearchParams(location.hash.slice(1)).get(one), name);

    test("records stand newest first, with links to what they are about", PATIENCE, async () => {
        await eventually("all are there", async () => (await rows("kind")).join() === "login,login_code,rule_put,collect,collect" || await rows("kind"));
        assert.deepEqual((await rows("result")).slice(2), ["done", "succeeded", "accepted"]);
        const collect = page.locator("[data-testid=audit] tr[data-kind=collect]").first();
        assert.match(await collect.locator("a").getAttribute("href"), new RegExp(`view=process&process=${id}`));
        assert.match(await page.locator("[data-testid=audit] tr[data-kind=rule_put] a").getAttribute("href"), /view=rules&rule=quiet/);
    });

    test("a record opens, with what its operation came to", PATIENCE, async () => {
        await page.locator("[data-testid=audit] tr[data-kind=collect]").first().locator("td").nth(1).click();
        await byId(page, "audit-operation").getByText(/: collected \d+ objects?/).waitFor();
        await byId(page, "audit-detail").getByText('{"generation":1}').waitFor();
        await page.reload();
        await byId(page, "audit-detail").waitFor();
        await byId(page, "audit-close").click();
        await byId(page, "audit-detail").waitFor({ state: "detached" });
    });

    test("filters by pointer: time, and clearing them", PATIENCE, async () => {
        await byId(page, "audit-range").selectOption("-1h");
        assert.equal(await key("range"), "-1h");
        await byId(page, "audit-result").fill("accepted");
        await byId(page, "audit-result").blur();
        await eventually("accepted alone", async () => (await rows("result")).join() === "accepted" || await rows("result"));
        await byId(page, "audit-clear").click();
        await eventually("all again", async () => (await rows("kind")).length === 5 || await rows("kind"));
    });

    test("filters by keyboard alone: who, what, about whom; and nothing that fits is said", PATIENCE, async () => {
        await page.locator("#title").focus();
        await typeInto(page, "audit-who", "token");
        await page.keyboard.press("Enter");
        await eventually("of the token alone", async () => (await rows("kind")).join() === "rule_put,collect,collect" || await rows("kind"));
        await typeInto(page, "audit-kind", "collect");
        await page.keyboard.press("Enter");
        await eventually("its collections", async () => (await rows("kind")).join() === "collect,collect" || await rows("kind"));
        await typeInto(page, "audit-target", "f".repeat(32));
        await page.keyboard.press("Enter");
        await byId(page, "audit-none").getByText("No record fits").waitFor();
        await tabTo(page, "audit-clear");
        await page.keyboard.press("Enter");
        await byId(page, "audit").focus();
        await page.keyboard.press("End");
        await page.keyboard.press("Enter");
        await byId(page, "audit-detail").getByText("Accepted", { exact: false }).first().waitFor();
        assert.ok(await key("record"));
        await byId(page, "audit-close").click();
    });

    test("older records come page by page, and the address says which", PATIENCE, async () => {
        for (let i = 0; i < 15; i++) {
            await Promise.all(Array.from({ length: 7 }, () => world.done("POST", `/v1/processes/${id}/collect`, { generation: 0 })));
        }
        await byId(page, "audit-older").waitFor();
        const newest = (await rows("key"))[0];
        await byId(page, "audit-older").click();
        await eventually("older ones", async () => (await rows("kind")).includes("rule_put") || (await rows("kind")).length);
        const cursor = await key("cursor");
        assert.ok(cursor);
        await page.reload();
        await eventually("the same page", async () => (await rows("kind")).includes("rule_put") || (await rows("kind")).length);
        await byId(page, "audit-newest").click();
        await eventually("the newest", async () => (await rows("key"))[0] >= newest || (await rows("key"))[0]);
        const { text } = await saved(page, () => byId(page, "audit-csv").click());
        assert.match(text, /^at,who,kind,target,result,detail,from,operation,left_out\r\n/);
        assert.equal(text.trim().split("\r\n").length, 201);
    });

    for (const [colorScheme, width] of [["light", 1280], ["dark", 360]]) {
        test(`accessible in ${colorScheme} colours at ${width}`, PATIENCE, async () => assert.deepEqual(await axeIn(page, colorScheme, width), []));
    }

    test("nothing went wrong in the page meanwhile", () => assert.deepEqual(faults, []));
});
