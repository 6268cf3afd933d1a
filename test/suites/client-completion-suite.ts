import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { FinishReason } from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { ImageDetail, Role, ToolChoiceMode } from "../../gen/es/llmgateway/v1/content_pb.ts";
import { ErrorReason } from "../../gen/es/llmgateway/v1/error_reason_pb.ts";
import { AttemptOutcome, BillingState, UsageSource } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import { billedPicoUsd, CHAIN, directive, FALLBACK_MODEL, usd } from "../support/gateway-under-test.ts";
import { type ClientSuite, textPart, uniquePrompt } from "./client-suite.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const PIXEL = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk", "base64");

/** Unary completions. */
export function describeCompletions(suite: ClientSuite): void {
  describe("Complete", () => {
    it("answers with text, usage, cost and the attempt, at the provider's own bill", async () => {
      const requestId = randomUUID();
      const text = uniquePrompt();
      const { message, headers } = await suite.complete(text, { requestId, maxOutputTokens: 100 });
      const [line, ...more] = await suite.gateway.billOf(text);
      expect(more).toEqual([]);
      expect(headers.get("x-request-id")).toBe(requestId);
      expect(message).toMatchObject({ requestId, provider: "openai", model: "sim-model" });
      expect(message.choices).toMatchObject([
        {
          index: 0,
          finishReason: FinishReason.STOP,
          message: { role: Role.ASSISTANT, parts: [{ content: { case: "text" } }] },
        },
      ]);
      const usage = {
        tokensIn: BigInt(line?.tokensIn ?? -1),
        tokensOut: 16n,
        uncachedTokensIn: BigInt(line?.tokensIn ?? -1),
        cacheReadTokensIn: 0n,
        cacheWriteTokensIn: 0n,
        textTokensOut: 16n,
        reasoningTokensOut: 0n,
        source: UsageSource.REPORTED,
      };
      const cost = {
        costUsd: usd(billedPicoUsd(line ? [line] : [])),
        priceId: expect.stringMatching(/^openai\/sim-model@[0-9a-f]+$/),
        estimated: false,
        unpriced: false,
      };
      expect(message).toMatchObject({ usage, cost });
      expect(message.attempts).toMatchObject([
        {
          attemptId: expect.stringMatching(UUID),
          ordinal: 1,
          provider: "openai",
          model: "sim-model",
          outcome: AttemptOutcome.SUCCEEDED,
          errorReason: ErrorReason.UNSPECIFIED,
          usage,
          cost,
          billingState: BillingState.SETTLED,
        },
      ]);
      expect(message.attempts[0]?.latency).toBeDefined();
    });

    it("takes the request id from the header when the message has none, and makes one when neither has", async () => {
      const stated = await suite.complete(
        uniquePrompt(),
        {},
        { headers: { "x-request-id": "from-the-header" } },
      );
      expect(stated.message.requestId).toBe("from-the-header");
      expect(stated.headers.get("x-request-id")).toBe("from-the-header");
      const made = await suite.complete(uniquePrompt());
      expect(made.message.requestId).toMatch(UUID);
      expect(made.headers.get("x-request-id")).toBe(made.message.requestId);
    });

    it("carries text of every kind unharmed both ways", async () => {
      const answer = 'Grüße, 世界 👩‍👩‍👧 \u0000\u001f ‏مرحبا "quoted" \\ \n end';
      const text = uniquePrompt(directive("openai", { text: answer }), "Ω≈ç√ 👋");
      const { message } = await suite.complete(text);
      expect(message.choices[0]?.message?.parts).toMatchObject([
        { content: { case: "text", value: answer } },
      ]);
      expect(suite.gateway.requestsOf("Ω≈ç√ 👋").at(-1)?.body).toMatchObject({
        messages: [{ content: text }],
      });
    });

    it("keeps cached and reasoning tokens in buckets of their own, each at its price", async () => {
      const script = {
        tokensIn: 1000,
        cachedTokensIn: 600,
        cacheWriteTokensIn: 100,
        tokensOut: 50,
        reasoningTokens: 30,
      };
      const text = uniquePrompt(directive("openai", script));
      const { message } = await suite.complete(text);
      expect(message.usage).toMatchObject({
        tokensIn: 1000n,
        uncachedTokensIn: 300n,
        cacheReadTokensIn: 600n,
        cacheWriteTokensIn: 100n,
        tokensOut: 50n,
        textTokensOut: 20n,
        reasoningTokensOut: 30n,
      });
      expect(message.cost?.costUsd).toBe(usd(billedPicoUsd(await suite.gateway.billOf(text))));
    });

    it("says when the answer was cut at the limit of output tokens", async () => {
      const { message } = await suite.complete(uniquePrompt(), { maxOutputTokens: 4 });
      expect(message.choices[0]?.finishReason).toBe(FinishReason.LENGTH);
      expect(message.usage?.tokensOut).toBe(4n);
    });

    it("falls back to the next model when the first provider fails, and shows both attempts", async () => {
      const text = uniquePrompt(directive("openai", { status: 401 }));
      const { message } = await suite.complete(text, { fallbackModels: [FALLBACK_MODEL] });
      expect(message).toMatchObject({ provider: "deepseek", model: "sim-model" });
      expect(message.attempts).toMatchObject([
        {
          ordinal: 1,
          provider: "openai",
          outcome: AttemptOutcome.FAILED,
          errorReason: ErrorReason.PROVIDER_AUTHENTICATION,
          billingState: BillingState.NOT_BILLED,
          cost: { costUsd: usd(0n) },
        },
        { ordinal: 2, provider: "deepseek", outcome: AttemptOutcome.SUCCEEDED },
      ]);
      expect(message.cost?.costUsd).toBe(usd(billedPicoUsd(await suite.gateway.billOf(text))));
    });

    it("goes through the configured chain of an alias to its third provider", async () => {
      const refused = [directive("openai", { status: 401 }), directive("deepseek", { status: 403 })];
      const text = uniquePrompt(...refused);
      const { message } = await suite.complete(text, { model: CHAIN });
      expect(message).toMatchObject({ provider: "huggingface", model: "sim-org/sim-model:sim" });
      expect(message.attempts.map(({ provider }) => provider)).toEqual(["openai", "deepseek", "huggingface"]);
      expect(message.usage?.cacheReadTokensIn).toBeUndefined();
      expect(message.cost?.costUsd).toBe(usd(billedPicoUsd(await suite.gateway.billOf(text))));
    });

    it("asks the same provider again after a rate limit, with a record of each attempt", async () => {
      const text = uniquePrompt(directive("openai", { status: 429, retryAfterMs: 1, times: 1 }));
      const { message } = await suite.complete(text);
      expect(message.attempts).toMatchObject([
        { ordinal: 1, outcome: AttemptOutcome.FAILED, errorReason: ErrorReason.PROVIDER_RATE_LIMITED },
        { ordinal: 2, outcome: AttemptOutcome.SUCCEEDED, billingState: BillingState.SETTLED },
      ]);
      expect(await suite.gateway.billOf(text)).toMatchObject([{ state: "refused" }, { state: "completed" }]);
    });

    it("offers tools, returns the call that the model asks for, and takes the tool's result", async () => {
      const tool = {
        name: "get_weather",
        description: "Weather of a place",
        parametersJsonSchema: '{"type":"object","properties":{"place":{"type":"string"}}}',
        strict: true,
      };
      const script = { toolCall: { name: "get_weather", arguments: { place: "Köln" } } };
      const text = uniquePrompt(directive("openai", script));
      const asked = await suite.complete(text, {
        tools: [tool],
        toolChoice: { choice: { case: "mode", value: ToolChoiceMode.REQUIRED } },
        parallelToolCalls: false,
      });
      expect(asked.message.choices[0]?.finishReason).toBe(FinishReason.TOOL_CALLS);
      const content = asked.message.choices[0]?.message?.parts[0]?.content;
      if (content?.case !== "toolCall") throw new Error(`no tool call but ${content?.case}`);
      expect(content.value).toMatchObject({ name: "get_weather", id: expect.stringMatching(/./) });
      expect(JSON.parse(content.value.argumentsJson)).toEqual({ place: "Köln" });
      expect(suite.gateway.requestsOf(text)[0]?.body).toMatchObject({
        tools: [{ type: "function", function: { name: "get_weather", strict: true } }],
        tool_choice: "required",
        parallel_tool_calls: false,
      });

      const followUp = uniquePrompt();
      const result = { toolCallId: content.value.id, text: '{"celsius":21}' };
      const answered = await suite.complete(followUp, {
        messages: [
          { role: Role.USER, parts: [textPart(followUp)] },
          { role: Role.ASSISTANT, parts: [{ content: { case: "toolCall", value: content.value } }] },
          { role: Role.TOOL, parts: [{ content: { case: "toolResult", value: result } }] },
        ],
      });
      expect(answered.message.choices[0]?.finishReason).toBe(FinishReason.STOP);
      expect(suite.gateway.requestsOf(followUp)[0]?.body).toMatchObject({
        messages: [
          { role: "user" },
          { role: "assistant", tool_calls: [{ id: content.value.id, function: { name: "get_weather" } }] },
          { role: "tool", tool_call_id: content.value.id, content: '{"celsius":21}' },
        ],
      });
    });

    it("sends images by address and by bytes", async () => {
      const text = uniquePrompt();
      const url = "https://images.example/cat.png";
      const data = new Uint8Array(PIXEL);
      await suite.complete(text, {
        messages: [
          {
            role: Role.USER,
            parts: [
              textPart(text),
              { content: { case: "image", value: { source: { case: "url", value: url } } } },
              {
                content: {
                  case: "image",
                  value: {
                    source: { case: "inline", value: { data, mediaType: "image/png" } },
                    detail: ImageDetail.HIGH,
                  },
                },
              },
            ],
          },
        ],
      });
      const inline = `data:image/png;base64,${PIXEL.toString("base64")}`;
      expect(suite.gateway.requestsOf(text)[0]?.body).toMatchObject({
        messages: [
          {
            content: [
              { type: "text", text },
              { type: "image_url", image_url: { url } },
              { type: "image_url", image_url: { url: inline, detail: "high" } },
            ],
          },
        ],
      });
    });

    it("asks for JSON by a schema and passes every sampling parameter on", async () => {
      const schema = { type: "object", properties: { colour: { type: "string" } }, required: ["colour"] };
      const text = uniquePrompt();
      const { message } = await suite.complete(text, {
        responseFormat: {
          format: {
            case: "jsonSchema",
            value: { name: "colour", schemaJson: JSON.stringify(schema), strict: true },
          },
        },
        ...{ maxOutputTokens: 200, temperature: 0.5, topP: 0.25, seed: 9_007_199_254_740_991n },
        ...{ stop: ["END", "\n\n"], endUser: "user-7" },
      });
      const content = message.choices[0]?.message?.parts[0]?.content;
      expect(JSON.parse(content?.case === "text" ? content.value : "")).toEqual({
        colour: expect.any(String),
      });
      expect(suite.gateway.requestsOf(text)[0]?.body).toMatchObject({
        model: "sim-model",
        response_format: { type: "json_schema", json_schema: { name: "colour", strict: true, schema } },
        ...{ max_completion_tokens: 200, temperature: 0.5, top_p: 0.25, seed: 9_007_199_254_740_991 },
        stop: ["END", "\n\n"],
      });
    });
  });
}
