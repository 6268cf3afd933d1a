import { request } from "node:http";
import { describe, expect, test } from "vitest";
import type { Simulator } from "../../../simulator/simulator.ts";
import {
  call,
  chunksOf,
  contentOf,
  dataLines,
  openSimulator,
  readAnswer,
  readUntil,
  readUntilBroken,
} from "./calls.ts";

/** Starts a call, waits until the simulator holds it, aborts it, and waits for the bill. */
async function abortWhenHeld(simulator: Simulator, script: unknown, stream: boolean): Promise<void> {
  const abort = new AbortController();
  const answered = call(simulator, { stream }, { script, signal: abort.signal }).then((response) =>
    response.text(),
  );
  const failed = expect(answered).rejects.toThrow();
  while (simulator.requests.recent().length === 0) await new Promise((resolve) => setImmediate(resolve));
  abort.abort();
  await failed;
  await simulator.whenIdle();
}

describe("an error status", () => {
  test("carries the OpenAI body, the retry headers and the scripted fields", async () => {
    const simulator = await openSimulator();
    const script = {
      status: 429,
      errorCode: "slow_down",
      retryAfter: 2,
      retryAfterMs: 1500,
      headers: { "x-extra": "1" },
    };
    const response = await call(simulator, {}, { script });
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("2");
    expect(response.headers.get("retry-after-ms")).toBe("1500");
    expect(response.headers.get("x-extra")).toBe("1");
    expect(await response.json()).toMatchObject({ error: { code: "slow_down", type: "rate_limit_error" } });
    expect(simulator.bill.lines).toMatchObject([
      { state: "refused", tokensIn: 0, tokensOut: 0, model: "sim-model" },
    ]);
  });

  test("may say as a date when to retry", async () => {
    const simulator = await openSimulator();
    const response = await call(simulator, {}, { script: { status: 503, retryAfterDate: 3600 } });
    const waitMs = Date.parse(response.headers.get("retry-after") ?? "") - Date.now();
    expect(waitMs).toBeGreaterThan(3_590_000);
    expect(waitMs).toBeLessThanOrEqual(3_600_000);
  });

  test("of huggingface is a bare message, or an object when the script states a code", async () => {
    const simulator = await openSimulator();
    const path = "/huggingface/v1/chat/completions";
    const bare = await call(simulator, {}, { path, script: { status: 503, errorMessage: "busy" } });
    expect(await bare.json()).toEqual({ error: "busy" });
    const coded = await call(simulator, {}, { path, script: { status: 402, errorCode: "credits" } });
    expect(await coded.json()).toMatchObject({ error: { code: "credits" } });
  });

  test("may have any body and content type", async () => {
    const simulator = await openSimulator();
    const html = await call(simulator, {}, { script: { status: 502, errorBody: "<html>bad</html>" } });
    expect(html.headers.get("content-type")).toBe("text/html");
    expect(await html.text()).toBe("<html>bad</html>");
    const typed = await call(
      simulator,
      {},
      { script: { status: 500, errorBody: "x", contentType: "text/csv" } },
    );
    expect(typed.headers.get("content-type")).toBe("text/csv");
  });
});

