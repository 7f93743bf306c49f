/* Files, to who sits at the page. */

/** Gives one that the page has made. @param {string} name what a file cannot be called becomes _ @param {Blob|string} content a text is a CSV */
export function download(name, content) {
    const blob = typeof content === "string" ? new Blob([content], { type: "text/csv;charset=utf-8" }) : content;
    const link = document.createElement("a");
    link.download = name.replace(/[^\p{L}\p{N}_.-]+/gu, "_");
    link.href = URL.createObjectURL(blob);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Has the browser download an address of tallyd's that needs no token. @param {string} path */
export function fetchFile(path) {
    const link = document.createElement("a");
    link.download = ""; /* its name comes with it; an error is no new page */
    link.href = path;
    link.click();
}
