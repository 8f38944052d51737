import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { promisify } from "node:util";

import { Webhook } from "standardwebhooks"; // the library of Standard Webhooks signs

import { type Delivery, verifyWebhook, WebhookError, type WebhookHeaders, type WebhookReason } from "@clientapps/client";

const id = "6f1d2c3b-4a59-4687-9e0f-1a2b3c4d5e6f";
const change = {
  id: "5f0c8f3e-6f0a-5b1e-9d0a-2b7c4d5e6f70",
  client_id: "aa7cf840-9ca9-46a3-9778-9015d6580d50",
  app_id: "f1a2b3c4-d5e6-7890-abcd-ef1234567890",
  catalog_app_id: "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
  field: "is_approved",
  old_value: false,
  new_value: true,
  actor: { id: "0d9c8b7a-6f5e-4d3c-8b2a-190817263544", name: "nächtlicher Lauf" },
  request_id: "0f3c2b1a9d8e7f60",
  changed_at: "2026-02-24T15:00:00.000Z",
};
const timestamp = "2026-02-24T15:00:00.412Z";
const changesBody = JSON.stringify({ type: "app.changed", timestamp, data: { client_id: change.client_id, changes: [change] } });
const pingBody = JSON.stringify({ type: "ping", timestamp, data: { webhook_id: "a241bc3f-bb17-5e2d-8e19-298eeb39497b" } });

const newSecret = () => `whsec_${randomBytes(32).toString("base64")}`;

type SignedHeaders = { "webhook-id": string; "webhook-timestamp": string; "webhook-signature": string };

function delivered(body: string, secrets: string[], at = new Date()): SignedHeaders {
  return {
    "webhook-id": id,
    "webhook-timestamp": `${Math.floor(at.getTime() / 1_000)}`,
    "webhook-signature": secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(" "),
  };
}

async function refuses(reason: WebhookReason, what: string, delivery: Promise<Delivery>): Promise<void> {
  await assert.rejects(delivery, (e) => e instanceof WebhookError && e.name === "WebhookError" && e.reason === reason, what);
}

test("a signed delivery is returned with its type, whatever its headers and bytes are kept in", async () => {
  const secret = newSecret();
  const headers = delivered(changesBody, [secret]);
  const bytes = new TextEncoder().encode(changesBody);
  const within = new Uint8Array(bytes.length + 2); // as Node.js gives parts of larger buffers
  within.set(bytes, 1);
  const distinct = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
  for (const body of [changesBody, bytes, bytes.buffer, Buffer.from(bytes), within.subarray(1, -1)]) {
    for (const some of [headers, new Headers(headers), distinct, { ...headers, "Content-Type": "application/json", other: undefined }]) {
      const delivery = await verifyWebhook(some, body, secret);
      assert.deepEqual([delivery.id, delivery.type, delivery.ping], [id, "app.changed", undefined]);
      assert.equal(delivery.timestamp.getTime(), Number(headers["webhook-timestamp"]) * 1_000);
      assert.deepEqual(delivery.changes?.data.changes, [change]);
    }
  }
  const { changes, ping } = await verifyWebhook(delivered(pingBody, [secret]), pingBody, secret);
  assert.equal(changes, undefined);
  assert.equal(ping?.data.webhook_id, "a241bc3f-bb17-5e2d-8e19-298eeb39497b");
  const newer = JSON.stringify({ type: "app.archived", timestamp, data: {} });
  const { type, ...unknown } = await verifyWebhook(delivered(newer, [secret]), newer, secret);
  assert.equal(type, "app.archived", "a type of a later version");
  assert.deepEqual([unknown.changes, unknown.ping], [undefined, undefined]);
});

test("while a secret is rotated one right signature is enough", async () => {
  const [older, newer, other] = [newSecret(), newSecret(), newSecret()];
  const both = delivered(pingBody, [newer, older]);
  const onlyOlder = delivered(pingBody, [older]);
  for (const secrets of [older, newer, [older], [other, newer]]) {
    assert.equal((await verifyWebhook(both, pingBody, secrets)).type, "ping");
  }
  await verifyWebhook(onlyOlder, pingBody, [newer, older]);
  await refuses("signature", "another secret", verifyWebhook(both, pingBody, other));
  await refuses("signature", "only the newer", verifyWebhook(onlyOlder, pingBody, newer));
  const unknown = `v1a,c2lnbmF0dXJl v2,${"A".repeat(200)} v1 ${both["webhook-signature"]}`;
  await verifyWebhook({ ...both, "webhook-signature": unknown }, pingBody, newer);
});

test("a delivery is good for five minutes", async (t) => {
  const [secret, sent] = [newSecret(), 1_771_945_200_000];
  const headers = delivered(pingBody, [secret], new Date(sent));
  t.mock.timers.enable({ apis: ["Date"], now: sent });
  for (const [seconds, good] of [[0, true], [300, true], [-300, true], [301, false], [-301, false], [31_536_000, false]] as const) {
    t.mock.timers.setTime(sent + seconds * 1_000);
    const delivery = verifyWebhook(headers, pingBody, secret);
    await (good ? delivery : refuses("timestamp", `${seconds} s later`, delivery));
  }
  await refuses("signature", "nobody learns of the clock without the secret", verifyWebhook(headers, pingBody, newSecret()));
});

