import { randomUUID } from "node:crypto";
import Anthropic from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import { useAnthropicBench } from "../support/anthropic-bench.ts";
import { question, recordsOf, user } from "../support/openai-bench.ts";

/** What `Idempotency-Key` does. After each test the bill, with its one line, is the ledger. */

const bench = useAnthropicBench();

/** One caller that says the same thing under one key as often as it is asked to. */
function repeatable() {
  const options = { headers: { "idempotency-key": randomUUID() } };
  const { messages } = bench().client({ maxRetries: 0 });
  return {
    complete: (body: Anthropic.MessageCreateParamsNonStreaming, headers: Record<string, string> = {}) =>
      messages.create(body, { headers: { ...options.headers, ...headers } }).withResponse(),
    stream: async (body: Anthropic.MessageCreateParamsNonStreaming) => {
      const { data, response } = await messages.create({ ...body, stream: true }, options).withResponse();
      const events: Anthropic.MessageStreamEvent[] = [];
      for await (const event of data) events.push(event);
      return { events, response };
    },
  };
}

const replayedOf = (response: Response) => response.headers.get("x-llm-gateway-replayed");

describe.each(["anthropic", "openai"] as const)("in front of %s", (provider) => {
  const base = { model: `${provider}/sim-model`, max_tokens: 100 };

  it("a request with a key is made once, and its repetition gets the same answer", async () => {
    const { marker, text } = question({ text: "The sky is blue.", cachedTokensIn: 3 }, provider);
    const { complete } = repeatable();
    const body = { ...base, messages: [user(text)] };
    const first = await complete(body);
    const second = await complete(body);
    expect([replayedOf(first.response), replayedOf(second.response)]).toEqual([null, "true"]);
    expect(bench().requestsOf(marker)).toHaveLength(1);
    const { input_tokens, output_tokens } = first.data.usage;
    expect(second.data).toMatchObject({
      ...{ type: "message", role: "assistant", model: "sim-model", stop_reason: "end_turn" },
      content: [{ type: "text", text: "The sky is blue." }],
      usage: { input_tokens, output_tokens, cache_read_input_tokens: 3 },
    });
    expect(second.request_id).toBe(first.request_id);
    const records = (await recordsOf(bench())).filter((entry) => entry.request_id === first.request_id);
    expect(records).toMatchObject([{ cost_usd: second.response.headers.get("x-llm-gateway-cost-usd") }]);
  });

  it("a stream is made once, and its repetition is a stream of the same text, tools and usage", async () => {
    const { marker, text } = question({ toolCall: { name: "look", arguments: { at: "ü" } } }, provider);
    const { stream } = repeatable();
    const tools = [{ name: "look", input_schema: { type: "object" as const } }];
    const body = { ...base, messages: [user(text)], tools };
    const first = await stream(body);
    const second = await stream(body);
    expect(bench().requestsOf(marker)).toHaveLength(1);
    expect([replayedOf(first.response), replayedOf(second.response)]).toEqual([null, "true"]);
    const argumentsOf = (events: readonly Anthropic.MessageStreamEvent[]) =>
      events
        .map((event) =>
          event.type === "content_block_delta" && event.delta.type === "input_json_delta"
            ? event.delta.partial_json
            : "",
        )
        .join("");
    expect(JSON.parse(argumentsOf(first.events))).toEqual({ at: "ü" });
    expect(argumentsOf(second.events)).toBe(argumentsOf(first.events));
    const [one, other] = [first.events.at(-2), second.events.at(-2)];
    if (one?.type !== "message_delta" || other?.type !== "message_delta") throw new Error("no message_delta");
    expect(other.delta.stop_reason).toBe("tool_use");
    expect(other.usage.output_tokens).toBe(one.usage.output_tokens);
    expect(second.events.at(-1)).toMatchObject({ type: "message_stop", llm_gateway: { replayed: true } });
  });

  it("a key with another content is refused, also if only a beta differs", async () => {
    const { marker, text } = question({}, provider);
    const { complete } = repeatable();
    const body = { ...base, messages: [user(text)] };
    await complete(body);
    for (const other of [complete({ ...body, max_tokens: 101 }), complete(body, { "anthropic-beta": "x" })])
      await expect(other).rejects.toBeInstanceOf(Anthropic.ConflictError);
    expect(bench().requestsOf(marker)).toHaveLength(1);
  });
});
