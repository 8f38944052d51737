// Tests Prism with the contract: it serves every named example of every response as the contract says.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { answersOf, operations, requestsFor, validator } from "./contract.mjs";
import { startPrism } from "./prism.mjs";

let prism;
before(async () => (prism = await startPrism()));
after(() => prism?.stop());

async function send({ path, ...request }) {
  const response = await fetch(prism.url + path, { ...request, signal: AbortSignal.timeout(60_000) });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

// ask sends a valid request of an operation, unless the changes make it an invalid one.
function ask(operation, { body, ...headers } = {}) {
  const [request] = requestsFor(operation);
  return send({ ...request, body: body ?? request.body, headers: { ...request.headers, ...headers } });
}

// holds checks a response against the answer that the contract documents, and returns its body.
function holds(response, answer, of) {
  assert.equal(String(response.status), answer.status, `${of}: ${response.text}`);
  for (const [name, header] of Object.entries(answer.headers)) {
    const value = response.headers.get(name);
    assert.ok(value !== null || !header.required, `${of}: no ${name}`);
    // Prism implements an early draft of RFC 9745, and sends "true" instead of the contract's value.
    if (name === "Deprecation") assert.equal(value, "true", of);
    else if (value !== null) valid(header.schema, header.schema.type === "integer" ? Number(value) : value, `${of}: ${name}`);
  }
  const type = response.headers.get("Content-Type");
  if (!answer.mediaType) {
    assert.deepEqual([type, response.text], [null, ""], of);
    return undefined;
  }
  assert.equal(type, answer.mediaType, of);
  const body = JSON.parse(response.text);
  valid(answer.schema, body, of);
  return body;
}

function valid(schema, value, of) {
  const validate = validator(schema);
  assert.ok(validate(value), `${of}: ${JSON.stringify(value)}: ${JSON.stringify(validate.errors)}`);
}

test("each named example of each answer is served as the contract says", async (t) => {
  let served = 0;
  for (const operation of operations) {
    for (const answer of answersOf(operation)) {
      const of = `${operation.id} ${answer.status}`;
      for (const [name, example] of Object.entries(answer.examples)) {
        const body = holds(await ask(operation, { Prefer: `code=${answer.status}, example=${name}` }), answer, `${of} ${name}`);
        assert.deepEqual(body, example, `${of}: the example ${name}`);
        served++;
      }
    }
  }
  assert.ok(served > operations.length, "the contract has no examples");
  t.diagnostic(`${served} examples of ${operations.length} operations`);
});

test("without a name the answer is valid, and a refusal is one of its own status", async () => {
  for (const operation of operations) {
    for (const answer of answersOf(operation)) {
      const of = `${operation.id} ${answer.status}`;
      const body = holds(await ask(operation, { Prefer: `code=${answer.status}` }), answer, of);
      if (Number(answer.status) >= 400) oneOf(answer, body, of);
    }
  }
});

test("each named example of a request is answered by the operation's success", async () => {
  for (const operation of operations) {
    const success = answersOf(operation).find(({ status }) => status.startsWith("2"));
    for (const request of requestsFor(operation)) holds(await send(request), success, `${operation.id} ${request.body}`);
  }
});

function oneOf(answer, body, of) {
  const found = Object.values(answer.examples).some((example) => JSON.stringify(example) === JSON.stringify(body));
  assert.ok(found, `${of}: ${JSON.stringify(body)} is not one of its examples`);
}

test("a request without a token is refused as the contract says", async () => {
  for (const operation of operations.filter(({ security }) => security.length > 0)) {
    const of = `${operation.id} without a token`;
    const answer = answersOf(operation).find(({ status }) => status === "401");
    oneOf(answer, holds(await ask(operation, { Authorization: "" }), answer, of), of);
  }
});

test("a body that the contract refuses is refused, and Prism says why", async () => {
  const of = "a body of the wrong type";
  const operation = operations.find(({ id }) => id === "updateApp");
  const answer = answersOf(operation).find(({ status }) => status === "400");
  const response = await ask(operation, { body: '{"is_favorite": "yes"}' });
  oneOf(answer, holds(response, answer, of), of);
  const [violation] = JSON.parse(response.headers.get("sl-violations"));
  assert.deepEqual(violation.location, ["request", "body", "is_favorite"]);
});

test("the page shows what it answers", () => {
  const page = readFileSync(new URL("../../docs/contract.md", import.meta.url), "utf8");
  const [, command, answer] = page.match(/^```console\n(.*?)^```\n\n```json\n(.*?)\n```$/ms);
  const shell = command.replace("http://127.0.0.1:4010", prism.url);
  assert.notEqual(shell, command);
  assert.equal(execFileSync("sh", ["-euc", shell], { encoding: "utf8", stdio: "pipe" }), answer);
});

// Otherwise a validator that accepts everything would pass all tests.
test("the validator refuses what the contract does not have", () => {
  for (const operation of operations) {
    for (const { status, schema, examples } of answersOf(operation)) {
      for (const [name, example] of Object.entries(examples)) {
        const of = `${operation.id} ${status} ${name}`;
        assert.ok(!validator(schema)({ ...example, unknown: 1 }), `${of} with an unknown property`);
        for (const property of Object.keys(example)) {
          const { [property]: _, ...rest } = example;
          assert.ok(!validator(schema)(rest), `${of} without ${property}`);
        }
      }
    }
  }
  assert.equal(validator({ type: "string", format: "date-time" })("yesterday"), false);
});
