/* Makes the README's picture, web/dashboard.png, of the demo's programs: `node tests/browser/picture.mjs`. It takes
 * two minutes, since the charts need a past. */

import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { byId, choose, open } from "./page.mjs";
import { World } from "./world.mjs";

const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const world = new World();
try {
    await world.start();
    world.program("bakery", "demo=cycles", at("src/mal/demo/bakery.mal"));
    world.program("orchard", "demo=waves", at("src/mal/demo/orchard.mal"));
    const { page } = await open(world.browser, await world.link(), { viewport: { width: 1240, height: 800 }, colorScheme: "light" });
    await choose(page, "bakery");
    await sleep(80_000);
    await byId(page, "disable").click();
    await byId(page, "confirm-yes").click();
    await sleep(4000);
    await byId(page, "enable").click();
    await sleep(6000);
    await byId(page, "collect").click();
    await byId(page, "answer").getByText("collected").waitFor();
    await sleep(6000);
    await page.screenshot({ path: at("web/dashboard.png") });
} finally {
    await world.stop();
}
