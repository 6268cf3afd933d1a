import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test, vi } from "vitest";
import { spawnProgram } from "../support/spawn-program.ts";

const PROGRAM = join(import.meta.dirname, "../support/starting-program.ts");

async function accepts(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const accepted = await once(socket, "connect").then(
    () => true,
    () => false,
  );
  socket.destroy();
  return accepted;
}

test("what tests start ends when the process that started it is killed", async ({ onTestFinished }) => {
  const directory = mkdtempSync(join(tmpdir(), "llm-gateway-aborted-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  const starter = spawnProgram([PROGRAM, directory]);
  onTestFinished(() => void starter.kill("SIGKILL"));
  starter.stderr.pipe(process.stderr, { end: false });
  const [line] = (await once(createInterface(starter.stdout), "line")) as [string];
  const urls = JSON.parse(line) as readonly string[];
  expect(await Promise.all(urls.map(accepts))).toEqual([true, true, true]);

  starter.kill("SIGKILL");
  await vi.waitFor(async () => expect(await Promise.all(urls.map(accepts))).toEqual([false, false, false]), {
    timeout: 10_000,
  });
}, 60_000);
