import { randomUUID } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { FinishReason, type StreamCompleteResponse } from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { CostService } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { ErrorReason } from "../../gen/es/llmgateway/v1/error_reason_pb.ts";
import {
  AttemptOutcome,
  BillingState,
  FailedCompletionSchema,
  UsageSource,
} from "../../gen/es/llmgateway/v1/usage_pb.ts";
import { drain } from "../support/clients/gateway-client.ts";
import { billedPicoUsd, directive, FALLBACK_MODEL, usd } from "../support/gateway-under-test.ts";
import { type ClientSuite, uniquePrompt } from "./client-suite.ts";

/** The kinds of the events, repetitions left out. */
function kinds(events: readonly StreamCompleteResponse[]): readonly unknown[] {
  return events.map(({ event }) => event.case).filter((kind, index, all) => kind !== all[index - 1]);
}

/** All pieces of one kind of text, joined. */
function joined(events: readonly StreamCompleteResponse[], kind: "textDelta" | "reasoningDelta"): string {
  return events.map(({ event }) => (event.case === kind ? event.value.text : "")).join("");
}

function finishOf(events: readonly StreamCompleteResponse[]) {
  const last = events.at(-1)?.event;
  if (last?.case !== "finished") throw new Error(`the last event is ${last?.case}`);
  return last.value;
}

