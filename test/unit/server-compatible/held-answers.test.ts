import { afterEach, beforeEach, describe, expect, it, onTestFinished, test, vi } from "vitest";
import { CompletionError, type CompletionSink, type Gateway } from "../../../src/core/gateway.ts";
import { MAX_HELD_BYTES_OF_ALL, type OpenAiServer, startOpenAiServer } from "../../support/openai-server.ts";
import { attemptReport } from "../../support/rpc-server.ts";

/** What is held back, on the wire: the sockets are real, only the interval of the keep-alives is not waited for. */

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

async function startServer(stream: Gateway["stream"]): Promise<OpenAiServer> {
  const unused = () => Promise.reject(new Error("not expected"));
  const server = await startOpenAiServer({ complete: unused, embed: unused, models: () => [], stream });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

async function ask({ baseURL }: OpenAiServer, signal?: AbortSignal): Promise<Response> {
  return await fetch(`${baseURL}/chat/completions`, {
    method: "POST",
    headers: { authorization: "Bearer any", "content-type": "application/json" },
    body: JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "Hi" }] }),
    ...(signal && { signal }),
  });
}

const rawStream = async (stream: Gateway["stream"]) => await ask(await startServer(stream));

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

describe("what is held back", () => {
  /** Of a delta besides its text. */
  const DELTA_BYTES = 64;

  /** A server whose streams hold back "half", and then go on as they are told; each is announced once it holds. */
  async function startHolding(goOn: (sink: CompletionSink, signal: AbortSignal) => Promise<typeof END>) {
    const holding = Promise.withResolvers<void>();
    const proceed = Promise.withResolvers<void>();
    const server = await startServer(async (call, sink) => {
      sink.recovery?.expected();
      sink.started("deepseek", "flash");
      await says(sink, "half");
      holding.resolve();
      await proceed.promise;
      return await goOn(sink, call.signal);
    });
    return { server, holding: holding.promise, proceed: proceed.resolve };
  }

  const cut = () => new CompletionError("PROVIDER_STREAM_CUT", "it was cut", { attempts: [attemptReport()] });

  it.each<[string, number, (sink: CompletionSink) => Promise<typeof END>]>([
    ["is whole", 200, async () => END],
    ["fails", 503, async () => Promise.reject(cut())],
    [
      "begins anew",
      200,
      async (sink) => {
        sink.recovery?.restarted("deepseek", "flash", "PROVIDER_STREAM_CUT");
        await says(sink, "whole");
        return END;
      },
    ],
    [
      "begins anew and fails",
      503,
      async (sink) => {
        sink.recovery?.restarted("deepseek", "flash", "PROVIDER_STREAM_CUT");
        await says(sink, "half");
        throw cut();
      },
    ],
  ])("is given back when the answer %s", async (_, status, goOn) => {
    const { server, holding, proceed } = await startHolding(goOn);
    const asked = ask(server);
    await holding;
    expect(server.heldBytes.current).toBe(DELTA_BYTES + "half".length);
    proceed();
    const response = await asked;
    expect(response.status).toBe(status);
    await response.text();
    expect(server.heldBytes.current).toBe(0);
  });

  it("is given back at once when the caller leaves, though the work goes on", async () => {
    const over = Promise.withResolvers<void>();
    const { server, holding, proceed } = await startHolding(async (sink) => {
      // What is on its way when the call was given up.
      await says(sink, "more");
      over.resolve();
      throw cut();
    });
    const caller = new AbortController();
    const asked = ask(server, caller.signal);
    await holding;
    caller.abort();
    await expect(asked).rejects.toThrow();
    await expect.poll(() => server.heldBytes.current).toBe(0);
    proceed();
    await over.promise;
    expect(server.heldBytes.current).toBe(0);
  });

  it("is passed on when there is no room beside the others, and then begins anew no more", async () => {
    const longest = "x".repeat(MAX_HELD_BYTES_OF_ALL - DELTA_BYTES - "half".length);
    const possible: boolean[] = [];
    const { server, holding, proceed } = await startHolding(async (sink) => {
      await says(sink, longest);
      possible.push(sink.recovery?.possible ?? false);
      throw cut();
    });
    const asked = ask(server);
    await holding;
    proceed();
    const text = await (await asked).text();
    expect(possible).toEqual([false]);
    expect(text).toMatch(/"content":"half".*"content":"x+".*data: \{"error":/s);
    expect(server.heldBytes.current).toBe(0);
  });
});
