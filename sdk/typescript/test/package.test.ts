import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { baseUrl } from "./api.js";

const run = promisify(execFile);
const cwd = fileURLToPath(new URL("..", import.meta.url)); // the package: this is compiled into build/

test("the package has what it needs and no more, and works in a project of somebody else", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "package-"));
  t.after(() => rm(dir, { recursive: true }));
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", dir], { cwd });
  const [packed] = JSON.parse(stdout) as [{ filename: string; version: string; files: { path: string }[] }];
  const modules = (await readdir(join(cwd, "src"))).map((file) => file.replace(/\.ts$/, ""));
  const want = ["LICENSE", "README.md", "package.json", ...modules.flatMap((name) => [`dist/${name}.d.ts`, `dist/${name}.js`])];
  assert.deepEqual(packed.files.map(({ path }) => path).toSorted(), want.toSorted());

  const installed = join(dir, "node_modules", "@clientapps", "client");
  await mkdir(installed, { recursive: true });
  await run("tar", ["-xzf", join(dir, packed.filename), "--strip-components=1", "-C", installed]);
  for (const dependency of ["openapi-fetch", "openapi-typescript-helpers"]) { // and what that depends on
    await symlink(join(cwd, "node_modules", dependency), join(dir, "node_modules", dependency));
  }
  const program = (await readFile(join(cwd, "README.md"), "utf8")).match(/```ts\n(import [^]*?)```/)?.[1] ?? "";
  await writeFile(join(dir, "package.json"), '{"type":"module"}');
  await writeFile(join(dir, "program.ts"), program.replaceAll("http://127.0.0.1:8080/v2", baseUrl));
  for (const resolution of [
    ["--module", "ESNext", "--moduleResolution", "bundler"],
    ["--module", "NodeNext"],
  ]) {
    const options = ["--strict", "--target", "ES2022", "--lib", "ES2022,DOM,DOM.Iterable", ...resolution];
    const compiled = await run(join(cwd, "node_modules/.bin/tsc"), [...options, "program.ts"], { cwd: dir }).catch((e) => e);
    assert.equal(compiled.stdout, "", resolution.join(" "));
  }
  assert.equal((await run("node", ["program.js"], { cwd: dir })).stdout, "Contoso Ltd. active\n");
});

test("the package has the major version of the contract, and one dependency", async () => {
  const { version, dependencies } = JSON.parse(await readFile(join(cwd, "package.json"), "utf8"));
  const contract = (await readFile(join(cwd, "../../openapi.yaml"), "utf8")).match(/^ {2}version: (\d+)\./m)?.[1];
  assert.equal(version.split(".")[0], contract);
  assert.deepEqual(Object.keys(dependencies), ["openapi-fetch"]);
});