describe("a call that never gets an answer", () => {
  test.each([true, false])("hangs before the headers and costs nothing (stream: %j)", async (stream) => {
    const simulator = await openSimulator();
    await abortWhenHeld(simulator, { fault: "hang" }, stream);
    expect(simulator.bill.lines).toMatchObject([
      { state: "interrupted", tokensIn: 0, tokensOut: 0, clientAbortedAfterMs: expect.any(Number) },
    ]);
    expect(simulator.requests.recent()[0]).toMatchObject({
      aborted: true,
      abortedAfterMs: expect.any(Number),
    });
  });

  test("that is aborted during its latency costs nothing", async () => {
    const simulator = await openSimulator();
    await abortWhenHeld(simulator, { latencyMs: 60_000 }, false);
    expect(simulator.bill.lines).toMatchObject([{ state: "interrupted", tokensIn: 0, tokensOut: 0 }]);
  });

  test("hangs after the headers and costs its input", async () => {
    const simulator = await openSimulator();
    for (const stream of [true, false]) {
      const abort = new AbortController();
      const script = { fault: "hangAfterHeaders" };
      const response = await call(simulator, { stream }, { script, signal: abort.signal });
      expect(response.status).toBe(200);
      abort.abort();
      await expect(response.text()).rejects.toThrow();
      await simulator.whenIdle();
    }
    expect(simulator.bill.lines).toMatchObject([
      { state: "interrupted", tokensIn: 3, tokensOut: 0 },
      { state: "interrupted", tokensIn: 3, tokensOut: 0 },
    ]);
  });

  test("is reset before the headers and costs nothing", async () => {
    const simulator = await openSimulator();
    await expect(call(simulator, {}, { script: { fault: "reset" } })).rejects.toMatchObject({
      cause: { code: "ECONNRESET" },
    });
    expect(simulator.bill.lines).toMatchObject([{ state: "interrupted", tokensIn: 0, tokensOut: 0 }]);
    expect(simulator.bill.lines[0]).not.toHaveProperty("clientAbortedAfterMs");
  });

  test("is redirected to another host and costs nothing", async () => {
    const simulator = await openSimulator();
    const script = { fault: "redirect", redirectTo: "http://169.254.169.254/" };
    const response = await call(simulator, {}, { script, redirect: "manual" });
    expect(response.status).toBe(302);
    expect(response.headers.get("location")).toBe("http://169.254.169.254/");
    expect(simulator.bill.lines).toMatchObject([{ state: "refused" }]);
  });
});

