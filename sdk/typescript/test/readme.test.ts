import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";

import { unwrap } from "@clientapps/client";

import { baseUrl, client, newApp } from "./api.js";

const run = promisify(execFile);
const cwd = new URL("..", import.meta.url); // the package: this is compiled into build/

async function compile(file: string): Promise<void> {
  const options = ["--strict", "--exactOptionalPropertyTypes", "--skipLibCheck", "--target", "ES2022", "--module", "NodeNext"];
  const compiled = await run("node_modules/.bin/tsc", [...options, file], { cwd }).catch((e) => e);
  assert.equal(compiled.stdout, "");
}

test("the programs in README.md compile, run, and print the output shown below them", async () => {
  const text = await readFile(new URL("README.md", cwd), "utf8");
  const programs = [...text.matchAll(/```ts\n(import [^]*?)```[^]*?```text\n([^]*?)```/g)];
  assert.equal(programs.length, 2);
  assert.match(text, /^# TypeScript client of clientapps\n\n```ts\nimport /);
  // Other tests may have changed the demo's app: reset it.
  const path = { client_id: "aa7cf840-9ca9-46a3-9778-9015d6580d50", app_id: "f1a2b3c4-d5e6-7890-abcd-ef1234567890" };
  const body = { is_favorite: false, license_count: 50 };
  await unwrap(client.PATCH("/clients/{client_id}/apps/{app_id}", { params: { path }, body }));
  await mkdir(new URL("build/readme/", cwd), { recursive: true });
  for (const [n, longest] of [10, 35].entries()) {
    const [, program = "", output] = programs[n] ?? [];
    assert.ok(program.split("\n").length <= longest, "it is a short program");
    await writeFile(new URL(`build/readme/program${n}.ts`, cwd), program.replaceAll("http://127.0.0.1:8080/v2", baseUrl));
    await compile(`build/readme/program${n}.ts`);
    const { stdout } = await run("node", [`build/readme/program${n}.js`], { cwd });
    assert.equal(stdout, output);
  }
});

test("the lines in README.md against lost updates compile, and add one", async () => {
  const text = await readFile(new URL("README.md", cwd), "utf8");
  const lines = text.match(/```ts\n(const counted = [^]*?)```/)?.[1];
  assert.ok(lines, "README.md has these lines");
  const { client_id, id: app_id } = await newApp({ license_count: 7 });
  const head = `import { createClient, ifUnchanged, readModifyWrite, unwrap } from "@clientapps/client";
const client = createClient({ baseUrl: "${baseUrl}", token: "demo-token" });
const path = ${JSON.stringify({ client_id, app_id })};
`;
  await mkdir(new URL("build/readme/", cwd), { recursive: true });
  await writeFile(new URL("build/readme/counted.ts", cwd), head + lines);
  await compile("build/readme/counted.ts");
  const { stdout } = await run("node", ["build/readme/counted.js"], { cwd });
  assert.equal(stdout, "8\n");
});

test("the program in docs/clients.md prints what the page shows", async () => {
  const text = await readFile(new URL("../../docs/clients.md", cwd), "utf8");
  const [, program, output] = text.match(/```ts\n([^]*?)```[^]*?```text\n([^]*?)```/) ?? [];
  assert.ok(program, "the page has a program");
  const path = { client_id: "aa7cf840-9ca9-46a3-9778-9015d6580d50", app_id: "f1a2b3c4-d5e6-7890-abcd-ef1234567890" };
  const body = { is_favorite: false, license_count: null };
  await unwrap(client.PATCH("/clients/{client_id}/apps/{app_id}", { params: { path }, body }));
  await mkdir(new URL("build/readme/", cwd), { recursive: true });
  await writeFile(new URL("build/readme/page.ts", cwd), program.replaceAll("http://127.0.0.1:8080/v2", baseUrl));
  await compile("build/readme/page.ts");
  const { stdout } = await run("node", ["build/readme/page.js"], { cwd, timeout: 60_000 }); // it ends when it has seen its changes
  assert.equal(stdout, output);
});

test("README.md names the version of the contract that the client is made from", async () => {
  const text = await readFile(new URL("README.md", cwd), "utf8");
  const version = (await readFile(new URL("../../openapi.yaml", cwd), "utf8")).match(/^ {2}version: (\S+)$/m)?.[1];
  assert.ok(version && text.includes(`It is made from version ${version} of the contract`), version);
});

test("the lines in README.md that export and import compile, and say what would change", async () => {
  const text = await readFile(new URL("README.md", cwd), "utf8");
  const lines = text.match(/```ts\n(let body = [^]*?)```/)?.[1];
  assert.ok(lines, "README.md has these lines");
  const { client_id } = await newApp({ is_favorite: true });
  await mkdir(new URL("build/readme/", cwd), { recursive: true });
  const head = `import { createClient, exportApps, unwrap } from "@clientapps/client";
const client = createClient({ baseUrl: "${baseUrl}", token: "demo-token" });
const client_id = "${client_id}";
`;
  await writeFile(new URL("build/readme/export.ts", cwd), head + lines);
  await compile("build/readme/export.ts");
  const { stdout } = await run("node", ["build/readme/export.js"], { cwd });
  assert.equal(stdout, "1 would change, 0 would not\n");
});

test("the lines in README.md that follow changes print what changes while they run", async (t) => {
  const text = await readFile(new URL("README.md", cwd), "utf8");
  const lines = text.match(/```ts\n(const end = [^]*?)```/)?.[1];
  assert.ok(lines, "README.md has these lines");
  await mkdir(new URL("build/readme/", cwd), { recursive: true });
  const head = `import { createClient, follow, unwrap } from "@clientapps/client";
const client = createClient({ baseUrl: "${baseUrl}", token: "demo-token" });
`;
  await writeFile(new URL("build/readme/follow.ts", cwd), head + lines);
  await compile("build/readme/follow.ts");
  const { client_id, id: app_id } = await newApp();
  const program = spawn("node", ["build/readme/follow.js"], { cwd, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => program.kill());
  let printed = "";
  program.stdout.on("data", (chunk: Buffer) => {
    printed += chunk;
  });
  const params = { path: { client_id, app_id } };
  const deadline = Date.now() + 30_000;
  for (let is_approved = true; !/^is_approved [\w-]+$/m.test(printed); is_approved = !is_approved) {
    assert.ok(Date.now() < deadline && program.exitCode === null, `printed ${printed}`);
    await unwrap(client.PATCH("/clients/{client_id}/apps/{app_id}", { params, body: { is_approved } }));
    await new Promise((resolve) => setTimeout(resolve, 100)); // it does not say when it has begun
  }
});
