/* How tallyd itself is, against a real one: its figures are those of its API, and what is not well comes first. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { PATIENCE, axe, axeIn, byId, eventually, open, saved, tabTo, typeInto } from "./page.mjs";
import { BUILD, World } from "./world.mjs";

const built = ["tallyd", "tally-mal"].every((program) => existsSync(join(BUILD, program)));
const skip = !built && !process.env.TALLY_REQUIRE_ALL && `no programs in ${BUILD}`;

describe("daemon health", { skip }, () => {
    const world = new World();
    let page, faults, close;
    let longest = 0.002; /* that any round of tallyd's took, whatever the machine has to do besides */

    before(async () => {
        await world.start();
        world.program("here", "app=shop");
        await eventually("it is listed", async () => (await world.api("/v1/processes")).processes.length === 1);
        ({ page, faults, close } = await open(world.browser, await world.link()));
        await page.route("**/metrics**", async (route) => {
            const response = await route.fetch();
            await route.fulfill({ response, body: (await response.text()).replace(/^(tallyd_longest_round_seconds\{.*\}) .*$/gm, (_, name) => `${name} ${longest}`) });
        });
        await byId(page, "to-daemon").click();
        await byId(page, "health").waitFor();
    }, PATIENCE);
    after(async () => {
        await close?.();
        await world.stop();
    }, PATIENCE);

    const figure = (name) => page.locator(`[data-figure="${name}"] dd`).textContent();

    test("it is well, and its figures are those of the API", PATIENCE, async () => {
        await byId(page, "health").getByText("tallyd is well").waitFor();
        const info = await world.api("/v1/info");
        await byId(page, "daemon-identity").getByText(`${info.version}, pid ${info.pid}`).waitFor();
        for (const [name, version] of Object.entries(info.libraries)) {
            await byId(page, "daemon-identity").getByText(`${name} ${version}`).waitFor();
        }
        await eventually("programs are counted", async () => await figure("Programs") === "1 live, 0 gone" || await figure("Programs"));
        await eventually("the page's own stream is the only one", async () => await figure("Streams") === "1 of 64" || await figure("Streams"));
        await eventually("CPU is told once there are two samples", async () => /^\d+\.\d\d % of a core$/.test(await figure("CPU")) || await figure("CPU"));
        await eventually("the sweeps of the intake are", async () => /[1-9].*\/s/.test(await byId(page, "daemon-threads").locator("tr", { hasText: "intake" }).textContent()));
        await byId(page, "daemon-history").getByText("written", { exact: true }).waitFor();
    });

    test("requests are counted by route and status; sorted, filtered and saved", PATIENCE, async () => {
        await page.locator('[data-testid="requests"] tr', { hasText: "/v1/info" }).first().waitFor();
        await byId(page, "requests-filter").fill("metrics 200");
        await eventually("one is left", async () => await page.locator("[data-testid=requests] tbody tr[data-key]").count() === 1);
        const { text } = await saved(page, () => byId(page, "requests-csv").click());
        assert.match(text, /^method,route,code,value,rate\r\nGET,\/metrics,200,\d+,/);
        await byId(page, "requests-filter").fill("");
    });

    test("who may not manage tokens is told how to, instead", PATIENCE, async () => {
        await byId(page, "tokens-off").getByText("tallyctl token create").waitFor();
        assert.equal(await byId(page, "token-create").count(), 0);
    });

    test("an admin makes a token by keyboard alone, sees its secret once, and revokes it after being asked", PATIENCE, async () => {
        const admin = await world.openAs("admin", "#view=daemon");
        const own = admin.page;
        await byId(own, "token-name").waitFor();
        await own.locator("#title").focus();
        await typeInto(own, "token-name", "grafana");
        await tabTo(own, "token-lifetime");
        await own.keyboard.press("ArrowUp"); /* from 30 days */
        assert.equal(await byId(own, "token-lifetime").locator("option:checked").textContent(), "1 day");
        await tabTo(own, "token-create");
        await own.keyboard.press("Enter");
        const secret = await byId(own, "token-secret").locator("code").textContent();
        const answer = await fetch(`http://${world.address}/v1/session`, { headers: { Authorization: `Bearer ${secret}` } });
        assert.deepEqual((await answer.json()).scopes, ["read"]);
        const told = await world.api("/v1/tokens/grafana");
        assert.ok(Math.abs(Date.parse(told.expires_at) - Date.now() - 86_400_000) < 60_000);
        assert.deepEqual(await axe(own), []);
        await byId(own, "token-away").click();
        assert.equal(await byId(own, "token-secret").count(), 0);
        await byId(own, "token-name").fill("grafana");
        await byId(own, "token-create").click();
        await byId(own, "token-answer").getByText("A token of this name exists").waitFor();
        const row = own.locator('[data-testid="tokens"] tr[data-name="grafana"]');
        await row.getByRole("button").click();
        await byId(own, "confirm-no").click();
        await row.getByRole("button").click();
        await byId(own, "confirm-yes").click();
        await row.waitFor({ state: "detached" });
        assert.deepEqual(admin.faults, []);
        await admin.close();
    });

    test("what is not well comes first, and says what to do", PATIENCE, async () => {
        await page.route("**/v1/info", async (route) => {
            const answer = await route.fetch();
            const info = await answer.json();
            await route.fulfill({ response: answer, json: { ...info, history: { ...info.history, degraded: true, why: "disk full", rows_dropped: 12 },
                refused: [{ reason: "it speaks <another> protocol", count: 2, last_at: new Date().toISOString(), last_pid: 7, last_uid: 8 }] } });
        });
        await eventually("the findings are there", async () => await byId(page, "health").getAttribute("data-ill") === "3");
        const tones = await byId(page, "health").locator("li").evaluateAll((items) => items.map((item) => item.dataset.tone));
        assert.deepEqual(tones.slice(0, 3), ["bad", "warn", "warn"]);
        await byId(page, "health").getByText("The history cannot be written: disk full.").waitFor();
        await byId(page, "health").getByText("12 rows of the history were dropped.").waitFor();
        await byId(page, "daemon-refused").getByText("it speaks <another> protocol").waitFor();
        longest = 2.5;
        await eventually("long rounds are found, too", async () => await byId(page, "health").getByText("took 2.50 s.").count() > 0 || await byId(page, "health").textContent());
    });

    for (const [colorScheme, width] of [["light", 1280], ["dark", 360]]) {
        test(`accessible in ${colorScheme} colours at ${width}`, PATIENCE, async () => assert.deepEqual(await axeIn(page, colorScheme, width), []));
    }

    test("nothing went wrong in the page meanwhile", async () => {
        await page.unrouteAll({ behavior: "wait" });
        assert.deepEqual(faults, []);
    });
});
