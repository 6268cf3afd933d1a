import { expect, test } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import { toNativeBody } from "../../../src/providers/openai-chat/native-request.ts";
import { OPENAI_EMBEDDINGS } from "../../../src/providers/openai-embeddings/profile.ts";
import { toNativeEmbeddings } from "../../../src/providers/openai-embeddings/to-request.ts";
import { openaiProfile } from "../../../src/providers/profiles/openai.ts";
import { parseChatRequest } from "../../../src/server/openai/chat-request.ts";
import { parseEmbeddingsRequest } from "../../../src/server/openai/embeddings-request.ts";
import { createRandom, mutate } from "../../support/mutate.ts";

const SEED = 20_261_125;
const BODIES = 40_000;

/** A request that has something of everything. */
const BODY = JSON.stringify({
  model: "openai/gpt-5-mini",
  fallback_models: ["deepseek/deepseek-flash"],
  messages: [
    { role: "developer", content: 'Be "brief" \\ \u2028' },
    {
      role: "user",
      content: [
        { type: "text", text: "Grüße 🎉" },
        { type: "image_url", image_url: { url: "https://x/y.png", detail: "low" } },
      ],
    },
    {
      role: "assistant",
      tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
    },
    { role: "tool", tool_call_id: "c", content: "4" },
  ],
  ...{ temperature: 0.5, max_completion_tokens: 100, seed: 7, stop: ["END"], logit_bias: { "1": -1e2 } },
  tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
  response_format: { type: "json_schema", json_schema: { name: "s", schema: {}, strict: true } },
  ...{
    metadata: { team: "search" },
    user: "u",
    stream: false,
    stream_options: null,
    unknown: [1, { a: null }],
  },
});

test("a mutated body is refused as invalid, or reaches the provider with all that it says", () => {
  const random = createRandom(SEED);
  let sent = 0;
  for (let count = 0; count < BODIES; count += 1) {
    const bytes = mutate(Buffer.from(BODY), random);
    let request: ReturnType<typeof parseChatRequest>;
    try {
      request = parseChatRequest(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(GatewayError);
      expect((error as GatewayError).reason).toBe("INVALID_REQUEST");
      continue;
    }
    sent += 1;
    const { model: _model, fallback_models: _fallbacks, metadata, ...rest } = JSON.parse(bytes.toString());
    const kept = rest.store === true ? { ...rest, metadata } : rest;
    const body = toNativeBody(request.native, { model: "m", stream: false }, openaiProfile);
    expect(JSON.parse(body), body).toEqual({ ...kept, model: "m" });
  }
  // Both ways were gone.
  expect(sent).toBeGreaterThan(BODIES / 20);
  expect(sent).toBeLessThan(BODIES / 2);
});

const EMBEDDINGS_BODY = JSON.stringify({
  ...{ model: "openai/text-embedding-3-small", input: ["Grüße 🎉", "a\\b"], encoding_format: "base64" },
  ...{ dimensions: 256, user: "u", metadata: { team: "search" }, fallback_models: ["azure/x"] },
  unknown: [1, { a: null }],
});

test("a mutated request for embeddings is refused as invalid, or reaches the provider with all that it says", () => {
  const random = createRandom(SEED);
  let sent = 0;
  for (let count = 0; count < BODIES / 4; count += 1) {
    const bytes = mutate(Buffer.from(EMBEDDINGS_BODY), random);
    let request: ReturnType<typeof parseEmbeddingsRequest>;
    try {
      request = parseEmbeddingsRequest(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(GatewayError);
      expect((error as GatewayError).reason).toBe("INVALID_REQUEST");
      continue;
    }
    sent += 1;
    const {
      model: _model,
      fallback_models: _fallbacks,
      metadata: _tags,
      ...rest
    } = JSON.parse(bytes.toString());
    const call = { model: "m", input: request.input };
    const body = toNativeEmbeddings(request.native, call, OPENAI_EMBEDDINGS);
    expect(JSON.parse(body), body).toEqual({ ...rest, model: "m" });
  }
  expect(sent).toBeGreaterThan(BODIES / 80);
});
