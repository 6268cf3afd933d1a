import Anthropic from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import type { PersonalityName } from "../../simulator/personalities.ts";
import type { Script } from "../../simulator/script.ts";
import { useAnthropicBench } from "../support/anthropic-bench.ts";
import { expectAbortFollowed } from "../support/expect-abort.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { question, user } from "../support/openai-bench.ts";

/** What goes wrong reaches the caller as the official client's own error, and is repeated only where that may help. */

const bench = useAnthropicBench({ PROVIDER_TIMEOUT: "2", STREAM_IDLE_TIMEOUT: "1" });
const MODEL = "anthropic/sim-model";
const PROVIDERS = ["anthropic", "openai"] as const;

/** A model of its own for each failure: one that failed too often is not asked again. */
let failing = 0;
const failingModel = (provider: PersonalityName) => `${provider}/failing-${++failing}`;

type Body = Partial<Anthropic.MessageCreateParamsNonStreaming> & Record<string, unknown>;

function ask(client: Anthropic, body: Body, options: Anthropic.RequestOptions = {}) {
  const usual = { model: MODEL, max_tokens: 100, messages: [user(question({}, "anthropic").text)] };
  return client.messages.create({ ...usual, ...body } as Anthropic.MessageCreateParamsNonStreaming, options);
}

async function errorOf(work: Promise<unknown>): Promise<InstanceType<typeof Anthropic.APIError>> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Anthropic.APIError) return error;
  throw error ?? new Error("expected an error");
}

describe("a request that the gateway refuses", () => {
  const cases: readonly (readonly [string, Body, number, string, string])[] = [
    ["without a model", { model: "" }, 400, "invalid_request_error", "model"],
    ["for a model that no provider has", { model: "no-such" }, 404, "not_found_error", "no-such"],
    ["without messages", { messages: [] }, 400, "invalid_request_error", "messages"],
    ["with a tag that does not fit", { tags: { "a b": "c" } }, 400, "invalid_request_error", "tags"],
    [
      "with fallbacks that are no names",
      { fallback_models: [1] },
      ...([400, "invalid_request_error", "fallback_models"] as const),
    ],
    [
      "with a user id that is no text",
      { metadata: { user_id: 7 as unknown as string } },
      ...([400, "invalid_request_error", "metadata.user_id"] as const),
    ],
  ];
  it.each(cases)("%s is told what is wrong with it", async (_, body, status, type, word) => {
    const error = await errorOf(ask(bench().client(), body));
    expect(error).toMatchObject({ status, type });
    expect(error.apiMessage).toContain(word);
    expect(error.headers?.get("x-should-retry")).toBe("false");
    expect(error.requestID).toBe(error.headers?.get("x-request-id"));
    expect(error.error).toMatchObject({ type: "error", request_id: error.requestID });
  });

  it("without a valid key is an authentication error", async () => {
    const error = await errorOf(ask(bench().client({ apiKey: "gw_live_none" }), {}));
    expect(error).toBeInstanceOf(Anthropic.AuthenticationError);
    expect(error.type).toBe("authentication_error");
  });

  it("with a key that may not do it is a permission error", async () => {
    const other = await bench().createKey({ allowedModels: ["deepseek/sim-model"] });
    const error = await errorOf(ask(bench().client({ apiKey: other.secret }), {}));
    expect(error).toBeInstanceOf(Anthropic.PermissionDeniedError);
    expect(error.type).toBe("permission_error");
  });

  it("above the limits of its key is a rate limit error, with the wait", async () => {
    const limited = await bench().createKey({ limits: { requestsPerMinute: 1 } });
    const client = bench().client({ apiKey: limited.secret, maxRetries: 0 });
    await ask(client, {});
    const error = await errorOf(ask(client, {}));
    expect(error).toBeInstanceOf(Anthropic.RateLimitError);
    expect(error.type).toBe("rate_limit_error");
    const header = (name: string) => error.headers?.get(name);
    expect(header("x-should-retry")).toBe("true");
    expect(Number(header("retry-after-ms"))).toBeGreaterThan(0);
    expect(header("anthropic-ratelimit-requests-remaining")).toBe("0");
    expect(Date.parse(header("anthropic-ratelimit-requests-reset") ?? "")).toBeGreaterThan(
      Date.now() - 1_000,
    );
  });

  it.each([
    ["that is not JSON", "{", 400, "invalid_request_error"],
    ["that is no object", "[]", 400, "invalid_request_error"],
    ["that is not UTF-8", Buffer.from([0x7b, 0xff, 0x7d]), 400, "invalid_request_error"],
    ["that is larger than the limit", Buffer.alloc(17 * 1024 * 1024, 32), 413, "request_too_large"],
  ])("%s is told so", async (_, body, status, type) => {
    const response = await bench().post(body);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({
      ...{ type: "error", error: { type, message: expect.any(String) } },
      request_id: response.headers.get("request-id"),
    });
  });

  it("for what there is not, or not in this way, is told in the same form", async () => {
    const counted = await errorOf(
      bench()
        .client()
        .messages.countTokens({ model: MODEL, messages: [user("Hi")] }),
    );
    expect(counted).toBeInstanceOf(Anthropic.NotFoundError);
    expect(counted).toMatchObject({ type: "not_found_error", requestID: expect.any(String) });
    const batches = await errorOf(bench().client().messages.batches.retrieve("batch_1"));
    expect(batches.type).toBe("not_found_error");
    const files = await errorOf(bench().client().beta.files.retrieveMetadata("file_1"));
    expect(files.type).toBe("not_found_error");
    const response = await fetch(`${bench().url}/v1/messages`);
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
  });
});

