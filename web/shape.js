/* A cycle's shape as tallyd tells it, "type.field -> type.field", taken apart; and which of its references to make weak.
 *
 * Which one is a judgement: a weak reference holds nothing, so what it leads to must be held from elsewhere. The names
 * that people give fields say it best, then who is a part of whom. Pure. */

import * as format from "./format.js";

/** @typedef {{type: string, field: string, to: string}} Step the object of `type` refers by `field` to one of type `to`; to is empty where it is not told */
/** @typedef {{steps: Step[], whole: boolean}} Shape whole: false where there are more steps than are told */
/** @typedef {{at: number, sure: boolean, reason: string}} Weak the step to weaken; sure: more than a guess */

const MORE = "(more)";
const BACK = /^(?:parent|owner|owned_?by|up|prev|previous|back|back_?(?:ref|link|pointer|reference)|outer|enclosing|container|host|observer|listener|delegate|subscriber|target|subject|controller)$/i;
/** Twice as many parts as wholes may be chance. */
const MANY = 4;

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

/** The field's name without what stands around it. @param {string} field */
const bare = (field) => field.replace(/\[.*\]$/, "").replace(/^_+|_+$/g, "").replace(/_(?:ptr|ref|p)$/i, "");
const isElement = (/** @type {string} */ field) => /\[.*\]$/.test(field);

/** @param {Shape} shape @param {(type: string) => number} allocated how many of a type there have been; 0: not known @returns {Weak|null} */
export function weakest({ steps, whole }, allocated) {
    if (!steps.length || !steps[0].field) {
        return null;
    }
    const named = steps.findIndex(({ field }) => BACK.test(bare(field)));
    if (named >= 0) {
        return { at: named, sure: true, reason: `“${bare(steps[named].field)}” is a way back: ${steps[named].to || "what it leads to"} is held by what owns it, and needs no hold from here.` };
    }
    if (steps.length === 1 && whole) {
        return { at: 0, sure: true, reason: "It is the only reference in the cycle: nothing else closes it." };
    }
    const shares = steps.map(({ type, to }) => allocated(to) > 0 ? allocated(type) / allocated(to) : 0);
    const part = shares.indexOf(Math.max(...shares));
    if (shares[part] >= MANY) {
        const { type, to } = steps[part];
        return { at: part, sure: true, reason: `There are ${format.count(Math.round(shares[part]))} times as many ${type} as ${to}: the many are parts of the few, and a part need not hold its whole.` };
    }
    const elements = steps.filter(({ field }) => isElement(field)).length;
    const other = steps.findIndex(({ field }) => !isElement(field));
    if (elements > 0 && other >= 0) {
        return { at: other, sure: false, reason: `${steps.find(({ field }) => isElement(field))?.type} holds its elements, as a container does; ${steps[other].type}.${steps[other].field} is the way back to it.` };
    }
    return !whole ? null : { at: steps.length - 1, sure: false, reason: "Neither names nor numbers tell one from another: take the one whose target is held from elsewhere as well." };
}
