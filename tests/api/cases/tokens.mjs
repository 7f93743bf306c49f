/* Tokens. The columns stand in processes.mjs. */

import assert from "node:assert/strict";

const name = ({ json }) => assert.equal(json.name, "case");

export const cases = [
    { route: "POST /v1/tokens", body: { name: "case", scope: "read", expires_in_s: 3600 }, status: 201,
      check: ({ headers, json }) => {
          assert.equal(headers.location, "/v1/tokens/case");
          assert.match(json.token, /^[0-9a-f]{64}$/);
          assert.deepEqual(json.scopes, ["read"]);
      } },
    { route: "POST /v1/tokens", body: { name: "case", scope: "read" }, status: 409, code: "token_exists" },
    ...[{}, { name: "x" }, { scope: "read" }, { name: "", scope: "read" }, { name: "a b", scope: "read" }, { name: "x", scope: "all" },
        { name: "x".repeat(33), scope: "read" }, { name: "x", scope: "read", expires_in_s: 0 }, { name: "x", scope: "read", of: 1 }].map((body) => (
        { route: "POST /v1/tokens", body, status: 422, code: "bad_value" })),
    { route: "GET /v1/tokens", check: ({ json }) => assert.ok(json.tokens.some((token) => token.name === "case")) },
    { route: "GET /v1/tokens/{token}", at: { token: "case" }, check: name },
    { route: "GET /v1/tokens/{token}", at: { token: "none" }, status: 404, code: "no_such_token" },
    { route: "DELETE /v1/tokens/{token}", at: { token: "case" }, check: name },
    { route: "DELETE /v1/tokens/{token}", at: { token: "case" }, status: 404, code: "no_such_token" },
    { route: "POST /v1/tokens/rotate", check: ({ json }) => assert.equal(json.old_valid_s, 60) },
];
