/* Cycles: shapes taken apart, the reference to weaken with its reason, and the look for garbage with its cost before. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { shapeOf, weakStep } from "../../web/shape.js";
import { PATIENCE, LEAK, accessible, addressed, fakePage, saved, tabTo, unbuilt } from "./findings.mjs";
import { byId, eventually, launch, open } from "./page.mjs";
import { World } from "./world.mjs";

test("a shape is taken apart, names with dots too", () => {
    assert.deepEqual(shapeOf("a.x -> b.y"), { whole: true, steps: [{ type: "a", field: "x", to: "b" }, { type: "b", field: "y", to: "a" }] });
    assert.deepEqual(shapeOf("std.vec.items[] -> std.box.of", new Set(["std.vec", "std.box"])).steps.map(({ type, field }) => [type, field]), [["std.vec", "items[]"], ["std.box", "of"]]);
    assert.deepEqual(shapeOf("list.a.b", new Set(["list"])).steps[0], { type: "list", field: "a.b", to: "list" });
    assert.deepEqual(shapeOf("a.x -> b.y -> (more)"), { whole: false, steps: [{ type: "a", field: "x", to: "b" }, { type: "b", field: "y", to: "" }] });
});

test("the reference to weaken is a step of the shape, or none", () => {
    const shape = shapeOf("a.x -> b.y");
    assert.deepEqual([weakStep(shape, { edge: "b.y" }), weakStep(shape, { edge: "c.z" }), weakStep(shape, null)], [1, -1, -1]);
});

describe("cycles on a bent tallyd", () => {
    let browser;
    before(async () => { browser = await launch(); });
    after(() => browser?.close());
    const view = (p) => `view=cycles&process=${p.id}`;

    test("shapes are drawn, ordered and filtered; the look is asked for with its cost", PATIENCE, async () => {
        const { page, faults, fake, end } = await fakePage(browser, view);
        await byId(page, "cycle").first().waitFor();
        assert.equal(await byId(page, "cycle").count(), 5);
        const first = byId(page, "cycle").first();
        assert.equal(await first.locator(".node").allTextContents().then((texts) => texts.join(" ")), "Node Node back to Node");
        assert.match(await first.locator('[data-testid="weaken"]').textContent(), /^Make Node\.parent weak: its name says/);
        assert.equal(await first.locator(".edge.weak code").textContent(), "parent");
        await accessible(page, "cycles");
        await byId(page, "cycles-sort").selectOption("+shape");
        await addressed(page, "sort", "+shape");
        assert.equal(await byId(page, "cycle").first().getAttribute("data-shape"), "A.b -> B.c -> C.d -> (more)");
        await byId(page, "cycles-filter").fill("closure");
        await byId(page, "cycles-count").getByText("1 of 5 shapes").waitFor();
        const { text } = await saved(page, () => byId(page, "cycles-csv").click());
        assert.match(text, /closure\.env -> environment\.items\[\],1,5120,/);
        await byId(page, "cycles-filter").fill("nothing such");
        await byId(page, "cycles-none").getByRole("button").click();
        await eventually("all are shown again", async () => await byId(page, "cycle").count() === 5);

        await page.locator("h1").focus();
        await byId(page, "find-cost").getByText("930 µs").waitFor();
        await tabTo(page, '[data-testid="find-cycles"]');
        await page.keyboard.press("Enter");
        assert.match(await byId(page, "confirm-cost").textContent(), /Predicted pause of the program: 930 µs/);
        await accessible(page, "the question");
        await page.keyboard.press("Escape");
        await byId(page, "confirm").waitFor({ state: "detached" });
        assert.ok(!fake.log.some((line) => line.startsWith("POST")  && line.endsWith("/collect")));
        await page.keyboard.press("Enter");
        await byId(page, "confirm").waitFor();
        await page.keyboard.press("Enter");
        await byId(page, "find-answer").getByText("found").waitFor();
        assert.ok(fake.log.some((line) => line.startsWith("POST") && line.endsWith("/collect")));
        assert.deepEqual(faults, []);
        await end();
    });

    test("none says what was looked at, and what to do; a reader cannot ask", PATIENCE, async () => {
        const { page, faults, end } = await fakePage(browser, view, (fake) => { fake.findings.nothing = true; fake.scopes = ["read"]; });
        await byId(page, "cycles-empty").waitFor();
        await eventually("the control is off", async () => byId(page, "find-cycles").isDisabled());
        assert.match(await byId(page, "find-cost").textContent(), /this token's scope is read/);
        await accessible(page, "no cycles");
        assert.deepEqual(faults, []);
        await end();
    });
});

describe("cycles of a real program", { skip: unbuilt }, () => {
    const world = new World();
    let page, faults, close, leak, id;
    before(async () => {
        await world.start();
        leak = world.program("leak", "kind=leak");
        await world.evaluated(leak, LEAK);
        await eventually("it is attached", async () => (await world.api("/v1/processes")).processes[0]?.heaps.length === 1);
        id = (await world.api("/v1/processes")).processes[0].id;
        ({ page, faults, close } = await open(world.browser, await world.link()));
        await page.goto(`http://${world.address}/#view=cycles&process=${id}`);
    }, PATIENCE);
    after(async () => {
        await close?.();
        await world.stop();
    }, PATIENCE);

    test("its knots are found and drawn as they are", PATIENCE, async () => {
        await byId(page, "cycles-empty").or(byId(page, "cycle").first()).waitFor();
        await world.evaluated(leak, "(knots 300)");
        await byId(page, "find-cycles").click();
        await byId(page, "confirm-yes").click();
        await byId(page, "find-answer").getByText(/found \d+ objects in garbage cycles/).waitFor();
        const card = page.locator('[data-testid="cycle"]', { hasText: "content" }).first();
        await card.waitFor();
        const shape = await card.getAttribute("data-shape");
        const { cycles } = await world.api(`/v1/processes/${id}/cycles`);
        assert.ok(cycles.some((one) => one.shape === shape), shape);
        await card.locator(".node a").first().click();
        await byId(page, "type-pane").waitFor();
        await page.goBack();
        await byId(page, "cycle").first().waitFor();
        assert.deepEqual(faults, []);
    });
});
