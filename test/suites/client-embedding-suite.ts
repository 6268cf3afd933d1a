import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../gen/es/google/rpc/error_details_pb.ts";
import { CostService } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import {
  type Embedding,
  EmbeddingPurpose,
  EmbeddingService,
  type EmbedRequestSchema,
} from "../../gen/es/llmgateway/v1/embedding_pb.ts";
import { ErrorReason } from "../../gen/es/llmgateway/v1/error_reason_pb.ts";
import { AttemptOutcome, BillingState, UsageSource } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import { DEFAULT_DIMENSIONS, vectorOf } from "../../simulator/embeddings.ts";
import { type CallFailure, type CallOptions, failureOf } from "../support/clients/gateway-client.ts";
import {
  billedPicoUsd,
  directive,
  EMBEDDING_MODEL,
  FALLBACK_MODEL,
  MODEL,
  OTHER_EMBEDDING_MODEL,
  usd,
} from "../support/gateway-under-test.ts";
import { type ClientSuite, uniquePrompt } from "./client-suite.ts";

const reasonOf = (failure: CallFailure) => failure.detail(ErrorInfoSchema).reason;

type EmbedInit = Partial<MessageInitShape<typeof EmbedRequestSchema>>;

/** Embeddings. */
export function describeEmbeddings(suite: ClientSuite): void {
  const embed = (request: EmbedInit, options?: CallOptions) =>
    suite.client.unary(
      EmbeddingService.method.embed,
      { model: EMBEDDING_MODEL, ...request } as MessageInitShape<typeof EmbedRequestSchema>,
      { key: suite.key, ...options },
    );
  // Go writes the shortest text that means a 32-bit float, which as a 64-bit one is another number.
  const valuesOf = (embeddings: readonly Embedding[]) =>
    embeddings.map(({ values }) => values.map((value) => Math.fround(value)));
  const expected = (items: readonly string[], dimensions = DEFAULT_DIMENSIONS, model = "sim-embedding") =>
    items.map((item) => [...vectorOf(model, item, dimensions)]);

  describe("Embed", () => {
    it("answers with a vector for each text, usage, cost and the attempt, at the provider's own bill", async () => {
      const requestId = randomUUID();
      const texts = [uniquePrompt(), "Grüße, 世界 👩‍👩‍👧", "x"];
      const { message, headers } = await embed({ requestId, texts });
      const [line, ...more] = await suite.gateway.billOf(texts[0] ?? "");
      expect(more).toEqual([]);
      expect(headers.get("x-request-id")).toBe(requestId);
      expect(message).toMatchObject({ requestId, provider: "openai", model: "sim-embedding" });
      expect(valuesOf(message.embeddings)).toEqual(expected(texts));
      const usage = {
        tokensIn: BigInt(line?.tokensIn ?? -1),
        tokensOut: 0n,
        uncachedTokensIn: BigInt(line?.tokensIn ?? -1),
        textTokensOut: 0n,
        source: UsageSource.REPORTED,
      };
      const costUsd = usd(billedPicoUsd(line ? [line] : []));
      expect(message).toMatchObject({ usage, cost: { costUsd, estimated: false, unpriced: false } });
      expect(message.attempts).toMatchObject([
        {
          ...{ ordinal: 1, provider: "openai", model: "sim-embedding", usage, cost: { costUsd } },
          ...{ outcome: AttemptOutcome.SUCCEEDED, billingState: BillingState.SETTLED },
        },
      ]);
      expect(message.replayed).toBe(false);
    });

    it("takes token ids, dimensions and an end user, and asks for base64", async () => {
      const marker = uniquePrompt();
      const tokenSequences = [{ tokens: [1, 2, 3] }, { tokens: [100_257] }];
      const { message } = await embed({ tokenSequences, dimensions: 24, endUser: marker });
      expect(valuesOf(message.embeddings)).toEqual(expected(["1 2 3", "100257"], 24));
      expect(message.usage?.tokensIn).toBe(4n);
      expect(suite.gateway.requestsOf(marker)[0]?.body).toEqual({
        ...{ model: "sim-embedding", input: [[1, 2, 3], [100_257]], dimensions: 24 },
        ...{ encoding_format: "base64", user: marker },
      });
    });

    it("shows up in the reports under its tags, with what it cost", async () => {
      const tag = randomUUID();
      const { message } = await embed({ texts: [uniquePrompt()], tags: { job: tag } });
      const filter = { tags: { job: tag } };
      const options = { key: suite.gateway.adminKey };
      const report = await suite.client.unary(CostService.method.costQuery, { filter }, options);
      expect(report.message.totals).toMatchObject({
        ...{ requests: 1n, attempts: 1n, tokensIn: message.usage?.tokensIn, tokensOut: 0n },
        costUsd: message.cost?.costUsd,
      });
    });

    it("follows the fallbacks that its caller named, and says whose vectors they are", async () => {
      const texts = [uniquePrompt(), uniquePrompt(directive("openai", { status: 401, times: 1 }))];
      const { message } = await embed({ texts, fallbackModels: [OTHER_EMBEDDING_MODEL] });
      expect(message).toMatchObject({ provider: "openai", model: "other-embedding" });
      expect(valuesOf(message.embeddings)).toEqual(expected(texts, DEFAULT_DIMENSIONS, "other-embedding"));
      expect(message.attempts).toMatchObject([
        { errorReason: ErrorReason.PROVIDER_AUTHENTICATION, billingState: BillingState.NOT_BILLED },
        { model: "other-embedding", outcome: AttemptOutcome.SUCCEEDED },
      ]);
      expect(message.cost?.costUsd).toBe(usd(billedPicoUsd(await completed(texts[0] ?? ""))));
    });

    it("gets the same vectors again under the same id, without a call", async () => {
      const requestId = randomUUID();
      const texts = [uniquePrompt()];
      const first = await embed({ requestId, texts });
      const again = await embed({ requestId, texts });
      expect(again.message).toEqual({ ...first.message, replayed: true });
      expect(suite.gateway.requestsOf(texts[0] ?? "")).toHaveLength(1);
      const other = await failureOf(embed({ requestId, texts: [...texts, "more"] }));
      expect(reasonOf(other)).toBe("REQUEST_ID_REUSED");
    });

    it("is retried and fails as completions do, with its attempts", async () => {
      const once = uniquePrompt(directive("openai", { status: 503, times: 1, retryAfterMs: 1 }));
      expect((await embed({ texts: [once] })).message.attempts).toHaveLength(2);
      const refused = uniquePrompt(directive("openai", { status: 400, errorMessage: "no" }));
      const failure = await failureOf(embed({ texts: [refused] }));
      expect(reasonOf(failure)).toBe("PROVIDER_INVALID_REQUEST");
    });

    it("that is not understood is told with what it broke, before anything is spent", async () => {
      const wrong: readonly EmbedInit[] = [
        {},
        { texts: ["a"], tokenSequences: [{ tokens: [1] }] },
        { texts: [""] },
        { tokenSequences: [{ tokens: [] }] },
        { texts: ["a"], dimensions: 0 },
        { texts: Array.from({ length: 2049 }, () => "a") },
        { texts: ["a"], model: "no model" },
        // Not at OpenAI.
        { texts: ["a"], purpose: EmbeddingPurpose.QUERY },
        // Nor at all at these.
        { texts: ["a"], model: FALLBACK_MODEL },
      ];
      for (const request of wrong) {
        const failure = await failureOf(embed(request));
        expect([failure.code, reasonOf(failure)]).toEqual(["invalid_argument", "INVALID_REQUEST"]);
      }
    });

    it("of a model that only completes is the provider's to refuse", async () => {
      // The simulator embeds with any model: what counts is that it was asked, and no chain was followed.
      const { message } = await embed({ texts: [uniquePrompt()], model: MODEL });
      expect(message.attempts).toMatchObject([{ provider: "openai", model: "sim-model" }]);
    });
  });

  async function completed(text: string) {
    return (await suite.gateway.billOf(text)).filter(({ state }) => state === "completed");
  }
}