/** Streamed completions. */
export function describeStreams(suite: ClientSuite): void {
  describe("StreamComplete", () => {
    it("starts, streams text, and finishes with usage, cost and attempts at the provider's bill", async () => {
      const requestId = randomUUID();
      const text = uniquePrompt(directive("openai", { tokenDelayMs: 1, tokensOut: 8 }));
      const { messages, failure } = await drain(suite.stream(text, { requestId }));
      expect(failure).toBeUndefined();
      expect(kinds(messages)).toEqual(["started", "textDelta", "finished"]);
      expect(messages[0]?.event.value).toMatchObject({ requestId, provider: "openai", model: "sim-model" });
      expect(joined(messages, "textDelta")).toBe("w00 w01 w02 w03 w04 w05 w06 w07 ");
      const [line, ...more] = await suite.gateway.billOf(text);
      expect(more).toEqual([]);
      expect(finishOf(messages)).toMatchObject({
        requestId,
        finishReason: FinishReason.STOP,
        choices: [{ choiceIndex: 0, finishReason: FinishReason.STOP }],
        usage: { tokensIn: BigInt(line?.tokensIn ?? -1), tokensOut: 8n, source: UsageSource.REPORTED },
        cost: { costUsd: usd(billedPicoUsd(line ? [line] : [])), estimated: false, unpriced: false },
        attempts: [{ ordinal: 1, outcome: AttemptOutcome.SUCCEEDED, billingState: BillingState.SETTLED }],
      });
    });

    it("delivers the first text while the provider still writes", async () => {
      const text = uniquePrompt(directive("openai", { stallAfterTokens: 2 }));
      for await (const { event } of suite.stream(text)) {
        if (event.case !== "textDelta") continue;
        expect(event.value.text).toMatch(/^w00 /);
        break;
      }
      await expectAborted(suite, text);
    });

    it("streams reasoning apart from text", async () => {
      const text = uniquePrompt(directive("deepseek", { tokensOut: 9, reasoningTokens: 5 }));
      const { messages } = await drain(suite.stream(text, { model: FALLBACK_MODEL }));
      expect(kinds(messages)).toEqual(["started", "reasoningDelta", "textDelta", "finished"]);
      expect(joined(messages, "reasoningDelta")).not.toBe("");
      expect(finishOf(messages).usage).toMatchObject({ textTokensOut: 4n, reasoningTokensOut: 5n });
    });

    it("streams a tool call whose pieces make its JSON", async () => {
      const script = { toolCall: { name: "look_up", arguments: { word: "Grüße 👋", n: 3 } } };
      const text = uniquePrompt(directive("openai", script));
      const { messages } = await drain(suite.stream(text, { tools: [{ name: "look_up" }] }));
      const deltas = messages.flatMap(({ event }) => (event.case === "toolCallDelta" ? [event.value] : []));
      expect(deltas[0]).toMatchObject({ toolIndex: 0, name: "look_up", id: expect.stringMatching(/./) });
      expect(JSON.parse(deltas.map(({ argumentsDelta }) => argumentsDelta).join(""))).toEqual({
        word: "Grüße 👋",
        n: 3,
      });
      expect(finishOf(messages).finishReason).toBe(FinishReason.TOOL_CALLS);
    });

    it("falls back before anything was delivered", async () => {
      const text = uniquePrompt(directive("openai", { status: 401 }));
      const { messages } = await drain(suite.stream(text, { fallbackModels: [FALLBACK_MODEL] }));
      expect(messages[0]?.event.value).toMatchObject({ provider: "deepseek" });
      expect(finishOf(messages).attempts).toMatchObject([
        { provider: "openai", outcome: AttemptOutcome.FAILED },
        { provider: "deepseek", outcome: AttemptOutcome.SUCCEEDED },
      ]);
      expect(finishOf(messages).cost?.costUsd).toBe(usd(billedPicoUsd(await suite.gateway.billOf(text))));
    });

    it("ends a cut stream with usage and cost in the last message, and with an error that holds them too", async () => {
      const requestId = randomUUID();
      const text = uniquePrompt(directive("openai", { cutAfterTokens: 5, tokenDelayMs: 1 }));
      const { messages, failure } = await drain(
        suite.stream(text, { requestId, fallbackModels: [FALLBACK_MODEL] }),
      );
      expect(kinds(messages)).toEqual(["started", "textDelta", "finished"]);
      expect(joined(messages, "textDelta")).toBe("w00 w01 w02 w03 w04 ");
      const [line] = await suite.gateway.billOf(text);
      expect(line).toMatchObject({ state: "interrupted", tokensOut: 5 });
      const spent = {
        // As the tokenizer counts the text, or by bytes while that is being loaded.
        usage: { tokensOut: expect.toBeOneOf([11n, 5n]), source: UsageSource.ESTIMATED },
        cost: { estimated: true, costUsd: expect.stringMatching(/^0\.\d{12}$/) },
        attempts: [{ outcome: AttemptOutcome.FAILED, errorReason: ErrorReason.PROVIDER_STREAM_CUT }],
      };
      expect(finishOf(messages)).toMatchObject({ ...spent, finishReason: FinishReason.ERROR });
      expect(failure).toMatchObject({ code: "unavailable", reason: "PROVIDER_STREAM_CUT" });
      expect(failure?.detail(FailedCompletionSchema)).toMatchObject({ requestId, ...spent });
    });

    it("settles a stream that its caller leaves, and closes the provider's socket within 250 ms", async () => {
      const requestId = randomUUID();
      const text = uniquePrompt(directive("openai", { tokenDelayMs: 20, tokensOut: 500 }));
      let leftAt = 0;
      for await (const { event } of suite.stream(text, { requestId })) {
        leftAt = Date.now();
        if (event.case === "textDelta") break;
      }
      const request = await expectAborted(suite, text);
      const [line] = await suite.gateway.billOf(text);
      expect((line?.startedAt ?? 0) + (request.abortedAfterMs ?? 0) - leftAt).toBeLessThan(250);
      const record = await vi.waitFor(async () => {
        const { message } = await suite.client.unary(
          CostService.method.listCostRecords,
          { pageSize: 1000 },
          { key: suite.key },
        );
        const found = message.records.find((candidate) => candidate.requestId === requestId);
        expect(found).toBeDefined();
        return found;
      });
      expect(record).toMatchObject({
        outcome: AttemptOutcome.CANCELLED,
        errorReason: ErrorReason.CANCELLED,
        streamed: true,
        usage: { source: UsageSource.ESTIMATED },
        cost: { estimated: true },
      });
      // The simulator's words have two tokens each, and a space is left at the end.
      expect(Number(record?.usage?.tokensOut)).toBeLessThanOrEqual(2 * ((line?.tokensOut ?? 0) + 2) + 1);
    });
  });
}

function expectAborted(suite: ClientSuite, text: string) {
  return vi.waitFor(
    () => {
      const [request] = suite.gateway.requestsOf(text);
      if (!request?.aborted) throw new Error("the provider's socket is still open");
      return request;
    },
    { timeout: 3_000, interval: 10 },
  );
}
