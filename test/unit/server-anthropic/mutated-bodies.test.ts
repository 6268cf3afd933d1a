import { expect, test } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import { toNativeMessagesBody } from "../../../src/providers/anthropic/native-request.ts";
import { parseMessagesRequest } from "../../../src/server/anthropic/messages-request.ts";
import { createRandom, mutate } from "../../support/mutate.ts";

const SEED = 20_261_125;
const BODIES = 40_000;

/** A request that has something of everything. */
const BODY = JSON.stringify({
  model: "anthropic/claude-sonnet-5-5",
  fallback_models: ["openai/gpt-6"],
  tags: { team: "search" },
  max_tokens: 1024,
  system: [{ type: "text", text: 'Be "brief" \\ \u2028', cache_control: { type: "ephemeral" } }],
  messages: [
    {
      role: "user",
      content: [
        { type: "text", text: "Grüße 🎉" },
        { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } },
        { type: "document", source: { type: "url", url: "https://x/y.pdf" } },
      ],
    },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "Hm.", signature: "c2ln" },
        { type: "tool_use", id: "t", name: "f", input: { a: 1e2 } },
      ],
    },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "4", is_error: false }] },
  ],
  tools: [
    { name: "f", input_schema: { type: "object" } },
    { type: "web_search_20260318", name: "w" },
  ],
  tool_choice: { type: "auto", disable_parallel_tool_use: true },
  ...{ thinking: { type: "adaptive" }, stop_sequences: ["END"], top_k: 5, metadata: { user_id: "u" } },
  ...{ stream: false, output_config: { effort: "low" }, unknown: [1, { a: null }] },
});

test("a mutated body is refused as invalid, or reaches the provider with all that it says", () => {
  const random = createRandom(SEED);
  let sent = 0;
  for (let count = 0; count < BODIES; count += 1) {
    const bytes = mutate(Buffer.from(BODY), random);
    let request: ReturnType<typeof parseMessagesRequest>;
    try {
      request = parseMessagesRequest(bytes, {});
    } catch (error) {
      expect(error).toBeInstanceOf(GatewayError);
      expect((error as GatewayError).reason).toBe("INVALID_REQUEST");
      continue;
    }
    sent += 1;
    const { model: _model, fallback_models: _fallbacks, tags: _tags, ...rest } = JSON.parse(bytes.toString());
    const body = toNativeMessagesBody(request.native, "m");
    expect(JSON.parse(body), body).toEqual({ ...rest, model: "m" });
  }
  // Both ways were gone.
  expect(sent).toBeGreaterThan(BODIES / 20);
  expect(sent).toBeLessThan(BODIES / 2);
});
