// Starts Prism like make mock, on a free port.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const file = (path) => fileURLToPath(new URL(path, import.meta.url));

// startPrism returns when Prism serves the contract on loopback. It throws when Prism does not start.
export async function startPrism() {
  const args = ["mock", "--host", "127.0.0.1", "--port", "0", file("../../openapi.yaml")];
  const child = spawn(file("node_modules/.bin/prism"), args, { stdio: ["ignore", "pipe", "pipe"] });
  const gone = once(child, "close");
  const stop = () => (child.kill(), gone);
  const deadline = setTimeout(stop, 120_000); // long, for a busy machine
  const lines = [];
  child.stderr.on("data", (text) => lines.push(text));
  const log = createInterface({ input: child.stdout });
  const url = await new Promise((found) => {
    log.on("line", (line) => {
      lines.push(line);
      const [, address] = line.match(/listening on (http:\/\/127\.0\.0\.1:\d+)$/) ?? [];
      if (address) found(address);
    });
    log.on("close", found);
  });
  clearTimeout(deadline);
  if (!url) throw new Error(`Prism does not start:\n${lines.join("\n")}`);
  return { url, stop };
}
