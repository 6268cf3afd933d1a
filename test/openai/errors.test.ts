import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import type { Script } from "../../simulator/script.ts";
import { expectAbortFollowed } from "../support/expect-abort.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { question, useOpenAiBench, user } from "../support/openai-bench.ts";

/** What goes wrong reaches the caller as the official client's own error, and is repeated only where that may help. */

const bench = useOpenAiBench({ PROVIDER_TIMEOUT: "2", STREAM_IDLE_TIMEOUT: "1" });
const MODEL = "openai/sim-model";

/** A model of its own for each failure: one that failed too often is not asked again. */
let failing = 0;
const failingModel = () => `openai/failing-${++failing}`;

type Body = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> & Record<string, unknown>;

function ask(client: OpenAI, body: Body, options: OpenAI.RequestOptions = {}) {
  return client.chat.completions.create(
    {
      model: MODEL,
      messages: [user(question().text)],
      ...body,
    } as OpenAI.ChatCompletionCreateParamsNonStreaming,
    options,
  );
}

async function errorOf(work: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof OpenAI.APIError) return error;
  throw error ?? new Error("expected an error");
}

describe("a request that the gateway refuses", () => {
  const cases: readonly (readonly [
    string,
    Body,
    Partial<Record<"status" | "code" | "param" | "type", unknown>>,
  ])[] = [
    ["without a model", { model: "" }, { status: 400, param: "model" }],
    [
      "for a model that no provider has",
      { model: "no-such" },
      { status: 404, code: "model_not_found", param: "model" },
    ],
    ["without messages", { messages: [] }, { status: 400, param: "messages" }],
    ["with a tag that does not fit", { metadata: { "a b": "c" } }, { status: 400, param: "metadata" }],
    [
      "with too many tags",
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`t${n}`, ""])) },
      { status: 400, param: "metadata" },
    ],
    ["with fallbacks that are no names", { fallback_models: [1] }, { status: 400, param: "fallback_models" }],
    ["with an end user of half a page", { user: "u".repeat(129) }, { status: 400, param: "user" }],
  ];
  it.each(cases)("%s is told what is wrong with it", async (_, body, expected) => {
    const error = await errorOf(ask(bench().client(), body));
    expect(error).toMatchObject(expected);
    expect(error.type).toBe("invalid_request_error");
    expect(error.headers?.get("x-should-retry")).toBe("false");
  });

  it("without a valid key is an authentication error", async () => {
    const error = await errorOf(ask(bench().client({ apiKey: "gw_live_none" }), {}));
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(error).toMatchObject({ status: 401, code: "invalid_api_key" });
  });

  it("with a key that may not do it is a permission error", async () => {
    const other = await bench().createKey({ allowedModels: ["deepseek/sim-model"] });
    const error = await errorOf(ask(bench().client({ apiKey: other.secret }), {}));
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect(error).toMatchObject({ status: 403, code: "model_not_found", param: "model" });
  });

  it("above the limits of its key is a rate limit error, with the wait", async () => {
    const limited = await bench().createKey({ limits: { requestsPerMinute: 1 } });
    const client = bench().client({ apiKey: limited.secret, maxRetries: 0 });
    await ask(client, {});
    const error = await errorOf(ask(client, {}));
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect(error).toMatchObject({ code: "rate_limit_exceeded", type: "rate_limit_error" });
    const header = (name: string) => error.headers?.get(name);
    expect(header("x-should-retry")).toBe("true");
    expect(Number(header("retry-after-ms"))).toBeGreaterThan(0);
    expect(Number(header("retry-after"))).toBe(Math.ceil(Number(header("retry-after-ms")) / 1000));
    expect(header("x-ratelimit-remaining-requests")).toBe("0");
  });

  it("that is larger than the whole limit of its key is not repeated", async () => {
    const limited = await bench().createKey({ limits: { tokensPerMinute: 10n } });
    const error = await errorOf(ask(bench().client({ apiKey: limited.secret }), { max_tokens: 500 }));
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect(error.headers?.get("x-should-retry")).toBe("false");
  });

  it.each([
    ["that is not JSON", "{", 400],
    ["that is no object", "[]", 400],
    ["that is not UTF-8", Buffer.from([0x7b, 0xff, 0x7d]), 400],
    ["that is larger than the limit", Buffer.alloc(17 * 1024 * 1024, 32), 413],
  ])("%s is told so", async (_, body, status) => {
    const response = await fetch(`${bench().baseURL}/chat/completions`, {
      ...{ method: "POST", headers: { authorization: `Bearer ${bench().key.secret}` }, body },
    });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({
      error: { type: "invalid_request_error", message: expect.any(String), param: null },
    });
  });

  it("for what there is not, or not in this way, is told in the same form", async () => {
    const missing = await errorOf(bench().client().images.generate({ prompt: "A dot" }));
    expect(missing).toBeInstanceOf(OpenAI.NotFoundError);
    const headers = { authorization: `Bearer ${bench().key.secret}` };
    const response = await fetch(`${bench().baseURL}/chat/completions`, { headers });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
  });
});

