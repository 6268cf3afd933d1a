import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { accountOf } from "../../../simulator/accounts.ts";
import { Bill, type BillLine } from "../../../simulator/bill.ts";
import type { CallEvent } from "../../../simulator/exchange.ts";
import { costPicoUsd, LIST_PRICES } from "../../../simulator/prices.ts";
import { call, openSimulator, readUntilBroken } from "./calls.ts";

const LINE: BillLine = {
  callId: "c",
  personality: "openai",
  model: "gpt-5-mini",
  stream: false,
  tokensIn: 1_000,
  cachedTokensIn: 300,
  cacheWriteTokensIn: 100,
  tokensOut: 50,
  reasoningTokens: 20,
  state: "completed",
  startedAt: 1,
  endedAt: 2,
};

function temporaryFile(): string {
  const directory = mkdtempSync(join(tmpdir(), "simulator-bill-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return join(directory, "bill.jsonl");
}

describe("the list prices", () => {
  test("multiply exactly, cached and written input at their own prices", () => {
    // 600 × 0.25 + 300 × 0.025 + 100 × 0.25 + 50 × 2 USD per 1M tokens = 282.5 USD per 1M.
    expect(costPicoUsd("openai", "gpt-5-mini", LINE)).toBe(282_500_000n);
  });

  test("keep all six decimals beyond what a double holds", () => {
    const tokens = {
      tokensIn: 9_007_199_254_740_991,
      cachedTokensIn: 0,
      cacheWriteTokensIn: 0,
      tokensOut: 1,
    };
    expect(costPicoUsd("openai", "sim-model", tokens)).toBe(9_007_199_254_740_991n * 1_000_001n + 4_000_009n);
  });

  test("do not exist for other models, which then have no cost at all", () => {
    expect(costPicoUsd("openai", "deepseek-flash", LINE)).toBeUndefined();
  });

  test("name each model once per personality", () => {
    const names = LIST_PRICES.map((price) => `${price.personality} ${price.model}`);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("the bill", () => {
  test("totals by personality and model, over all states or one", () => {
    const bill = new Bill();
    bill.record(LINE);
    bill.record({ ...LINE, state: "interrupted", tokensOut: 10 });
    bill.record({ ...LINE, personality: "deepseek", model: "unknown" });
    expect(bill.totals()).toMatchObject([
      {
        personality: "openai",
        calls: 2,
        tokensIn: 2_000,
        tokensOut: 60,
        costPicoUsd: 282_500_000n + 202_500_000n,
      },
      { personality: "deepseek", model: "unknown", calls: 1, costPicoUsd: undefined },
    ]);
    expect(bill.totals("interrupted")).toMatchObject([
      { calls: 1, tokensOut: 10, costPicoUsd: 202_500_000n },
    ]);
    bill.clear();
    expect(bill.totals()).toEqual([]);
    expect(bill.lines).toEqual([]);
  });

  test("keeps only the latest lines, but all of them in the totals", () => {
    const bill = new Bill({ maxLines: 3 });
    for (let index = 0; index < 8; index += 1) bill.record({ ...LINE, callId: `c${index}` });
    expect(bill.lines.map((line) => line.callId)).toEqual(["c5", "c6", "c7"]);
    expect(bill.droppedLines).toBe(5);
    expect(bill.totals()).toMatchObject([{ calls: 8, tokensIn: 8_000 }]);
  });

  test("is in its file before the client has the answer, for unary answers, streams and cuts", async () => {
    const billFile = temporaryFile();
    const simulator = await openSimulator({ billFile });
    const onFile = () =>
      readFileSync(billFile, "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line));
    await (await call(simulator)).text();
    expect(onFile()).toMatchObject([{ state: "completed", stream: false }]);
    await (await call(simulator, { stream: true }, { script: { tokenDelayMs: 1 } })).text();
    expect(onFile()).toMatchObject([{}, { state: "completed", stream: true }]);
    await readUntilBroken(await call(simulator, { stream: true }, { script: { cutAfterTokens: 2 } }));
    expect(onFile()).toMatchObject([{}, {}, { state: "interrupted", tokensOut: 2 }]);
    expect(onFile()).toEqual(simulator.bill.lines);
  });

  test("has one line for each call, under the id that the answer carries", async () => {
    const simulator = await openSimulator();
    const response = await call(simulator);
    const answer: unknown = await response.json();
    const [line] = simulator.bill.lines;
    expect(response.headers.get("x-request-id")).toBe(line?.callId);
    expect(answer).toMatchObject({ id: `chatcmpl-${line?.callId}` });
    await Promise.all(
      Array.from({ length: 50 }, async () => (await call(simulator, { stream: true })).text()),
    );
    expect(new Set(simulator.bill.lines.map(({ callId }) => callId)).size).toBe(51);
  });

  test("says who pays and what the caller calls the call, and everything is told as it happens", async () => {
    const events: CallEvent[] = [];
    const simulator = await openSimulator({ onEvent: (event) => events.push(event) });
    const messages = [{ role: "user", content: "hello request=a-1" }];
    await (
      await call(simulator, { messages, stream: true }, { script: { tokenDelayMs: 1, tokensOut: 3 } })
    ).text();
    const [line] = simulator.bill.lines;
    expect(line).toMatchObject({ account: accountOf("Bearer test-key"), reference: "a-1" });
    expect(events.map(({ kind }) => kind)).toEqual(["arrived", "written", "written", "written", "billed"]);
    expect(events.every(({ callId, reference }) => callId === line?.callId && reference === "a-1")).toBe(
      true,
    );
    for (const name of ["x-api-key", "x-goog-api-key"])
      await (await call(simulator, {}, { headers: { authorization: "", [name]: "test-key" } })).text();
    const accounts = simulator.bill.lines.slice(1).map(({ account }) => account);
    expect(accounts).toEqual([accountOf("test-key"), accountOf("test-key")]);
    await (await call(simulator, {}, { headers: { authorization: "" } })).text();
    const [, , , refused] = simulator.bill.lines;
    expect(refused).toMatchObject({ state: "refused" });
    expect(refused).not.toHaveProperty("reference");
  });
});