describe("a stream that goes wrong in the middle", () => {
  test("is cut after so many tokens, which are billed", async () => {
    const simulator = await openSimulator();
    const response = await call(
      simulator,
      { stream: true },
      { script: { tokensOut: 10, cutAfterTokens: 4 } },
    );
    const { text, broken } = await readUntilBroken(response);
    expect(broken).toBe(true);
    expect(contentOf(chunksOf(text))).toBe("w00 w01 w02 w03 ");
    expect(simulator.bill.lines).toMatchObject([{ state: "interrupted", tokensIn: 3, tokensOut: 4 }]);
  });

  test("stalls after so many tokens until the client leaves", async () => {
    const simulator = await openSimulator();
    const abort = new AbortController();
    const script = { tokensOut: 10, stallAfterTokens: 2 };
    const response = await call(simulator, { stream: true }, { script, signal: abort.signal });
    const reader = response.body?.getReader();
    if (!reader) throw new Error("no body");
    expect(contentOf(chunksOf(await readUntil(reader, (text) => text.includes("w01 "))))).toBe("w00 w01 ");
    abort.abort();
    await simulator.whenIdle();
    expect(simulator.bill.lines).toMatchObject([{ state: "interrupted", tokensOut: 2, tokensIn: 3 }]);
    expect(simulator.bill.lines[0]?.clientAbortedAfterMs).toBe(
      simulator.requests.recent()[0]?.abortedAfterMs,
    );
  });

  test.each([
    ["cleanEnd", undefined],
    ["garbage", "this is not JSON"],
    ["truncatedJson", expect.stringMatching(/^\{"id"/)],
    ["errorEvent", expect.stringContaining('"error":{')],
  ])("ends without finish reason or [DONE] by %s", async (fault, lastLine) => {
    const simulator = await openSimulator();
    const script = { tokensOut: 8, fault, afterTokens: 3 };
    const { text, broken } = await readUntilBroken(await call(simulator, { stream: true }, { script }));
    expect(broken).toBe(false);
    expect(text).not.toContain("[DONE]");
    expect(text).not.toContain('"finish_reason":"stop"}],"usage"');
    const lines = dataLines(text);
    expect(contentOf(lines.slice(0, 4).map((line) => JSON.parse(line)))).toBe("w00 w01 w02 ");
    expect(lines[4]).toEqual(lastLine);
    if (fault === "truncatedJson") expect(() => JSON.parse(lines[4] ?? "")).toThrow();
    expect(simulator.bill.lines).toMatchObject([{ state: "interrupted", tokensIn: 3, tokensOut: 3 }]);
  });

  test("bills hidden reasoning with the first visible token", async () => {
    const simulator = await openSimulator();
    const script = { tokensOut: 10, reasoningTokens: 6, cutAfterTokens: 8 };
    const { text } = await readUntilBroken(await call(simulator, { stream: true }, { script }));
    expect(contentOf(chunksOf(text))).toBe("w00 w01 ");
    expect(simulator.bill.lines).toMatchObject([{ state: "interrupted", tokensOut: 8, reasoningTokens: 6 }]);
  });

  test("bills the tokens of the time until the client left", async () => {
    const simulator = await openSimulator();
    const abort = new AbortController();
    const script = { tokensOut: 1_000, tokenDelayMs: 1 };
    const response = await call(simulator, { stream: true }, { script, signal: abort.signal });
    const reader = response.body?.getReader();
    if (!reader) throw new Error("no body");
    await readUntil(reader, (text) => text.includes("w05 "));
    abort.abort();
    await simulator.whenIdle();
    const [line] = simulator.bill.lines;
    expect(line).toMatchObject({ state: "interrupted", tokensIn: 3 });
    expect(line?.tokensOut).toBeGreaterThanOrEqual(6);
    expect(line?.tokensOut).toBeLessThan(1_000);
  });
});

describe("a stream that is odd but complete", () => {
  const ask = { stream: true, stream_options: { include_usage: true } };

  test.each([
    ["noDone", { done: false, usage: true }],
    ["noUsage", { done: true, usage: false }],
  ])("of fault %s is billed as completed", async (fault, expected) => {
    const simulator = await openSimulator();
    const text = await (await call(simulator, ask, { script: { fault } })).text();
    expect(text.includes("[DONE]")).toBe(expected.done);
    expect(text.includes('"completion_tokens":16')).toBe(expected.usage);
    expect(text).toContain('"finish_reason":"stop"');
    expect(simulator.bill.lines).toMatchObject([{ state: "completed", tokensOut: 16 }]);
  });

  test("with a line of 10 MB in the middle goes on after it", async () => {
    const simulator = await openSimulator();
    const text = await (await call(simulator, ask, { script: { fault: "hugeLine" } })).text();
    expect(text.length).toBeGreaterThan(10_000_000);
    expect(Buffer.byteLength(contentOf(chunksOf(text)))).toBe(64);
    expect(simulator.bill.lines).toMatchObject([{ state: "completed", tokensOut: 16 }]);
  });

  test("begins with keep-alive comments", async () => {
    const simulator = await openSimulator();
    const text = await (
      await call(simulator, ask, { script: { keepAlives: 3, keepAliveIntervalMs: 1 } })
    ).text();
    expect(text.startsWith(": keep-alive\n\n".repeat(3))).toBe(true);
    expect(contentOf(chunksOf(text))).toHaveLength(64);
  });

  test("without choices still states usage", async () => {
    const simulator = await openSimulator();
    const text = await (await call(simulator, ask, { script: { fault: "emptyChoices" } })).text();
    expect(chunksOf(text).every((chunk) => chunk.choices.length === 0)).toBe(true);
    expect(chunksOf(text).at(-1)?.usage).toMatchObject({ completion_tokens: 0 });
  });

  test("states any usage that the script says, and bills the true one", async () => {
    const simulator = await openSimulator();
    const usageOverride = { prompt_tokens: -1, completion_tokens: "NaN" };
    const text = await (await call(simulator, ask, { script: { usageOverride } })).text();
    expect(chunksOf(text).at(-1)?.usage).toEqual(usageOverride);
    expect(simulator.bill.lines).toMatchObject([{ tokensIn: 3, tokensOut: 16 }]);
  });
});

describe.each([true, false])("an answer (stream: %j)", (stream) => {
  test("of several bytes a character is written in pieces that split characters", async () => {
    const simulator = await openSimulator();
    const parts: Buffer[] = [];
    await new Promise<void>((resolve, reject) => {
      const outgoing = request(`${simulator.baseUrl("openai")}/chat/completions`, {
        method: "POST",
        headers: { authorization: "Bearer k", "x-simulator-script": '{"fault":"splitUtf8"}' },
      });
      outgoing.on("response", (response) =>
        response.on("data", (part) => parts.push(part)).on("end", resolve),
      );
      outgoing.on("error", reject);
      outgoing.end(JSON.stringify({ model: "m", stream, messages: [{ role: "user", content: "x" }] }));
    });
    expect(parts.some((part) => part.toString().includes("\ufffd"))).toBe(true);
    const text = Buffer.concat(parts).toString();
    expect(text).not.toContain("\ufffd");
    const content = stream ? contentOf(chunksOf(text)) : JSON.parse(text).choices[0].message.content;
    expect(content).toContain("你好, 🌍");
    expect(simulator.bill.lines).toMatchObject([{ state: "completed" }]);
  });

  test("whose headers come slowly is right in the end", async () => {
    const simulator = await openSimulator();
    const startedAtMs = performance.now();
    const response = await call(
      simulator,
      { stream },
      { script: { fault: "slowHeaders", headerDelayMs: 10 } },
    );
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(40);
    const text = await response.text();
    expect(text).toContain("w0f ");
    expect(simulator.bill.lines).toMatchObject([{ state: "completed", tokensOut: 16 }]);
  });

  test("may be empty with status 200", async () => {
    const simulator = await openSimulator();
    const response = await call(simulator, { stream }, { script: { fault: "emptyBody" } });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("");
    expect(simulator.bill.lines).toMatchObject([{ state: "interrupted", tokensIn: 3, tokensOut: 0 }]);
  });

  test("may be an HTML page with status 200", async () => {
    const simulator = await openSimulator();
    const response = await call(simulator, { stream }, { script: { fault: "html" } });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^text\/html/);
    expect(await response.text()).toContain("<html>");
    expect(simulator.bill.lines).toMatchObject([{ state: "refused" }]);
  });

  test("waits for its latency and its first token", async () => {
    const simulator = await openSimulator();
    const startedAtMs = performance.now();
    await (await call(simulator, { stream }, { script: { latencyMs: 40, firstTokenDelayMs: 40 } })).text();
    // Timers may fire up to a millisecond early.
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(78);
    expect(simulator.bill.lines).toMatchObject([{ state: "completed" }]);
  });
});