test("what is forged is refused", async () => {
  const secret = newSecret();
  const good = delivered(pingBody, [secret]);
  const { "webhook-timestamp": time, "webhook-signature": signature } = good;
  const joined = (name: string, value: string) => {
    const headers = new Headers(good);
    headers.append(name, value);
    return headers;
  };
  const without = (name: string) => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name));
  const forged: Record<string, WebhookHeaders> = {
    "no id": without("webhook-id"),
    "no timestamp": without("webhook-timestamp"),
    "no signature": without("webhook-signature"),
    "no headers": {},
    "empty id": { ...good, "webhook-id": "" },
    "empty signature": { ...good, "webhook-signature": "" },
    "two ids": { ...good, "webhook-id": [id, id] },
    "two ids in other cases": { ...good, "Webhook-Id": id },
    "two timestamps": { ...good, "webhook-timestamp": [time, time] },
    "two signatures": { ...good, "webhook-signature": [signature, signature] },
    "joined ids": joined("webhook-id", id),
    "joined timestamps": joined("webhook-timestamp", time),
    "joined signatures": joined("webhook-signature", signature),
    "another id": { ...good, "webhook-id": "0a9b8c7d-6e5f-4a3b-8c2d-1e0f9a8b7c6d" },
    "another time": { ...good, "webhook-timestamp": `${Number(time) + 60}` },
    "signed time": { ...good, "webhook-timestamp": `+${time}` },
    "time with a zero": { ...good, "webhook-timestamp": `0${time}` },
    "time with a fraction": { ...good, "webhook-timestamp": `${time}.0` },
    "time with a space": { ...good, "webhook-timestamp": `${time} ` },
    "huge time": { ...good, "webhook-timestamp": "9".repeat(30) },
    "another version": { ...good, "webhook-signature": signature.replace("v1", "v2") },
    "no version": { ...good, "webhook-signature": signature.replace("v1,", "") },
    "upper case version": { ...good, "webhook-signature": signature.replace("v1", "V1") },
    "half a signature": { ...good, "webhook-signature": signature.slice(0, 24) },
    "more than a signature": { ...good, "webhook-signature": `${signature}A` },
    "without padding": { ...good, "webhook-signature": signature.replace("=", "") },
  };
  for (const [what, headers] of Object.entries(forged)) {
    await refuses("signature", what, verifyWebhook(headers, pingBody, secret));
  }
  for (const body of ["", changesBody, `${pingBody}\n`, pingBody.toUpperCase(), new Uint8Array()]) {
    await refuses("signature", `${body}`, verifyWebhook(good, body, secret));
  }
});

test("headers that Node.js has joined are refused", async (t) => {
  const secret = newSecret();
  const received: WebhookHeaders[] = [];
  const server = createServer((request, response) => {
    received.push(request.headers);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const headers = delivered(pingBody, [secret]);
  for (const twice of [undefined, ...(Object.keys(headers) as (keyof SignedHeaders)[])]) {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const doubled = twice ? `${twice}: ${headers[twice]}\r\n` : "";
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    socket.write(`POST / HTTP/1.1\r\nHost: receiver\r\nConnection: close\r\n${lines.join("")}${doubled}\r\n`);
    await new Promise((resolve) => socket.resume().on("close", resolve));
    const delivery = verifyWebhook(received.pop() ?? {}, pingBody, secret);
    await (twice ? refuses("signature", twice, delivery) : delivery);
  }
});

test("a secret that no webhook has is the receiver's mistake", async () => {
  const secret = newSecret();
  const headers = delivered(pingBody, [secret]);
  for (const secrets of [
    [],
    "",
    "whsec_",
    "whsec_AAAA",
    secret.replace("whsec_", ""),
    `${secret}\n`,
    [secret, ""],
    [secret, "whsec_?"],
    secret.toUpperCase(),
  ]) {
    await refuses("secret", `${secrets}`, verifyWebhook(headers, pingBody, secrets));
  }
});

test("a signed body that is not the contract's is refused", async () => {
  const secret = newSecret();
  for (const body of [
    ...["", "ping", "null", "[]", '"ping"', "{}", '{"type":"ping"}', '{"type":null,"data":{}}', '{"type":7,"data":{}}'],
    ...['{"type":"ping","data":null}', pingBody + pingBody, '{"type":"ping","data":{}}', '{"type":"app.changed","data":[]}'],
    ...['{"type":"app.changed","data":{}}', '{"type":"app.changed","data":{"changes":null}}', `\ufeff${pingBody}`],
  ]) {
    await refuses("body", body, verifyWebhook(delivered(body, [secret]), body, secret));
  }
});

test("the function in README.md compiles, accepts a signed delivery, and refuses another", async () => {
  const cwd = new URL("..", import.meta.url); // the package: this is compiled into build/
  const text = await readFile(new URL("README.md", cwd), "utf8");
  const lines = text.match(/```ts\n(async function receive[^]*?)```/)?.[1];
  assert.ok(lines, "README.md has this function");
  const secret = newSecret();
  const program = `import { verifyWebhook, WebhookError } from "@clientapps/client";
export ${lines.replace("whsec_…", secret)}`;
  await mkdir(new URL("build/readme/", cwd), { recursive: true });
  await writeFile(new URL("build/readme/webhook.ts", cwd), program);
  const options = ["--strict", "--exactOptionalPropertyTypes", "--skipLibCheck", "--target", "ES2022", "--module", "NodeNext"];
  const compiled = await promisify(execFile)("node_modules/.bin/tsc", [...options, "build/readme/webhook.ts"], { cwd }).catch((e) => e);
  assert.equal(compiled.stdout, "");
  const { receive } = await import(new URL("build/readme/webhook.js", cwd).href);
  for (const [signer, status, answer] of [[secret, 204, ""], [newSecret(), 401, "signature"]] as const) {
    const headers = delivered(changesBody, [signer]);
    const response = await receive(new Request("http://receiver/", { method: "POST", headers, body: changesBody }));
    assert.deepEqual([response.status, await response.text()], [status, answer]);
  }
});