describe.each(PROVIDERS)("a failure of a provider of %s's dialect", (provider) => {
  const cases: readonly (readonly [Script, number, string, boolean])[] = [
    [{ status: 400 }, 400, "invalid_request_error", false],
    [{ status: 401 }, 503, "api_error", false],
    [{ status: 402 }, 402, "billing_error", false],
    [{ status: 404 }, 404, "not_found_error", false],
    [{ status: 413 }, provider === "anthropic" ? 413 : 400, "", false],
    [{ status: 429, retryAfterMs: 20_000 }, 429, "rate_limit_error", true],
    [{ status: 500 }, 503, "api_error", true],
    [{ status: 529 }, 529, "overloaded_error", true],
    [{ fault: "hang" }, 504, "timeout_error", true],
    [{ fault: "garbage" }, 503, "api_error", true],
  ];
  it.each(cases)("%j is a %i", async (script, status, type, retryable) => {
    const { text } = question(script, provider);
    const body = { model: failingModel(provider), messages: [user(text)] };
    const error = await errorOf(ask(bench().client({ maxRetries: 0 }), body));
    expect(error.status).toBe(status);
    if (type !== "") expect(error.type).toBe(type);
    expect(error.headers?.get("x-should-retry")).toBe(String(retryable));
    expect(Number(error.headers?.get("x-llm-gateway-attempts"))).toBeGreaterThan(0);
  });
});

it("the client repeats what may be repeated, after the wait that it is told, and pays once", async () => {
  const limited = await bench().createKey({ limits: { maxConcurrent: 1 } });
  const client = bench().client({ apiKey: limited.secret, maxRetries: 3 });
  const slow = question({ latencyMs: 700 }, "anthropic");
  const running = ask(client, { messages: [user(slow.text)] });
  await expect.poll(() => bench().requestsOf(slow.marker).length, { interval: 5 }).toBe(1);
  const second = question({}, "anthropic");
  const answer = await ask(client, { messages: [user(second.text)] });
  expect(answer.content).toHaveLength(1);
  await running;
  expect(bench().requestsOf(second.marker)).toHaveLength(1);
});

describe("an abort of the client", () => {
  it.each([false, true])(
    "closes the provider's connection within 250 ms and is on the ledger (stream: %s)",
    async (stream) => {
      const { marker, text } = question({ tokensOut: 500, tokenDelayMs: 20 }, "anthropic");
      const body = { model: MODEL, max_tokens: 1_000, messages: [user(text)], stream };
      await expectAbortFollowed(bench(), { marker, stream }, (signal) =>
        bench().client().messages.create(body, { signal }),
      );
    },
  );
});

describe("a deadline", () => {
  it("is the client's own timeout", async () => {
    const { text } = question({ latencyMs: 10_000 }, "anthropic");
    const body = { model: MODEL, max_tokens: 9, messages: [user(text)] };
    const startedAt = performance.now();
    // The client itself would wait longer: what ends the call is what it told the gateway.
    const response = await bench().post(body, { "x-stainless-timeout": "1" });
    expect(performance.now() - startedAt).toBeLessThan(1_050 + MACHINE_NOISE_MS);
    expect(response.status).toBe(504);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(await response.json()).toMatchObject({ error: { type: "timeout_error" } });
  });

  it("can be stated in milliseconds, of a stream, too", async () => {
    const { text } = question({ tokensOut: 200, tokenDelayMs: 20 }, "anthropic");
    const startedAt = performance.now();
    const stream = bench()
      .client()
      .messages.stream(
        { model: MODEL, max_tokens: 500, messages: [user(text)] },
        { headers: { "x-llm-gateway-timeout-ms": "500" } },
      );
    const error = await errorOf(stream.finalMessage());
    expect(error.type).toBe("timeout_error");
    expect(performance.now() - startedAt).toBeLessThan(600 + MACHINE_NOISE_MS);
  });
});

describe.each(PROVIDERS)("a stream of %s's dialect that fails in the middle", (provider) => {
  it.each<readonly [Script, string]>([
    [{ cutAfterTokens: 3 }, "api_error"],
    [{ fault: "cleanEnd", afterTokens: 3 }, "api_error"],
    [{ stallAfterTokens: 3 }, "timeout_error"],
    [{ fault: "errorEvent", afterTokens: 3 }, "api_error"],
  ])("%j throws in the client's loop, after what there was", async (script, type) => {
    const { text } = question({ tokensOut: 8, tokenDelayMs: 5, ...script }, provider);
    const stream = await bench()
      .client()
      .messages.create({
        ...{ model: failingModel(provider), max_tokens: 100, messages: [user(text)], stream: true },
      });
    let tokens = 0;
    const error = await errorOf(
      (async () => {
        for await (const event of stream) if (event.type === "content_block_delta") tokens += 1;
      })(),
    );
    expect(tokens).toBe(3);
    expect(error.type).toBe(type);
  });

  it("ends with the error and what it cost, without message_stop", async () => {
    const { text } = question({ tokensOut: 8, tokenDelayMs: 5, cutAfterTokens: 3 }, provider);
    const body = { model: `${provider}/sim-model`, max_tokens: 9, messages: [user(text)], stream: true };
    const response = await bench().post(body);
    const events = (await response.text()).trimEnd().split("\n\n");
    const [name, data] = events.at(-1)?.split("\n") ?? [];
    expect(name).toBe("event: error");
    expect(JSON.parse(data?.slice("data: ".length) ?? "")).toMatchObject({
      ...{ type: "error", error: { type: "api_error" }, request_id: response.headers.get("request-id") },
      llm_gateway: { attempts: [{ outcome: "failed" }], cost_estimated: true },
    });
    expect(events.join()).not.toContain("message_stop");
  });
});
