import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLineSink } from "../../../src/telemetry/line-sink.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "llm-gateway-log-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** A process that logs much more than a pipe holds, shuts telemetry down and exits. */
const LOGGING_PROCESS = `
  const { createTelemetry } = await import("./src/telemetry/create-telemetry.ts");
  const telemetry = await createTelemetry({ version: "1", isKnownModel: () => true });
  for (let i = 0; i < 2000; i++) telemetry.log.info("line", { i, padding: "x".repeat(200) });
  await telemetry.shutdown();
  process.exit(0);
`;

describe("the sink of log lines", () => {
  it("writes every line once and in order, and has done so when flush resolves", async () => {
    const file = join(directory, "log");
    const fd = openSync(file, "w");
    const sink = createLineSink({ fd, maxWaitingCharacters: 1e9, onDropped: () => expect.fail() });
    const lines = Array.from({ length: 5_000 }, (_, i) => `line ${i} ${"ä".repeat(i % 50)}\n`);
    for (const [i, line] of lines.entries()) {
      sink.write(line);
      if (i % 1_000 === 0) await new Promise(setImmediate);
    }
    await sink.flush();
    closeSync(fd);
    expect(readFileSync(file, "utf8")).toBe(lines.join(""));
  });

  it("drops and counts what a slow reader leaves waiting beyond the bound", async () => {
    const file = join(directory, "log");
    const fd = openSync(file, "w");
    let dropped = 0;
    const sink = createLineSink({ fd, maxWaitingCharacters: 100, onDropped: () => dropped++ });
    // All within one tick: the first is being written, ten wait, the others find no room.
    for (let i = 0; i < 50; i++) sink.write(`123456789\n`);
    await sink.flush();
    closeSync(fd);
    expect(dropped).toBe(39);
    expect(readFileSync(file, "utf8")).toBe("123456789\n".repeat(11));
  });

  it("flushes at once when nothing was written", async () => {
    await createLineSink({ fd: 1, maxWaitingCharacters: 1, onDropped: () => {} }).flush();
  });

  it("gets every line of a process out before it exits", async () => {
    const { stdout, code } = await run((child) => child);
    expect(code).toBe(0);
    expect(stdout.trim().split("\n")).toHaveLength(2_000);
  });

  it("does not keep a process from exiting whose reader has gone", async () => {
    const { code } = await run((child) => {
      child.stdout.once("data", () => child.stdout.destroy());
      return child;
    });
    expect(code).toBe(0);
  });
});

type Child = ReturnType<typeof spawnLogging>;

const spawnLogging = () =>
  spawn(process.execPath, ["--input-type=module", "--eval", LOGGING_PROCESS], {
    stdio: ["ignore", "pipe", "inherit"],
  });

async function run(
  prepare: (child: Child) => Child,
): Promise<{ readonly stdout: string; readonly code: number | null }> {
  const child = prepare(spawnLogging());
  let stdout = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { stdout, code };
}
