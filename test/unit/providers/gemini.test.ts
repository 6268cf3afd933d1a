import { describe, expect, it } from "vitest";
import { NOT_RELAYED } from "../../../src/providers/event-relay.ts";
import { EventStreamDecoder } from "../../../src/providers/event-stream-decoder.ts";
import { createGeminiDialect } from "../../../src/providers/gemini/dialect.ts";
import { mapUsage } from "../../../src/providers/gemini/map-usage.ts";
import { API_KEY, describeProvider } from "../../suites/provider-suite.ts";
import { event, readResponse } from "../../support/provider-calls.ts";
import { geminiWire } from "../../support/wires/gemini-wire.ts";

describeProvider({
  profile: "gemini",
  wire: geminiWire,
  keyHeaders: { "x-goog-api-key": API_KEY },
  errorRequestId: undefined,
  basePath: "/v1beta",
  model: "gemini-2.5-flash",
  responseModel: "gemini-2.5-flash",
  headers: {},
  requestId: "mAitaLmkHPPl7M8Pvq6vyAE",
  usage: {
    tokensIn: 1_200,
    tokensOut: 310,
    uncachedTokensIn: 176,
    cacheReadTokensIn: 1_024,
    cacheWriteTokensIn: undefined,
    textTokensOut: 54,
    reasoningTokensOut: 256,
  },
  reasoning: "A greeting.",
  errors: {
    "error-authentication": { reason: "PROVIDER_AUTHENTICATION" },
    "error-permission": { reason: "PROVIDER_AUTHENTICATION" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 1_250 },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-billing": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
    "error-server": { reason: "PROVIDER_ERROR" },
    "error-timeout": { reason: "PROVIDER_ERROR" },
  },
});

const dialect = createGeminiDialect([]);
const chunkOf = (text: string, usageMetadata: unknown, finishReason?: string) =>
  event({ candidates: [{ content: { parts: [{ text }] }, finishReason }], usageMetadata });

describe("an answer of Gemini's", () => {
  it("that never came because the prompt was blocked is refused content, which may be billed", () => {
    const { headers, body } = readResponse("gemini/completion-blocked.json");
    const expected = expect.objectContaining({
      reason: "CONTENT_FILTERED",
      billing: "maybe_billed",
      usage: expect.objectContaining({
        kind: "reported",
        usage: expect.objectContaining({ tokensIn: 12, tokensOut: 0 }),
      }),
    });
    expect(() =>
      dialect.fromResponse({ status: 200, headers, body: JSON.stringify(body) }, NOT_RELAYED),
    ).toThrow(expected);
    expect(() => new EventStreamDecoder(dialect).feed(event(body))).toThrow(expected);
  });

  it("counts thoughts and candidates as output, the results of tools as input", () => {
    expect(
      mapUsage({
        promptTokenCount: 100,
        cachedContentTokenCount: 30,
        toolUsePromptTokenCount: 5,
        candidatesTokenCount: 20,
        thoughtsTokenCount: 50,
      }),
    ).toEqual({
      kind: "reported",
      usage: {
        tokensIn: 105,
        uncachedTokensIn: 75,
        cacheReadTokensIn: 30,
        cacheWriteTokensIn: undefined,
        tokensOut: 70,
        textTokensOut: 20,
        reasoningTokensOut: 50,
      },
    });
  });

  it("that ends for a malformed call is a failure that carries its usage", () => {
    const decoder = new EventStreamDecoder(dialect);
    decoder.feed(chunkOf("x", { promptTokenCount: 3, candidatesTokenCount: 1 }, "MALFORMED_FUNCTION_CALL"));
    expect(() => decoder.finish()).toThrow(
      expect.objectContaining({
        reason: "PROVIDER_ERROR",
        usage: expect.objectContaining({ kind: "reported" }),
      }),
    );
  });
});

describe("a stream of Gemini's", () => {
  it("counts from the first chunk on, and is final only with the finish reason", () => {
    const decoder = new EventStreamDecoder(dialect);
    decoder.feed(chunkOf("a", { promptTokenCount: 3, candidatesTokenCount: 1 }));
    expect(decoder.seen.usage).toMatchObject({ kind: "so_far", usage: { tokensIn: 3, tokensOut: 1 } });
    decoder.feed(chunkOf("b", { promptTokenCount: 3, candidatesTokenCount: 2 }, "STOP"));
    expect(decoder.finish().usage).toMatchObject({ kind: "reported", usage: { tokensOut: 2 } });
  });

  it("that is cut anywhere before the end of its last chunk is never taken for whole", () => {
    const text = chunkOf("a", { promptTokenCount: 3 }) + chunkOf("b", { promptTokenCount: 3 }, "STOP");
    // The last newline only ends the last event, which is complete without it.
    for (let length = 0; length < text.length - 2; length += 1) {
      const decoder = new EventStreamDecoder(dialect);
      decoder.feed(text.slice(0, length));
      expect(() => decoder.finish(), `cut after ${length} characters`).toThrow();
    }
  });
});
