import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Simulator } from "../../../simulator/simulator.ts";
import { spawnProgram } from "../../support/spawn-program.ts";
import { call, openSimulator } from "./calls.ts";

async function control(
  simulator: Simulator,
  method: string,
  path: string,
  body?: unknown,
): Promise<Response> {
  const payload = body === undefined ? null : JSON.stringify(body);
  return fetch(`${simulator.url}/_control/${path}`, { method, body: payload });
}

describe("the control endpoints", () => {
  test("set scripts, some for so many calls, and delete them", async () => {
    const simulator = await openSimulator();
    await control(simulator, "POST", "script", { personality: "openai", script: { status: 500 }, times: 1 });
    await control(simulator, "POST", "script", { model: "sim-model", script: { status: 404 } });
    const deepseek = { path: "/deepseek/chat/completions" };
    expect((await call(simulator, {}, deepseek)).status).toBe(404);
    expect((await call(simulator)).status).toBe(500);
    expect((await call(simulator)).status).toBe(404);
    expect((await call(simulator, { model: "other" })).status).toBe(200);
    await control(simulator, "DELETE", "script");
    expect((await call(simulator)).status).toBe(200);
  });

  test.each([
    ["an unknown directive", { script: { oops: 1 } }],
    ["no script", { personality: "openai" }],
    ["times of zero", { script: {}, times: 0 }],
    ["a model that is a number", { script: {}, model: 1 }],
  ])("refuse %s with 400", async (_, body) => {
    const simulator = await openSimulator();
    expect((await control(simulator, "POST", "script", body)).status).toBe(400);
  });

  test("give the bill with costs as text and clear it", async () => {
    const simulator = await openSimulator();
    await (
      await call(simulator, { model: "gpt-5-mini" }, { script: { tokensIn: 100, tokensOut: 10 } })
    ).text();
    await (await call(simulator, { model: "no-price" })).text();
    const bill: unknown = await (await control(simulator, "GET", "bill?wait=1")).json();
    expect(bill).toMatchObject({
      lines: [{ model: "gpt-5-mini", tokensIn: 100 }, { model: "no-price" }],
      droppedLines: 0,
      totals: [
        { personality: "openai", model: "gpt-5-mini", costPicoUsd: "45000000" },
        { model: "no-price", costPicoUsd: null },
      ],
    });
    expect(await (await control(simulator, "GET", "bill?lines=1")).json()).toMatchObject({
      lines: [{ model: "no-price" }],
    });
    await control(simulator, "DELETE", "bill");
    expect(await (await control(simulator, "GET", "bill")).json()).toMatchObject({ lines: [], totals: [] });
  });

  test("show what was sent, with the key as a hash only", async () => {
    const simulator = await openSimulator();
    const headers = {
      authorization: "Bearer canary-secret",
      traceparent: "00-1-2-01",
      "X-HF-Bill-To": "org",
    };
    await (await call(simulator, { seed: 7 }, { headers, path: "/huggingface/v1/chat/completions" })).text();
    const text = await (await control(simulator, "GET", "requests")).text();
    expect(text).not.toContain("canary-secret");
    const hash = createHash("sha256").update("Bearer canary-secret").digest("hex").slice(0, 12);
    expect(JSON.parse(text).requests).toMatchObject([
      {
        method: "POST",
        path: "/huggingface/v1/chat/completions",
        headers: { authorization: `sha256:${hash}`, traceparent: "00-1-2-01", "x-hf-bill-to": "org" },
        body: { model: "sim-model", seed: 7 },
        aborted: false,
      },
    ]);
    await control(simulator, "DELETE", "requests");
    expect(simulator.requests.recent()).toEqual([]);
  });

  test("keep the latest thousand requests", async () => {
    const simulator = await openSimulator();
    for (let index = 0; index < 1_005; index += 1) {
      simulator.requests.record({
        callId: `c${index}`,
        method: "POST",
        path: "/",
        headers: {},
        bodyText: "not JSON",
        startedAt: index,
        abortedAfterMs: undefined,
      });
    }
    const recent = simulator.requests.recent();
    expect(recent).toHaveLength(1_000);
    expect(recent[0]).toMatchObject({ callId: "c5", body: "not JSON" });
    expect(recent.at(-1)?.callId).toBe("c1004");
  });

  test("answer 404 to what they do not know", async () => {
    const simulator = await openSimulator();
    expect((await control(simulator, "GET", "nothing")).status).toBe(404);
  });
});

const OWN_ADDRESS = Object.values(networkInterfaces())
  .flat()
  .find((address) => address?.family === "IPv4" && !address.internal)?.address;

test.skipIf(OWN_ADDRESS === undefined)(
  "the control endpoints answer other machines only when that is allowed",
  async () => {
    for (const [allowRemoteControl, status] of [
      [false, 403],
      [true, 200],
    ] as const) {
      const simulator = await openSimulator({ host: "0.0.0.0", allowRemoteControl });
      expect((await fetch(`http://${OWN_ADDRESS}:${simulator.port}/_control/bill`)).status).toBe(status);
      expect((await fetch(`http://127.0.0.1:${simulator.port}/_control/bill`)).status).toBe(200);
    }
  },
);

test("the program prints where it listens, answers, and exits 0 on SIGTERM", async () => {
  const main = join(import.meta.dirname, "../../../simulator/main.ts");
  const child = spawnProgram([main, "--port", "0", "--token-delay-ms", "1"]);
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const [line] = await once(createInterface(child.stdout), "line");
  const url = /^simulator listening on (http:\/\/127\.0\.0\.1:\d+)$/.exec(line)?.[1];
  const response = await fetch(`${url}/openai/v1/models`);
  expect(response.status).toBe(200);
  await response.text();
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
});

test("the program refuses an option that it does not know or understand", async () => {
  const main = join(import.meta.dirname, "../../../simulator/main.ts");
  for (const option of [
    ["--prot", "1"],
    ["--port", "x"],
  ]) {
    const child = spawn(process.execPath, [main, ...option], { stdio: "ignore" });
    expect(await once(child, "exit")).toEqual([1, null]);
  }
});
