import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import type { Script } from "../../simulator/script.ts";
import { expectAbortFollowed } from "../support/expect-abort.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { question, useOpenAiBench } from "../support/openai-bench.ts";

/** What goes wrong with responses reaches the caller as the official client's own error. */

const bench = useOpenAiBench({ PROVIDER_TIMEOUT: "2", STREAM_IDLE_TIMEOUT: "1" });
const MODEL = "openai/sim-model";

/** A model of its own for each failure: one that failed too often is not asked again. */
let failing = 0;
const failingModel = () => `openai/failing-${++failing}`;

type Body = Record<string, unknown>;

function ask(client: OpenAI, body: Body, options: OpenAI.RequestOptions = {}) {
  const asked = { model: MODEL, input: question().text, ...body };
  return client.responses.create(asked as OpenAI.Responses.ResponseCreateParamsNonStreaming, options);
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
  const cases: readonly (readonly [string, Body, object])[] = [
    ["without a model", { model: "" }, { status: 400, param: "model" }],
    ["for a model that no provider has", { model: "no-such" }, { status: 404, code: "model_not_found" }],
    ["to be answered in the background", { background: true }, { status: 400, param: "background" }],
    ["with a tag that does not fit", { metadata: { "a b": "c" } }, { status: 400, param: "metadata" }],
    ["with an end user of half a page", { user: "u".repeat(129) }, { status: 400, param: "user" }],
  ];
  it.each(cases)("%s is told what is wrong with it", async (_, body, expected) => {
    const error = await errorOf(ask(bench().client(), body));
    expect(error).toMatchObject(expected);
    expect(error.type).toBe("invalid_request_error");
    expect(error.headers?.get("x-should-retry")).toBe("false");
  });

  it("with a key that may not do it, or with none, is told so", async () => {
    const other = await bench().createKey({ allowedModels: ["deepseek/sim-model"] });
    const forbidden = await errorOf(ask(bench().client({ apiKey: other.secret }), {}));
    expect(forbidden).toBeInstanceOf(OpenAI.PermissionDeniedError);
    const unknown = await errorOf(ask(bench().client({ apiKey: "gw_live_none" }), {}));
    expect(unknown).toBeInstanceOf(OpenAI.AuthenticationError);
  });

  it("above the limits of its key is a rate limit error; the output that it allows is a part of them", async () => {
    const limited = await bench().createKey({ limits: { tokensPerMinute: 1_000n } });
    const client = bench().client({ apiKey: limited.secret, maxRetries: 0 });
    await ask(client, {});
    const error = await errorOf(ask(client, { max_output_tokens: 970 }));
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect(error.headers?.get("x-ratelimit-limit-tokens")).toBe("1000");
  });

  it.each([
    ["retrieve", (client: OpenAI) => client.responses.retrieve("resp_1")],
    ["delete", (client: OpenAI) => client.responses.delete("resp_1")],
    ["cancel", (client: OpenAI) => client.responses.cancel("resp_1")],
    ["inputItems", async (client: OpenAI) => client.responses.inputItems.list("resp_1")],
    ["inputTokens", (client: OpenAI) => client.responses.inputTokens.count({ model: MODEL, input: "Hi" })],
  ])("that is about a kept response (%s) is told that the gateway keeps none", async (_, call) => {
    const error = await errorOf(call(bench().client()));
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect(error).toMatchObject({ type: "invalid_request_error", param: null });
    expect(error.message).toContain("Responses are kept by the provider");
    expect(error.headers?.get("x-should-retry")).toBe("false");
  });

  it("by another method is told which one to take", async () => {
    const headers = { authorization: `Bearer ${bench().key.secret}` };
    const response = await fetch(`${bench().baseURL}/responses`, { headers });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
  });
});

describe("a failure of the provider", () => {
  const code = (errorCode: string): Script => ({ errorCode, errorType: "invalid_request_error" });
  const cases: readonly (readonly [Script, object, boolean])[] = [
    [{ status: 400, ...code("invalid_value") }, { status: 400, code: "invalid_value" }, false],
    [
      { status: 400, ...code("context_length_exceeded") },
      { status: 400, code: "context_length_exceeded", param: "input" },
      false,
    ],
    [{ status: 401 }, { status: 503, code: "provider_authentication" }, false],
    [{ status: 404 }, { status: 404, code: "model_not_found" }, false],
    [{ status: 429, retryAfterMs: 20_000 }, { status: 429, code: "rate_limit_exceeded" }, true],
    [{ status: 503 }, { status: 503, code: "server_is_overloaded" }, true],
    [{ fault: "hang" }, { status: 504, code: "provider_timeout" }, true],
    [{ fault: "truncatedJson" }, { status: 503, code: "provider_bad_response" }, true],
  ];
  it.each(cases)("%j is %j", async (script, expected, retryable) => {
    const { text } = question(script);
    const error = await errorOf(
      ask(bench().client({ maxRetries: 0 }), { model: failingModel(), input: text }),
    );
    expect(error).toMatchObject(expected);
    expect(error.headers?.get("x-should-retry")).toBe(String(retryable));
    expect(Number(error.headers?.get("x-llm-gateway-attempts"))).toBeGreaterThan(0);
  });

  it("that passes is met by the gateway's own retry", async () => {
    const { marker, text } = question({ status: 500, times: 1 });
    const answer = await ask(bench().client({ maxRetries: 0 }), { input: text });
    expect(answer.status).toBe("completed");
    expect(bench().requestsOf(marker)).toHaveLength(2);
  });

  it("keeps what it says of the caller's mistake", async () => {
    const error = await errorOf(ask(bench().client(), { input: [{ role: "nobody", content: "" }] }));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ param: "input[0].role" });
  });
});

