/* Pictures of every view, in both themes and at three widths, into build/pictures: `make pictures`. The demo programs run
 * beside a real tallyd, one of them leaks, rules fire, and people have asked for this and that; it takes three minutes,
 * since charts need a past. Those that the README shows go to where it has them.
 *
 * ONLY=view,view takes some of them; QUICK=1 does not wait for a past. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { byId, eventually, open } from "./page.mjs";
import { BUILD, World } from "./world.mjs";

const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const PAST_MS = process.env.QUICK ? 8000 : 90_000;
const SETTLE_MS = 1800;
const WIDTHS = [360, 800, 1440];
const THEMES = ["light", "dark"];
/* view, the program it is about, further keys of the address */
const SHOTS = [
    ["fleet"], ["process", "bakery"], ["collections", "bakery"], ["types", "post"], ["cycles", "bakery"], ["suspects", "post"], ["snapshots", "post"],
    ["compare", "post"], ["events", "orchard"], ["rules"], ["rules", null, "edit=many-bytes", "rule"], ["audit"], ["daemon"],
];
/* Which of them the README shows, and where */
const SHOWN = [
    { name: "process", path: "web/dashboard.png", width: 1240, height: 800 },
    { name: "suspects", path: "web/suspects.png", width: 1240, height: 620 },
    { name: "path", path: "web/path.png", width: 1240, height: 560 },
];

const world = new World();
const ids = {};

/** Asks for something that not every tallyd has. */
const perhaps = (...asked) => world.ask(...asked).catch((error) => console.error(String(error).split("\n")[0]));

async function story() {
    world.program("bakery", "demo=cycles", at("src/mal/demo/bakery.mal"));
    world.program("orchard", "demo=waves", at("src/mal/demo/orchard.mal"));
    world.program("post", "demo=leak", at("src/mal/demo/post.mal"));
    await eventually("all are listed", async () => (await world.api("/v1/processes")).processes.length === 3);
    for (const { name, id } of (await world.api("/v1/processes")).processes) {
        ids[name] = id;
    }
    await world.ask("PUT", "/v1/rules/post-grows", { selector: { name: "post" }, when: { series: "live_bytes", grows_by: "5%", over: "10s" }, do: ["alert", "log"] });
    await world.ask("PUT", "/v1/rules/many-bytes", { selector: { label: { demo: "waves" } }, when: { series: "live_bytes", above: 1 << 20, for: "2s" }, do: ["alert", { collect: { generation: 2 } }], every: "20s" });
    await world.ask("PUT", "/v1/rules/long-pauses", { when: { series: "pause_p99_ns", above: 20e6, over: "1m" }, do: ["alert"] });
    await sleep(3000);
    await perhaps("POST", `/v1/processes/${ids.post}/baseline?wait=5s`, {});
    await perhaps("POST", `/v1/processes/${ids.bakery}/baseline?wait=5s`, {});
    await perhaps("POST", `/v1/processes/${ids.post}/snapshot?wait=20s`, {});
    await sleep(PAST_MS / 2);
    await perhaps("PATCH", `/v1/processes/${ids.bakery}/config?wait=5s`, { enabled: false });
    await sleep(4000);
    await perhaps("PATCH", `/v1/processes/${ids.bakery}/config?wait=5s`, { enabled: true });
    await sleep(PAST_MS / 2);
    await perhaps("POST", `/v1/processes/${ids.bakery}/collect?wait=5s`, { generation: 2 });
    await perhaps("POST", `/v1/processes/${ids.post}/collect?wait=5s`, { generation: 2 });
    await perhaps("POST", `/v1/processes/${ids.post}/snapshot?wait=20s`, {});
}

/** Adds the page of a note that the post office keeps, which tells why: its newest one's closure, made by line 26. */
async function kept() {
    const [{ id }] = (await world.api(`/v1/artifacts?process=${ids.post}`)).artifacts;
    await eventually("the snapshot is worked through", async () => (await world.api(`/v1/artifacts/${id}`)).state === "ready");
    const { objects } = await world.api(`/v1/artifacts/${id}/objects?type=closure&limit=100`);
    const note = objects.find(({ label }) => label === "line 26");
    SHOTS.push(["snapshots", "post", `artifact=${id}&object=${note.object}`, "path"]);
}

const hashOf = ([view, program, more]) => `#view=${view}${program ? `&process=${ids[program]}` : ""}${more ? `&${more}` : ""}`;

async function shoot(page, shot, path, whole) {
    await page.evaluate((hash) => { location.hash = hash; }, hashOf(shot));
    await sleep(SETTLE_MS);
    await page.evaluate(async () => {
        document.activeElement?.blur?.();
        const frames = () => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); });
        for (let y = 0; y < document.body.scrollHeight; y += innerHeight / 2) { /* a chart is drawn once it is in sight */
            scrollTo(0, y);
            await frames();
        }
        scrollTo(0, 0);
        await frames();
    });
    await page.screenshot({ path, fullPage: whole });
}

try {
    await world.start();
    await mkdir(join(BUILD, "pictures"), { recursive: true });
    await story();
    await kept();
    const wanted = process.env.ONLY?.split(",");
    const there = (await import("../../web/views.js").catch(() => ({ VIEWS: [] }))).VIEWS.map(({ id }) => id);
    const shots = SHOTS.filter(([view, , , name]) => (!there.length || there.includes(view)) && (!wanted || wanted.includes(name ?? view)));
    for (const colorScheme of THEMES) {
        for (const width of WIDTHS) {
            const { page, faults, close } = await open(world.browser, await world.link(), { viewport: { width, height: width < 600 ? 740 : 900 }, colorScheme });
            await byId(page, "link").waitFor();
            for (const shot of shots) {
                await shoot(page, shot, join(BUILD, "pictures", `${shot[3] ?? shot[0]}-${colorScheme}-${width}.png`), shot[0] !== "events");
            }
            console.log(`${colorScheme} ${width}: ${shots.length} pictures${faults.length ? `, faults: ${faults.join("; ")}` : ""}`);
            await close();
        }
    }
    for (const { name, path, width, height } of SHOWN.filter((one) => !wanted || wanted.includes(one.name))) {
        const shot = shots.find(([view, , , other]) => (other ?? view) === name);
        if (shot) {
            const { page, close } = await open(world.browser, await world.link(), { viewport: { width, height }, colorScheme: "light" });
            await byId(page, "link").waitFor();
            await shoot(page, shot, at(path), false);
            await close();
        }
    }
} finally {
    await world.stop();
}
