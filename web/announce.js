/* The one place that says things to those who do not see the page: the results of what they did, not what changes by
 * itself. The frame shows the region; it is never hidden, since a region that appears with its text is not read. */

/** @param {string} text */
export function announce(text) {
    const region = document.getElementById("announcer");
    if (region) {
        region.textContent = ""; /* the same sentence twice is read twice */
        setTimeout(() => { region.textContent = text; }, 50);
    }
}