describe("an abort of the client", () => {
  it.each([false, true])(
    "closes the provider's connection and is on the ledger (stream: %s)",
    async (stream) => {
      const { marker, text } = question({ tokensOut: 500, tokenDelayMs: 20 });
      await expectAbortFollowed(bench(), { marker, stream }, (signal) =>
        bench().client().responses.create({ model: MODEL, input: text, stream }, { signal }),
      );
    },
  );
});

describe("a deadline", () => {
  it("is the client's own timeout", async () => {
    const { text } = question({ latencyMs: 10_000 });
    const startedAt = performance.now();
    const response = await fetch(`${bench().baseURL}/responses`, {
      method: "POST",
      headers: { authorization: `Bearer ${bench().key.secret}`, "x-stainless-timeout": "1" },
      body: JSON.stringify({ model: MODEL, input: text }),
    });
    expect(performance.now() - startedAt).toBeLessThan(1_050 + MACHINE_NOISE_MS);
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ error: { code: "deadline_exceeded" } });
  });

  it("ends a stream, too, when it is stated in milliseconds", async () => {
    const { text } = question({ tokensOut: 200, tokenDelayMs: 20 });
    const stream = await bench()
      .client()
      .responses.create(
        { model: MODEL, input: text, stream: true },
        { headers: { "x-llm-gateway-timeout-ms": "500" } },
      );
    const error = await errorOf(
      (async () => {
        for await (const _ of stream);
      })(),
    );
    expect(error.code).toBe("deadline_exceeded");
  });
});

describe("a stream that fails in the middle", () => {
  it.each<readonly [Script, string]>([
    [{ cutAfterTokens: 3 }, "provider_stream_cut"],
    [{ fault: "cleanEnd", afterTokens: 3 }, "provider_stream_cut"],
    [{ stallAfterTokens: 3 }, "provider_timeout"],
    [{ fault: "errorEvent", afterTokens: 3 }, "provider_error"],
    [{ fault: "garbage", afterTokens: 3 }, "provider_bad_response"],
  ])("%j throws in the client's loop, after what there was", async (script, expected) => {
    const { text } = question({ tokensOut: 8, tokenDelayMs: 5, ...script });
    const stream = await bench()
      .client()
      .responses.create({ model: failingModel(), input: text, stream: true });
    let tokens = 0;
    const error = await errorOf(
      (async () => {
        for await (const { type } of stream) if (type === "response.output_text.delta") tokens += 1;
      })(),
    );
    expect(tokens).toBe(3);
    expect(error.code).toBe(expected);
  });

  it("fails in the client's helper, too", async () => {
    const { text } = question({ tokensOut: 8, tokenDelayMs: 5, cutAfterTokens: 3 });
    const stream = bench().client().responses.stream({ model: failingModel(), input: text });
    expect((await errorOf(stream.finalResponse())).code).toBe("provider_stream_cut");
  });

  it("ends with an error event that goes on counting, and says what it cost", async () => {
    const { text } = question({ tokensOut: 8, tokenDelayMs: 5, cutAfterTokens: 3 });
    const response = await fetch(`${bench().baseURL}/responses`, {
      ...{ method: "POST", headers: { authorization: `Bearer ${bench().key.secret}` } },
      body: JSON.stringify({ model: MODEL, input: text, stream: true }),
    });
    const events = (await response.text()).trimEnd().split("\n\n");
    const [name, data = ""] = events.at(-1)?.split("\n") ?? [];
    expect(name).toBe("event: error");
    expect(JSON.parse(data.slice("data: ".length))).toMatchObject({
      ...{ type: "error", code: "provider_stream_cut", param: null, sequence_number: events.length - 1 },
      error: { type: "server_error", code: "provider_stream_cut" },
      llm_gateway: { attempts: [{ outcome: "failed" }], cost_estimated: true },
    });
  });
});
