/* A cycle's shape as tallyd tells it, "type.field -> type.field", taken apart for drawing. Pure. */

/** @typedef {{type: string, field: string, to: string}} Step the object of `type` refers by `field` to one of type `to`; to is empty where it is not told */
/** @typedef {{steps: Step[], whole: boolean}} Shape whole: false where there are more steps than are told */

const MORE = "(more)";

/** `known`: the program's types, since names may have dots in them. @param {string} text @param {ReadonlySet<string>} [known] */
function stepOf(text, known) {
    let dot = -1;
    for (let at = text.indexOf("."); known && at > 0; at = text.indexOf(".", at + 1)) {
        dot = known.has(text.slice(0, at)) ? at : dot;
    }
    dot = dot > 0 ? dot : text.lastIndexOf(".");
    return dot > 0 ? { type: text.slice(0, dot), field: text.slice(dot + 1) } : { type: text, field: "" };
}

/** @param {string} text @param {ReadonlySet<string>} [known] @returns {Shape} */
export function shapeOf(text, known) {
    const parts = text.split(" -> ");
    const whole = parts[parts.length - 1] !== MORE;
    const steps = (whole ? parts : parts.slice(0, -1)).map((part) => stepOf(part, known));
    return { whole, steps: steps.map((step, index) => ({ ...step, to: steps[index + 1]?.type ?? (whole ? steps[0].type : "") })) };
}

/** The step that tallyd would make weak; -1: none. @param {Shape} shape @param {{edge: string}|null|undefined} weaken */
export const weakStep = ({ steps }, weaken) => weaken ? steps.findIndex(({ type, field }) => `${type}.${field}` === weaken.edge) : -1;