describe("a failure of the provider", () => {
  const code = (errorCode: string, errorType = "invalid_request_error"): Script => ({ errorCode, errorType });
  const cases: readonly (readonly [
    Script,
    Partial<Record<"status" | "code" | "type" | "param", unknown>>,
    boolean,
  ])[] = [
    [{ status: 400, ...code("invalid_value") }, { status: 400, code: "invalid_value" }, false],
    [
      { status: 400, ...code("context_length_exceeded") },
      { status: 400, code: "context_length_exceeded", param: "messages" },
      false,
    ],
    [{ status: 400, ...code("content_filter") }, { status: 400, code: "content_filter" }, false],
    [{ status: 401 }, { status: 503, code: "provider_authentication" }, false],
    [{ status: 404 }, { status: 404, code: "model_not_found" }, false],
    [{ status: 429, retryAfterMs: 20_000 }, { status: 429, code: "rate_limit_exceeded" }, true],
    [
      { status: 429, ...code("insufficient_quota", "insufficient_quota") },
      { status: 429, code: "insufficient_quota", type: "insufficient_quota" },
      false,
    ],
    [{ status: 503 }, { status: 503, code: "server_is_overloaded" }, true],
    [{ fault: "hang" }, { status: 504, code: "provider_timeout" }, true],
    [{ fault: "garbage" }, { status: 503, code: "provider_bad_response" }, true],
  ];
  it.each(cases)("%j is %j", async (script, expected, retryable) => {
    const { text } = question(script);
    const body = { model: failingModel(), messages: [user(text)] };
    const error = await errorOf(ask(bench().client({ maxRetries: 0 }), body));
    expect(error).toMatchObject(expected);
    expect(error.headers?.get("x-should-retry")).toBe(String(retryable));
    expect(Number(error.headers?.get("x-llm-gateway-attempts"))).toBeGreaterThan(0);
    expect(error.requestID).toBeTruthy();
  });

  it("keeps what it says of the caller's mistake", async () => {
    const { text } = question({ status: 400, errorMessage: "Unsupported value: 'temperature'." });
    const error = await errorOf(ask(bench().client(), { messages: [user(text)] }));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.message).toContain("Unsupported value: 'temperature'.");
    const wrong = await errorOf(
      ask(bench().client(), { messages: [{ role: "nobody", content: "" }] as never }),
    );
    expect(wrong).toMatchObject({ status: 400, param: "messages[0].role" });
  });
});

it("the client repeats what may be repeated, after the wait that it is told, and pays once", async () => {
  const limited = await bench().createKey({ limits: { maxConcurrent: 1 } });
  const client = bench().client({ apiKey: limited.secret, maxRetries: 3 });
  const slow = question({ latencyMs: 700 });
  const running = ask(client, { messages: [user(slow.text)] });
  await expect.poll(() => bench().requestsOf(slow.marker).length, { interval: 5 }).toBe(1);
  const second = question();
  const answer = await ask(client, { messages: [user(second.text)] });
  expect(answer.choices).toHaveLength(1);
  await running;
  expect(bench().requestsOf(second.marker)).toHaveLength(1);
});

