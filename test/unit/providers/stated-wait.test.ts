import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Provider } from "../../../src/core/provider.ts";
import { createProvider } from "../../../src/providers/create-provider.ts";
import { answersJson, callOf, event, failureOf, streams } from "../../support/provider-calls.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

const LIMITED = "Rate limit reached for gpt-5-mini on tokens per min (TPM): Limit 30000, Used 29500.";

describe("a wait that OpenAI's dialect states in the words of an error only", () => {
  let standIn: ScriptedProvider;
  let provider: Provider;
  beforeAll(async () => {
    standIn = await ScriptedProvider.start();
    const options = { baseUrl: standIn.origin, apiKey: "sk-test-canary-0123456789", connectTimeoutMs: 2_000 };
    provider = createProvider({ name: "openai", profile: "openai", ...options });
  });
  afterAll(async () => {
    await provider.close();
    await standIn[Symbol.asyncDispose]();
  });

  async function refused(message: string, refusal: Refusal = {}): Promise<number | undefined> {
    const { status = 429, headers = {}, code = "rate_limit_exceeded" } = refusal;
    const body = JSON.stringify({ error: { message, type: "tokens", param: null, code } });
    standIn.does((response) => void response.writeHead(status, headers).end(body));
    return (await failureOf(provider.complete(callOf()))).retryAfterMs;
  }

  interface Refusal {
    readonly status?: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly code?: string;
  }

  it.each([
    ["Please try again in 20ms.", 20],
    ["Please try again in 1.5s.", 1_500],
    ["Please try again in 4s. Visit https://example.com to learn more.", 4_000],
    ["Please try again in 50.597142857s. Visit https://example.com", 50_598],
    ["Please try again in 6m0s.", 360_000],
    ["Please try again in 9m38.016s. Need more tokens?", 578_016],
    ["Please try again in 1h2m3.5s.", 3_723_500],
    ["Please try again in 999h0m0s.", 86_400_000],
    ["Please retry after 26 seconds.", 26_000],
    ["Please retry after 1 second.", 1_000],
  ])("is obeyed: %s", async (words, waitMs) => {
    expect(await refused(`${LIMITED} ${words}`)).toBe(waitMs);
  });

  const others = [
    "Please try again later.",
    "Please try again in a few seconds.",
    "Please try again in 5 sessions.",
    "Please try again in 5stars.",
    "Please try again in 3.",
    "Please try again in -3s.",
    "Please try again in 1234567890s.",
    "Please try again in 1e9s.",
    "Please try again on 5s.",
    "Used 20s.",
    `${"x".repeat(5_000)} Please try again in 2s.`,
    "1".repeat(100_000),
  ].map((words) => [words.slice(-40), words] as const);
  it.each(others)("is not read into other words: %s", async (_, words) => {
    expect(await refused(`${LIMITED} ${words}`)).toBeUndefined();
  });

  const WORDS = `${LIMITED} Please try again in 2s.`;

  it("gives way to a header", async () => {
    expect(await refused(WORDS, { headers: { "retry-after": "7" } })).toBe(7_000);
    expect(await refused(WORDS, { headers: { "retry-after-ms": "30" } })).toBe(30);
    expect(await refused(WORDS, { headers: { "retry-after": "soon" } })).toBe(2_000);
  });

  it("is that of a limit or of overload, and of nothing else", async () => {
    expect(await refused(WORDS, { status: 503, code: "server_is_overloaded" })).toBe(2_000);
    expect(await refused(WORDS, { status: 400, code: "invalid_value" })).toBeUndefined();
    expect(await refused(WORDS, { status: 500, code: "server_error" })).toBeUndefined();
    expect(await refused(WORDS, { code: "insufficient_quota" })).toBeUndefined();
  });

  it("is read where there are no headers: in a stream, and in an answer with status 200", async () => {
    const error = { message: WORDS, type: "tokens", code: "rate_limit_exceeded" };
    const expected = { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 2_000 };
    standIn.does(streams([event({ error })]));
    expect(await failureOf(provider.stream(callOf(), () => undefined))).toMatchObject(expected);
    standIn.does(answersJson({ error }));
    expect(await failureOf(provider.complete(callOf()))).toMatchObject(expected);
  });
});
