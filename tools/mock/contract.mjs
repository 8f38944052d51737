// Reads the contract for the test of the mock: operations, valid requests for each, and documented answers.
import { readFileSync } from "node:fs";

import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

// The OpenAPI 3.1 form means the same as openapi.yaml, and its schemas are JSON Schema.
export const contract = JSON.parse(readFileSync(new URL("../../gen/openapi-3.1.json", import.meta.url)));

const methods = ["get", "put", "post", "patch", "delete"];

export const operations = Object.entries(contract.paths).flatMap(([path, item]) =>
  methods
    .filter((method) => item[method])
    .map((method) => ({
      id: item[method].operationId,
      path,
      method: method.toUpperCase(),
      ...item[method],
      security: item[method].security ?? contract.security,
      parameters: [...(item.parameters ?? []), ...(item[method].parameters ?? [])].map(resolve),
    })),
);

// resolve follows a reference.
function resolve(node) {
  if (!node?.$ref) return node;
  const steps = node.$ref.slice(2).split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  return resolve(steps.reduce((found, step) => found[step], contract));
}

function mapValues(object, map) {
  return Object.fromEntries(Object.entries(object ?? {}).map(([key, value]) => [key, map(value)]));
}

// requestsFor returns valid requests of an operation from the contract's examples, one for each example body.
export function requestsFor({ path, method, parameters, requestBody }) {
  const headers = { Authorization: "Bearer any-token" };
  const query = new URLSearchParams();
  for (const { name, in: place, examples } of parameters.filter(({ required }) => required)) {
    const example = Object.values(examples)[0].value;
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(example));
    if (place === "query") query.set(name, example);
    if (place === "header") headers[name] = example;
  }
  if (query.size > 0) path += `?${query}`;
  if (!requestBody) return [{ path, method, headers }];
  return Object.entries(resolve(requestBody).content).flatMap(([type, { examples }]) =>
    Object.values(examples).map((example) => ({
      path,
      method,
      headers: { ...headers, "Content-Type": type },
      body: JSON.stringify(resolve(example).value),
    })),
  );
}

// answersOf returns the documented answers of an operation, one for each status and media type.
export function answersOf({ responses }) {
  return Object.entries(responses).flatMap(([status, reference]) => {
    const response = resolve(reference);
    const headers = mapValues(mapValues(response.headers, resolve), (h) => ({ ...h, schema: resolve(h.schema) }));
    const media = Object.entries(response.content ?? {});
    if (media.length === 0) return [{ status, headers, examples: {} }];
    return media.map(([mediaType, { schema, examples }]) => ({
      status,
      headers,
      mediaType,
      schema,
      examples: mapValues(examples, (example) => resolve(example).value),
    }));
  });
}

const ajv = addFormats(new Ajv({ strict: false, allErrors: true }), { mode: "full" });
ajv.addFormat("int32", { type: "number", validate: (n) => Number.isInteger(n) && Math.abs(n) <= 2 ** 31 });
const validators = new Map();

// validator returns a compiled schema. Its references point into the contract.
export function validator(schema) {
  const key = JSON.stringify(schema);
  if (!validators.has(key)) validators.set(key, ajv.compile({ ...schema, components: contract.components }));
  return validators.get(key);
}
