import Anthropic from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import { useAnthropicBench } from "../support/anthropic-bench.ts";
import { question, user } from "../support/openai-bench.ts";

/** Anthropic's client in front of providers that do not speak its dialect. After each test the bill is the ledger. */

const bench = useAnthropicBench();

describe.each(["openai", "deepseek", "gemini"] as const)(
  "a provider that speaks %s's dialect",
  (provider) => {
    const base = { model: `${provider}/sim-model`, max_tokens: 100 };

    it("is told all that it can be told, and the rest is named", async () => {
      const { marker, text } = question({}, provider);
      const cached = { type: "text" as const, text, cache_control: { type: "ephemeral" as const } };
      const { response } = await bench()
        .client()
        .beta.messages.create({
          ...{ ...base, messages: [{ role: "user", content: [cached] }], service_tier: "standard_only" },
          ...{ stop_sequences: ["END"], thinking: { type: "adaptive" }, betas: ["x-2099"], top_k: 5 },
          ...{ output_config: { effort: "low" }, metadata: { user_id: "u", team: "search" } },
        } as Anthropic.Beta.MessageCreateParamsNonStreaming)
        .withResponse();
      const ignored = response.headers.get("x-llm-gateway-ignored")?.split(", ").sort();
      expect(ignored).toEqual([
        ...["anthropic-beta", "cache_control", "metadata.team", "output_config.effort", "service_tier"],
        ...["thinking", "top_k"],
      ]);
      const sent = JSON.stringify(bench().requestsOf(marker)[0]?.body);
      expect(sent).toContain("END");
      expect(sent).not.toContain("cache_control");
    });

    it("is no fallback for a request that it cannot be told in full", async () => {
      const { marker, text } = question({ status: 500 }, "anthropic");
      const data = Buffer.from("%PDF-1.7").toString("base64");
      const document = {
        type: "document" as const,
        source: { type: "base64" as const, media_type: "application/pdf" as const, data },
      };
      const client = bench().client({ maxRetries: 0 });
      const messages = [{ role: "user" as const, content: [document, { type: "text" as const, text }] }];
      const failed = client.messages.create({
        ...{ model: "anthropic/failing", max_tokens: 9, messages },
        ...{ fallback_models: [base.model] },
      });
      await expect(failed).rejects.toBeInstanceOf(Anthropic.APIError);
      const versions = bench()
        .requestsOf(marker)
        .map(({ headers }) => headers["anthropic-version"]);
      expect(versions.every((version) => version !== undefined)).toBe(true);
      const refused = client.messages.create({ ...base, messages });
      await expect(refused).rejects.toMatchObject({
        status: 400,
        apiMessage: expect.stringContaining("messages[0].content[0]"),
      });
    });

    it("shows what it thinks only to who asks to see it", async () => {
      const ask = async (thinking: Anthropic.ThinkingConfigParam | undefined) => {
        const { text } = question({ reasoningTokens: 4, tokensOut: 9 }, provider);
        const body = { ...base, messages: [user(text)], ...(thinking && { thinking }) };
        const unary = await bench().client().messages.create(body);
        const streamed = await bench().client().messages.stream(body).finalMessage();
        return [unary, streamed].map(({ content }) => content.map(({ type }) => type));
      };
      // OpenAI only counts it.
      const shown = provider === "openai" ? ["text"] : ["thinking", "text"];
      expect(await ask({ type: "adaptive" })).toEqual([shown, shown]);
      for (const thinking of [undefined, { type: "disabled" } as const])
        expect(await ask(thinking)).toEqual([["text"], ["text"]]);
    });

    it("runs several tools at once, and is told how each of them ended", async () => {
      const calls = [
        { name: "look", arguments: { at: 1 } },
        { name: "look", arguments: { at: 2 } },
      ];
      const { text } = question({ toolCall: calls }, provider);
      const tools = [{ name: "look", input_schema: { type: "object" as const } }];
      const first = await bench()
        .client()
        .messages.stream({ ...base, messages: [user(text)], tools })
        .finalMessage();
      const uses = first.content.filter((block) => block.type === "tool_use");
      expect(uses.map(({ input }) => input)).toEqual([{ at: 1 }, { at: 2 }]);
      const { marker } = question();
      const results = uses.map(({ id }, index) => ({
        ...{ type: "tool_result" as const, tool_use_id: id, is_error: index === 1 },
        content: [{ type: "text" as const, text: `seen ${marker}` }],
      }));
      const second = await bench()
        .client()
        .messages.create({
          ...{ ...base, tools },
          messages: [
            user("Look."),
            { role: "assistant", content: first.content },
            { role: "user", content: [...results, { type: "text", text: "Go on." }] },
          ],
        });
      expect(second.stop_reason).toBe("end_turn");
      const sent = JSON.stringify(bench().requestsOf(marker)[0]?.body);
      expect(sent.split(marker)).toHaveLength(3);
      if (provider === "gemini") expect(sent).toContain(`"error":"seen ${marker}"`);
    });

    it("stops as Anthropic would say it", async () => {
      const long = question({ tokensOut: 50 }, provider);
      const cut = await bench()
        .client()
        .messages.create({ ...base, max_tokens: 5, messages: [user(long.text)] });
      expect([cut.stop_reason, cut.usage.output_tokens]).toEqual(["max_tokens", 5]);
    });
  },
);

