// Makes a Postman collection from the contract, with or without the requests whose answers have no end:
//   node tools/postman/collection.mjs FILE [no-streams]
// It is what openapi-to-postmanv2 makes of the examples named demo, which belong together, with the demo's address and token, without the
// many examples of errors, which are the same for every request, and with a test of each request's status.
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";

import converter from "openapi-to-postmanv2";

const [file, streams] = process.argv.slice(2);
if (!file) {
  throw new Error("usage: node tools/postman/collection.mjs FILE [no-streams]");
}
const contract = JSON.parse(await readFile(new URL("../../gen/openapi.json", import.meta.url), "utf8"));
// What is optional in a query or a header is in the collection, but switched off.
const options = { folderStrategy: "Tags", parametersResolution: "Example", enableOptionalParameters: false };
const converted = await promisify(converter.convertV2)({ type: "json", data: withOneExample(contract) }, options);
if (!converted.result) {
  throw new Error(converted.reason);
}
const collection = converted.output[0].data;
const operations = Object.values(contract.paths).flatMap((path) => Object.values(path).filter(({ operationId }) => operationId));
const items = collection.item.flatMap((folder) => folder.item);
if (items.length !== operations.length) {
  throw new Error(`${items.length} requests for ${operations.length} operations`);
}
for (const item of items) {
  item.response = item.response.filter(({ code }) => code < 300);
  const expected = JSON.stringify(item.response.map(({ code }) => code));
  const exec = [`pm.test("status of success", () => pm.expect(pm.response.code).to.be.oneOf(${expected}));`];
  item.event = [{ listen: "test", script: { type: "text/javascript", exec } }];
}
if (streams === "no-streams") {
  const isStream = ({ response }) => response.some(({ header }) => header.some(({ value }) => value === "text/event-stream"));
  for (const folder of collection.item) {
    folder.item = folder.item.filter((item) => !isStream(item));
  }
}
collection.variable = [
  { key: "baseUrl", value: "http://127.0.0.1:8080/v2" },
  { key: "bearerToken", value: "demo-token" },
];
await writeFile(file, `${JSON.stringify(collection, null, 1)}\n`);

/**
 * Returns a part of the contract with its references replaced, and with one example where it has several. The converter takes the example
 * of a schema that is used in many places for all of them, and the one of a parameter only from its schema.
 */
function withOneExample(part) {
  if (Array.isArray(part)) {
    return part.map(withOneExample);
  }
  if (typeof part !== "object" || part === null) {
    return part;
  }
  if (typeof part.$ref === "string") {
    const names = part.$ref.split("/").slice(1);
    return withOneExample(names.reduce((from, name) => from[name], contract));
  }
  const { examples, ...rest } = part;
  const whole = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, withOneExample(value)]));
  if (examples && !Array.isArray(examples) && part !== contract.components) {
    const { value } = withOneExample(examples.demo ?? Object.values(examples)[0]);
    whole.example = value;
    if (part.in) {
      whole.schema = { ...whole.schema, example: value };
    }
  }
  return whole;
}
