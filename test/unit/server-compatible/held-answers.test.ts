import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { CompletionError, type CompletionSink, type Gateway } from "../../../src/core/gateway.ts";
import { startOpenAiServer } from "../../support/openai-server.ts";
import { attemptReport } from "../../support/rpc-server.ts";

/** What is held back, on the wire: the sockets are real, only the interval of the keep-alives is not waited for. */

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

async function rawStream(stream: Gateway["stream"]): Promise<Response> {
  const unused = () => Promise.reject(new Error("not expected"));
  const server = await startOpenAiServer({ complete: unused, embed: unused, models: () => [], stream });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return await fetch(`${server.baseURL}/chat/completions`, {
    method: "POST",
    headers: { authorization: "Bearer any", "content-type": "application/json" },
    body: JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "Hi" }] }),
  });
}

async function says(sink: CompletionSink, text: string): Promise<void> {
  await sink.deltas([{ kind: "text", choiceIndex: 0, text }]);
}

async function beginAnew(sink: CompletionSink): Promise<void> {
  sink.recovery?.expected();
  sink.started("openai", "gpt");
  await says(sink, "half");
  vi.advanceTimersByTime(20_000);
  sink.recovery?.restarted("deepseek", "flash", "PROVIDER_STREAM_CUT");
  await says(sink, "whole");
}

const END = {
  ...{ provider: "deepseek", model: "flash", replayed: false, attempts: [attemptReport()] },
  finishReasons: [{ choiceIndex: 0, finishReason: "stop" as const }],
};

test("an answer that takes its time is announced by comments, and is then the second candidate's alone", async () => {
  const response = await rawStream(async (_call, sink) => {
    await beginAnew(sink);
    return END;
  });
  expect(response.status).toBe(200);
  // Nobody knew yet who would answer in the end.
  expect(response.headers.get("x-llm-gateway-provider")).toBeNull();
  const events = (await response.text()).split("\n\n");
  expect(events.slice(0, 2)).toEqual([": keep-alive", ": keep-alive"]);
  expect(events.join("")).not.toContain("half");
  expect(events.filter((event) => event.includes('"content":"whole"'))).toHaveLength(1);
  expect(events.at(-3)).toMatch(/^: llm_gateway .*"provider":"deepseek"/);
  expect(events.at(-2)).toBe("data: [DONE]");
});

test("an answer that is whole in time has its headers", async () => {
  const response = await rawStream(async (_call, sink) => {
    sink.recovery?.expected();
    sink.started("openai", "gpt");
    await says(sink, "whole");
    return { ...END, provider: "openai", model: "gpt" };
  });
  expect(response.headers.get("x-llm-gateway-provider")).toBe("openai");
  expect(await response.text()).not.toContain("keep-alive");
});

test("a failure after a comment is the last event, with what was spent", async () => {
  const response = await rawStream(async (_call, sink) => {
    await beginAnew(sink);
    throw new CompletionError("PROVIDER_STREAM_CUT", "it was cut", { attempts: [attemptReport()] });
  });
  const text = await response.text();
  expect(text).not.toMatch(/half|whole/);
  expect(text).toMatch(/data: \{"error":\{.*"llm_gateway":\{"request_id":/);
});

test("a failure before it has a status of its own", async () => {
  const response = await rawStream(async (_call, sink) => {
    sink.recovery?.expected();
    sink.started("openai", "gpt");
    await says(sink, "half");
    throw new CompletionError("PROVIDER_STREAM_CUT", "it was cut", { attempts: [attemptReport()] });
  });
  expect(response.status).toBe(503);
  expect(await response.text()).not.toContain("half");
});
