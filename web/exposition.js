/* The figures of /metrics: Prometheus' text format, as tallyd writes it. No network, no DOM. */

/** @typedef {{labels: Record<string, string>, value: number}} Sample */
/** @typedef {{help: string, samples: Sample[]}} Family */

const ESCAPES = /** @type {Record<string, string>} */ ({ "\\n": "\n", "\\\"": "\"", "\\\\": "\\" });

/** @param {string} text of a label's value or a help */
const plain = (text) => text.replace(/\\[n"\\]/g, (escape) => ESCAPES[escape]);

/** @param {string} text between the braces */
function labelsOf(text) {
    /** @type {Record<string, string>} */
    const labels = {};
    for (const [, name, value] of text.matchAll(/([A-Za-z_]\w*)="((?:\\.|[^"\\])*)"/g)) {
        labels[name] = plain(value);
    }
    return labels;
}

/** Families by the names of their samples; those whose names do not begin with one of `prefixes` are skipped.
 * @param {string} text @param {string[]} prefixes @returns {Map<string, Family>} */
export function parse(text, prefixes) {
    /** @type {Map<string, Family>} */
    const families = new Map();
    const family = (/** @type {string} */ name) => {
        let one = families.get(name);
        if (!one) {
            families.set(name, one = { help: "", samples: [] });
        }
        return one;
    };
    for (const line of text.split("\n")) {
        if (!prefixes.some((prefix) => line.startsWith(prefix) || line.startsWith(`# HELP ${prefix}`))) {
            continue;
        }
        const help = /^# HELP (\S+) (.*)$/.exec(line);
        const sample = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
        if (help) {
            family(help[1]).help = plain(help[2]);
        } else if (sample) {
            family(sample[1]).samples.push({ labels: labelsOf(sample[2] ?? ""), value: Number(sample[3]) });
        }
    }
    return families;
}

/** The sum of a family's samples that carry these labels; null where there are none.
 * @param {Map<string, Family>} families @param {string} name @param {Record<string, string>} [labels] */
export function total(families, name, labels = {}) {
    const samples = families.get(name)?.samples.filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value));
    return samples?.length ? samples.reduce((sum, { value }) => sum + value, 0) : null;
}
