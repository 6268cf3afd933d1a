import { expect, test } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import { createOpenAiResponsesDialect } from "../../../src/providers/openai-responses/dialect.ts";
import { openaiProfile } from "../../../src/providers/profiles/openai.ts";
import { parseResponsesRequest } from "../../../src/server/openai/responses-request.ts";
import { createRandom, mutate } from "../../support/mutate.ts";

const SEED = 20_261_126;
const BODIES = 40_000;

/** A request that has something of everything. */
const BODY = JSON.stringify({
  model: "openai/gpt-5-mini",
  fallback_models: ["azure-openai/gpt-5-mini"],
  instructions: 'Be "brief" \\ \u2028',
  input: [
    {
      role: "user",
      content: [
        { type: "input_text", text: "Grüße 🎉" },
        { type: "input_image", image_url: "https://x/y.png", detail: "low" },
      ],
    },
    { type: "reasoning", id: "rs", summary: [{ type: "summary_text", text: "Hm." }] },
    { type: "function_call", call_id: "c", name: "f", arguments: "{}" },
    { type: "function_call_output", call_id: "c", output: "4" },
  ],
  ...{ temperature: 0.5, max_output_tokens: 100, top_p: 1e-2, store: false, stream: false, background: null },
  tools: [
    { type: "function", name: "f", parameters: { type: "object" } },
    { type: "custom", name: "g" },
  ],
  text: { format: { type: "json_schema", name: "s", schema: {}, strict: true } },
  ...{ metadata: { team: "search" }, user: "u", unknown: [1, { a: null }] },
});

test("a mutated body is refused as invalid, or reaches the provider with all that it says", () => {
  const dialect = createOpenAiResponsesDialect(openaiProfile, []);
  const random = createRandom(SEED);
  let sent = 0;
  for (let count = 0; count < BODIES; count += 1) {
    const bytes = mutate(Buffer.from(BODY), random);
    let request: ReturnType<typeof parseResponsesRequest>;
    try {
      request = parseResponsesRequest(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(GatewayError);
      expect((error as GatewayError).reason).toBe("INVALID_REQUEST");
      continue;
    }
    sent += 1;
    const { model: _model, fallback_models: _fallbacks, metadata, ...rest } = JSON.parse(bytes.toString());
    const kept = rest.store === false ? rest : { ...rest, metadata };
    const { native, input } = request;
    const body = dialect.toBody({ model: "m", stream: false, input, native });
    if (typeof body !== "string") throw new TypeError("expected text");
    expect(JSON.parse(body), body).toEqual({ ...kept, model: "m" });
  }
  // Both ways were gone.
  expect(sent).toBeGreaterThan(BODIES / 20);
  expect(sent).toBeLessThan(BODIES / 2);
});