describe("an abort of the client", () => {
  it.each([false, true])(
    "closes the provider's connection within 250 ms and is on the ledger (stream: %s)",
    async (stream) => {
      const { marker, text } = question({ tokensOut: 500, tokenDelayMs: 20 });
      const body = { model: MODEL, messages: [user(text)], stream };
      await expectAbortFollowed(bench(), { marker, stream }, (signal) =>
        bench().client().chat.completions.create(body, { signal }),
      );
    },
  );
});

describe("a deadline", () => {
  it("is the client's own timeout", async () => {
    const { text } = question({ latencyMs: 10_000 });
    const startedAt = performance.now();
    // The client itself would wait longer: what ends the call is what it told the gateway.
    const response = await fetch(`${bench().baseURL}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${bench().key.secret}`, "x-stainless-timeout": "1" },
      body: JSON.stringify({ model: MODEL, messages: [user(text)] }),
    });
    expect(performance.now() - startedAt).toBeLessThan(1_050 + MACHINE_NOISE_MS);
    expect(response.status).toBe(504);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(await response.json()).toMatchObject({
      error: { code: "deadline_exceeded", type: "timeout_error" },
    });
  });

  it("can be stated in milliseconds, of a stream, too", async () => {
    const { text } = question({ tokensOut: 200, tokenDelayMs: 20 });
    const stream = await bench()
      .client()
      .chat.completions.create(
        { model: MODEL, messages: [user(text)], stream: true },
        { headers: { "x-llm-gateway-timeout-ms": "500" } },
      );
    const startedAt = performance.now();
    const error = await errorOf(
      (async () => {
        for await (const _ of stream);
      })(),
    );
    expect(error.code).toBe("deadline_exceeded");
    expect(performance.now() - startedAt).toBeLessThan(600 + MACHINE_NOISE_MS);
  });

  it("that is malformed is refused", async () => {
    const headers = { "x-llm-gateway-timeout-ms": "soon" };
    expect(await errorOf(ask(bench().client(), {}, { headers }))).toMatchObject({ status: 400 });
  });

  it("of a stream is not what the client waits for its head", async () => {
    const { text } = question({ tokensOut: 60, tokenDelayMs: 20 });
    const response = await fetch(`${bench().baseURL}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${bench().key.secret}`, "x-stainless-timeout": "1" },
      body: JSON.stringify({ model: MODEL, messages: [user(text)], stream: true }),
    });
    expect((await response.text()).endsWith("data: [DONE]\n\n")).toBe(true);
  });
});

describe("a stream that fails in the middle", () => {
  it.each<readonly [Script, string]>([
    [{ cutAfterTokens: 3 }, "provider_stream_cut"],
    [{ fault: "cleanEnd", afterTokens: 3 }, "provider_stream_cut"],
    [{ stallAfterTokens: 3 }, "provider_timeout"],
    [{ fault: "errorEvent", afterTokens: 3 }, "provider_error"],
  ])("%j throws in the client's loop, after what there was", async (script, expected) => {
    const { text } = question({ tokensOut: 8, tokenDelayMs: 5, ...script });
    const stream = await bench()
      .client()
      .chat.completions.create({ model: failingModel(), messages: [user(text)], stream: true });
    let tokens = 0;
    const error = await errorOf(
      (async () => {
        for await (const { choices } of stream) if (choices[0]?.delta.content) tokens += 1;
      })(),
    );
    expect(tokens).toBe(3);
    expect(error.code).toBe(expected);
  });

  it("ends with the error and what it cost, without [DONE]", async () => {
    const { text } = question({ tokensOut: 8, tokenDelayMs: 5, cutAfterTokens: 3 });
    const response = await fetch(`${bench().baseURL}/chat/completions`, {
      ...{ method: "POST", headers: { authorization: `Bearer ${bench().key.secret}` } },
      body: JSON.stringify({ model: MODEL, messages: [user(text)], stream: true }),
    });
    const events = (await response.text()).trimEnd().split("\n\n");
    const last = JSON.parse(events.at(-1)?.slice("data: ".length) ?? "");
    expect(last).toMatchObject({
      error: { type: "server_error", code: "provider_stream_cut", param: null },
      llm_gateway: { attempts: [{ outcome: "failed" }], cost_estimated: true },
    });
  });
});
