import { describe, expect, test } from "vitest";
import type { CompletionInput, MessagePart } from "../../../src/core/completion.ts";
import { estimateTokensIn, estimateTokensOut } from "../../../src/pricing/token-estimator.ts";
import { embeddingOf } from "../../support/provider-calls.ts";

function inputOf(parts: readonly MessagePart[], more: Partial<CompletionInput> = {}): CompletionInput {
  return {
    messages: [{ role: "user", name: undefined, parts }],
    tools: [],
    toolChoice: undefined,
    parallelToolCalls: undefined,
    responseFormat: undefined,
    maxOutputTokens: undefined,
    temperature: undefined,
    topP: undefined,
    stop: [],
    seed: undefined,
    endUser: undefined,
    ...more,
  };
}

describe("the estimate of input tokens", () => {
  test("is a quarter of the UTF-8 bytes, rounded up", () => {
    expect(estimateTokensIn(inputOf([]))).toBe(0);
    expect(estimateTokensIn(inputOf([{ kind: "text", text: "Hello" }]))).toBe(2);
    expect(estimateTokensIn(inputOf([{ kind: "text", text: "你好世界" }]))).toBe(3);
  });

  test("covers everything that the model reads", () => {
    const parts: MessagePart[] = [
      { kind: "tool_call", id: "ignored-id", name: "abcd", argumentsJson: '{"a":12}' },
      { kind: "tool_result", toolCallId: "ignored-id", text: "abcd" },
      { kind: "refusal", text: "abcd" },
      { kind: "reasoning", text: "abcd" },
    ];
    const input = inputOf(parts, {
      tools: [{ name: "abcd", description: "abcd", parametersJsonSchema: "{  }", strict: undefined }],
      responseFormat: { kind: "json_schema", name: "ignored", schemaJson: "{  }", strict: true },
    });
    expect(estimateTokensIn(input)).toBe((4 + 8 + 4 + 4 + 4 + 4 + 4 + 4 + 4) / 4);
  });

  test("counts images by number and detail, never by their bytes", () => {
    const bytes = new Uint8Array(5_000_000);
    const image = (detail: "low" | "high" | undefined): MessagePart => ({
      kind: "image",
      source: { kind: "bytes", bytes, mediaType: "image/png" },
      detail,
    });
    const dataUrl: MessagePart = {
      kind: "image",
      source: { kind: "url", url: `data:image/png;base64,${"A".repeat(100_000)}` },
      detail: "auto",
    };
    expect(estimateTokensIn(inputOf([image(undefined), image("low"), image("high"), dataUrl]))).toBe(3_085);
  });
});

describe("the estimate of output tokens", () => {
  test.each([
    [{ outputBytes: 0, deltas: 0 }, 0],
    [{ outputBytes: 401, deltas: 0 }, 101],
    [{ outputBytes: 400, deltas: 90 }, 100],
    [{ outputBytes: 20, deltas: 90 }, 90],
  ])("of %o is %i: at least one a delta", (received, tokens) => {
    expect(estimateTokensOut(received)).toBe(tokens);
  });
});

test("the estimate of what is embedded is at least a token for each text, and tokens as they are", () => {
  expect(estimateTokensIn(embeddingOf(["a", "Hello", "你好世界"]))).toBe(1 + 2 + 3);
  const embedded = { kind: "tokens", sequences: [[7, 8], [9]] } as const;
  expect(estimateTokensIn(embeddingOf([], { embedded }))).toBe(3);
});
