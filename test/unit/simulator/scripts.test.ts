import { describe, expect, test } from "vitest";
import { findScriptsInText, splitModelName } from "../../../simulator/embedded-script.ts";
import { parseScript, ScriptError } from "../../../simulator/script.ts";
import { ScriptBook } from "../../../simulator/script-book.ts";
import { call, openSimulator, readAnswer, readError } from "./calls.ts";

const message = (text: string) => ({ messages: [{ role: "user", content: text }] });
const sources = {
  personality: "openai",
  model: "m",
  modelSuffix: undefined,
  lastUserText: "",
  header: undefined,
};

describe("a script", () => {
  test.each([
    ["with an unknown field", { tokenOut: 3 }],
    ["with a negative delay", { latencyMs: -1 }],
    ["with a fault that does not exist", { fault: "explode" }],
    ["with a fraction of a token", { tokensOut: 1.5 }],
    ["with a success as its status", { status: 200 }],
    ["that is no object", [1]],
  ])("%s is not accepted", (_, value) => {
    expect(() => parseScript(value)).toThrow(ScriptError);
  });

  test("turns the short forms of stall and cut into a fault", () => {
    expect(parseScript({ cutAfterTokens: 3 })).toMatchObject({ fault: "cut", afterTokens: 3 });
    expect(parseScript({ stallAfterTokens: 0 })).toMatchObject({ fault: "stall", afterTokens: 0 });
  });

  test.each([
    ["cached tokens beyond the input", { tokensIn: 5, cachedTokensIn: 6 }],
    ["reasoning beyond the output", { tokensOut: 5, reasoningTokens: 6 }],
    ["an unknown directive", { nonsense: 1 }],
  ])("with %s is answered 400 with the reason", async (_, script) => {
    const simulator = await openSimulator();
    const response = await call(simulator, {}, { script });
    expect(response.status).toBe(400);
    expect((await readError(response)).error.message).toMatch(/^simulator: /);
  });
});

describe("a directive in the last user message", () => {
  test("is found among text, also when its JSON holds closing brackets", () => {
    const found = findScriptsInText(
      'Hi [[sim {"text":"a]] b"}]] and [[sim:deepseek {"usageOverride":[[1]]}]] bye',
    );
    expect(found).toEqual([
      { personality: undefined, script: { text: "a]] b" } },
      { personality: "deepseek", script: { usageOverride: [[1]] } },
    ]);
  });

  test("that does not end or is no JSON is an error", () => {
    expect(() => findScriptsInText('[[sim {"text":"a"}')).toThrow(ScriptError);
    expect(() => findScriptsInText("[[sim {text}]]")).toThrow(ScriptError);
  });

  test("applies only to the personality that it names", async () => {
    const simulator = await openSimulator();
    const body = message('Hello [[sim:openai {"status":503}]] [[sim:deepseek {"tokensOut":2}]]');
    expect((await call(simulator, body)).status).toBe(503);
    const deepseek = await call(simulator, body, { path: "/deepseek/chat/completions" });
    expect((await readAnswer(deepseek)).choices[0]?.message.content).toBe("w00 w01 ");
  });

  test("with times is used up by calls with the same message, each personality by itself", async () => {
    const simulator = await openSimulator();
    const body = message('Request 17 [[sim {"status":500,"times":2}]]');
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 3; attempt += 1) statuses.push((await call(simulator, body)).status);
    expect(statuses).toEqual([500, 500, 200]);
    expect((await call(simulator, body, { path: "/deepseek/chat/completions" })).status).toBe(500);
    expect((await call(simulator, message('Request 18 [[sim {"status":500,"times":2}]]'))).status).toBe(500);
  });

  test("in an earlier message or of another role does nothing", async () => {
    const simulator = await openSimulator();
    const messages = [
      { role: "user", content: '[[sim {"status":500}]]' },
      { role: "assistant", content: '[[sim {"status":501}]]' },
      { role: "user", content: "go on" },
    ];
    expect((await call(simulator, { messages })).status).toBe(200);
  });
});

describe("a suffix of the model name", () => {
  test("is a script whose values are JSON or text", () => {
    expect(splitModelName("org/m:p;status=503;retryAfter=1;errorMessage=too busy")).toEqual({
      model: "org/m:p",
      script: { status: 503, retryAfter: 1, errorMessage: "too busy" },
    });
    expect(splitModelName("plain")).toEqual({ model: "plain", script: undefined });
    expect(() => splitModelName("m;stall")).toThrow(ScriptError);
  });

  test("appears neither in the answer nor on the bill", async () => {
    const simulator = await openSimulator();
    const answer = await readAnswer(await call(simulator, { model: "sim-model;tokensOut=2" }));
    expect(answer).toMatchObject({ model: "sim-model", usage: { completion_tokens: 2 } });
    expect(simulator.bill.lines).toMatchObject([{ model: "sim-model", tokensOut: 2 }]);
  });
});

describe("the script book", () => {
  test("gives the base script itself when nothing else applies", () => {
    const base = { tokensOut: 3 };
    expect(new ScriptBook(base).take(sources)).toBe(base);
  });

  test("uses up queued entries in order and then goes on with the latest lasting one that matches", () => {
    const book = new ScriptBook();
    book.set({ script: { tokensOut: 1 } });
    book.set({ personality: "openai", script: { tokensOut: 2 } });
    book.set({ personality: "deepseek", script: { tokensOut: 3 } });
    book.set({ script: { status: 500 }, times: 2 });
    book.set({ model: "m", script: { status: 501 }, times: 1 });
    const taken = Array.from({ length: 5 }, () => book.take(sources));
    expect(taken).toEqual([
      { status: 500 },
      { status: 500 },
      { status: 501 },
      { tokensOut: 2 },
      { tokensOut: 2 },
    ]);
    expect(book.take({ ...sources, personality: "huggingface" })).toEqual({ tokensOut: 1 });
    book.clear();
    expect(book.take(sources)).toEqual({});
  });

  test("lets the nearer source win field by field: base, entry, model suffix, message, header", () => {
    const book = new ScriptBook({ tokensIn: 1, tokensOut: 1, latencyMs: 1, text: "1", retryAfter: 1 });
    book.set({ script: { tokensOut: 2, latencyMs: 2, text: "2", retryAfter: 2 } });
    const script = book.take({
      ...sources,
      modelSuffix: { latencyMs: 3, text: "3", retryAfter: 3 },
      lastUserText: '[[sim {"text":"4","retryAfter":4}]]',
      header: '{"retryAfter":5}',
    });
    expect(script).toEqual({ tokensIn: 1, tokensOut: 2, latencyMs: 3, text: "4", retryAfter: 5 });
  });
});