it("a fallback in either direction is one conversation", async () => {
  const client = bench().client({ maxRetries: 0 });
  const first = question({ status: 500 }, "anthropic");
  const thought = await client.messages.create({
    ...{ model: "anthropic/failing-too", max_tokens: 100, thinking: { type: "adaptive" } },
    messages: [user(`${first.text} [[sim:deepseek {"reasoningTokens":4,"tokensOut":9}]]`)],
    ...{ fallback_models: ["deepseek/sim-model"] },
  });
  expect(thought.content.map(({ type }) => type)).toEqual(["thinking", "text"]);
  // Anthropic gets it back without the thinking of somebody else, which it would refuse.
  const { marker, text } = question({}, "anthropic");
  const { response } = await client.messages
    .create({
      ...{ model: "openai/failing", max_tokens: 100 },
      messages: [
        user("Hi"),
        { role: "assistant", content: thought.content },
        user(`${text} [[sim:openai {"status":500}]]`),
      ],
      ...{ fallback_models: ["anthropic/sim-model"] },
    })
    .withResponse();
  expect(response.headers.get("x-llm-gateway-provider")).toBe("anthropic");
  expect(response.headers.get("x-llm-gateway-ignored")).toBeNull();
  const last = bench().requestsOf(marker).at(-1)?.body as { readonly messages: readonly unknown[] };
  expect(last.messages[1]).toEqual({
    role: "assistant",
    content: [{ type: "text", text: expect.any(String), citations: null }],
  });
});

it.each([
  ["anthropic", "openai"],
  ["deepseek", "anthropic"],
] as const)(
  "a stream of %s's that breaks off is whole, and %s's alone, with recovery",
  async (one, other) => {
    const cut = question({ cutAfterTokens: 3, tokensOut: 40, tokenDelayMs: 5 }, one);
    const whole = question({ text: "the whole second answer" }, other);
    const request = {
      ...{ model: `${one}/sim-model`, fallback_models: [`${other}/sim-model`], max_tokens: 100 },
      messages: [user(`${cut.text} ${whole.text}`)],
    };
    const stream = bench()
      .client({ maxRetries: 0 })
      .messages.stream(request, { headers: { "x-llm-gateway-recovery": "restart" } });
    const starts: string[] = [];
    stream.on("streamEvent", ({ type }) => type === "message_start" && starts.push(type));
    expect(await stream.finalText()).toBe("the whole second answer");
    expect(starts).toHaveLength(1);
    expect(bench().requestsOf(cut.marker)).toHaveLength(2);
  },
);