describe("a unary answer that goes wrong", () => {
  test.each([
    ["truncatedJson", false],
    ["cleanEnd", false],
    ["garbage", false],
    ["cut", true],
  ])("by %s is no JSON and is billed as interrupted", async (fault, isBroken) => {
    const simulator = await openSimulator();
    const { text, broken } = await readUntilBroken(
      await call(simulator, {}, { script: { fault, afterTokens: 5 } }),
    );
    expect(broken).toBe(isBroken);
    expect(text).not.toBe("");
    expect(() => JSON.parse(text)).toThrow();
    expect(simulator.bill.lines).toMatchObject([{ state: "interrupted", tokensIn: 3, tokensOut: 5 }]);
  });

  test("may be an error object with status 200", async () => {
    const simulator = await openSimulator();
    const response = await call(
      simulator,
      {},
      { script: { fault: "errorEvent", errorCode: "server_error" } },
    );
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ error: { code: "server_error" } });
  });

  test("may lack choices or usage, or be 10 MB long", async () => {
    const simulator = await openSimulator();
    expect(
      (await readAnswer(await call(simulator, {}, { script: { fault: "emptyChoices" } }))).choices,
    ).toEqual([]);
    expect(
      (await readAnswer(await call(simulator, {}, { script: { fault: "noUsage" } }))).usage,
    ).toBeUndefined();
    const huge = await (await call(simulator, {}, { script: { fault: "hugeLine" } })).text();
    expect(huge.length).toBeGreaterThan(10_000_000);
    expect(simulator.bill.lines.map((line) => line.state)).toEqual(["completed", "completed", "completed"]);
  });

  test("has empty lines before it as keep-alives", async () => {
    const simulator = await openSimulator();
    const text = await (await call(simulator, {}, { script: { keepAlives: 2 } })).text();
    expect(text.startsWith("\n\n{")).toBe(true);
    expect(JSON.parse(text)).toMatchObject({ object: "chat.completion" });
  });

  test("stalls in the body until the client leaves", async () => {
    const simulator = await openSimulator();
    const abort = new AbortController();
    const script = { fault: "stall", afterTokens: 7 };
    const response = await call(simulator, {}, { script, signal: abort.signal });
    abort.abort();
    await expect(response.text()).rejects.toThrow();
    await simulator.whenIdle();
    expect(simulator.bill.lines).toMatchObject([{ state: "interrupted", tokensOut: 7 }]);
  });
});

test("closing the simulator ends calls in progress and bills them", async () => {
  const simulator = await openSimulator();
  const script = { stallAfterTokens: 1 };
  const response = await call(simulator, { stream: true }, { script });
  const body = readUntilBroken(response);
  await simulator.close();
  expect((await body).broken).toBe(true);
  expect(simulator.bill.lines).toMatchObject([{ state: "interrupted", tokensOut: 1 }]);
});
