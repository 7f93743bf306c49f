/* The OpenAPI document: its operations, answers held against it, and input that it does not allow. */

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { default: Ajv } = await import(require.resolve("ajv/dist/2020.js"));
const { default: formats } = await import(require.resolve("ajv-formats"));
const { Validator } = await import(require.resolve("@seriousme/openapi-schema-validator"));

/** Members that are not declared are errors here; in the published document they are allowed, for later versions. */
function close(schema) {
    if (schema && typeof schema === "object") {
        if (schema.properties && schema.additionalProperties === undefined && !Array.isArray(schema)) {
            schema.additionalProperties = false;
        }
        Object.values(schema).forEach(close);
    }
}

export class Document {
    constructor(json) {
        this.json = json;
        const components = structuredClone(json.components);
        close(components);
        this.ajv = new Ajv({ strict: false, allErrors: true });
        formats(this.ajv);
        this.ajv.addSchema({ $id: "doc", components });
    }

    /** What is wrong with the document itself, by OpenAPI's own schema. */
    async faults() {
        const { valid, errors } = await new Validator().validate(structuredClone(this.json));
        return valid ? [] : errors;
    }

    /** [{ route: "GET /v1/info", method, path, operation }] */
    get operations() {
        return Object.entries(this.json.paths).flatMap(([path, methods]) => Object.entries(methods)
            .map(([method, operation]) => ({ route: `${method.toUpperCase()} ${path}`, method: method.toUpperCase(), path, operation })));
    }

    /** Asserts that a value follows a schema of the document. */
    check(schema, value, what) {
        const local = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"doc#/'));
        const valid = this.ajv.compile(local);
        assert.ok(valid(value), `${what}: ${JSON.stringify(valid.errors?.slice(0, 4))}`);
    }

    /** Asserts that an answer is one that the operation declares. */
    checkAnswer(operation, answer, what) {
        const declared = answer.status >= 400 ? this.json.components.responses.Problem : operation.responses[answer.status];
        assert.ok(declared, `${what}: ${answer.status} is not declared: ${answer.text.slice(0, 300)}`);
        if (!declared.content) {
            assert.equal(answer.text, "", `${what}: a body that is not declared`);
            return;
        }
        const type = (answer.headers["content-type"] ?? "").split(";")[0];
        assert.ok(declared.content[type], `${what}: ${type} is not declared`);
        if (type === "application/x-ndjson") {
            const lines = answer.text.split("\n");
            assert.equal(lines.pop(), "", `${what}: the last line is cut`);
            lines.forEach((line) => this.check(declared.content[type].schema, JSON.parse(line), what));
        } else if (type.endsWith("json")) {
            assert.notEqual(answer.json, undefined, `${what}: not JSON: ${answer.text.slice(0, 300)}`);
            this.check(declared.content[type].schema, answer.json, what);
        }
        if (answer.status >= 400) {
            assert.equal(answer.json.status, answer.status, what);
            assert.equal(answer.json.type, `/problems/${answer.json.code}`, what);
        }
    }

    /** A schema with its $ref followed. */
    follow(schema) {
        return schema.$ref ? { ...this.json.components.schemas[schema.$ref.split("/").pop()], ...schema, $ref: undefined } : schema;
    }

    /** Texts that a query parameter of this schema does not allow. */
    wrongTexts(schema) {
        if (schema.type === "integer") {
            return ["", "x", "1x", "1.5", " 1", "-1", "99999999999999999999", String(BigInt(schema.maximum) + 1n),
                ...(schema.minimum > 0 ? [String(schema.minimum - 1)] : [])];
        }
        if (schema.type === "boolean") {
            return ["", "1", "True"];
        }
        if (schema.type === "array") {
            return ["no-colon", ":", ""];
        }
        if (schema.enum) {
            return ["", "nope", `${schema.enum[0]}x`];
        }
        if (schema.pattern) {
            return ["", "nope", "5x", "%25"];
        }
        return schema.minLength > 0 ? [""] : [];
    }

    /** Values that a member of this schema does not allow. */
    wrongValues(given) {
        const schema = this.follow(given);
        const types = [schema.type].flat();
        const all = { string: "x", integer: 5, boolean: true, array: ["?"], object: { "?": 1 }, null: null };
        const wrong = Object.entries(all).filter(([type]) => schema.type && !types.includes(type)
            && !(type === "integer" && types.includes("number"))).map(([, value]) => value);
        if (types.includes("integer")) {
            wrong.push(1.5, "5");
            wrong.push(...[schema.minimum - 1, schema.maximum + 1].filter(Number.isSafeInteger));
        }
        if (schema.enum || schema.const) {
            wrong.push("nope", 7, {});
        }
        if (schema.minLength) {
            wrong.push("");
        }
        if (schema.minItems) {
            wrong.push([]);
        }
        return wrong;
    }
}
