import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EmbeddingAbilities } from "../../src/core/embedding.ts";
import type { Embedder, Provider } from "../../src/core/provider.ts";
import type { ProviderTypeName } from "../../src/core/provider-types.ts";
import { estimatedUsage, type UsageReport } from "../../src/core/usage.ts";
import { createProvider } from "../../src/providers/create-provider.ts";
import {
  answersJson,
  answersWith,
  embeddingCallOf,
  embeddingOf,
  failureOf,
  readResponse,
} from "../support/provider-calls.ts";
import { ScriptedProvider } from "../support/scripted-provider.ts";
import { API_KEY } from "./provider-suite.ts";

/** What the suite has to know of a provider that makes embeddings. */
export interface EmbeddingProviderUnderTest {
  readonly profile: ProviderTypeName;
  readonly basePath: string;
  readonly model: string;
  readonly path: string;
  readonly abilities: EmbeddingAbilities;
  /** What two texts, 3 dimensions (where it takes them) and an end user become. */
  readonly body: object;
  /** Undefined where the fixture states none. */
  readonly tokensIn: number | undefined;
  readonly responseModel: string | undefined;
  readonly requestId: string | undefined;
  readonly providerCostPicoUsd?: bigint;
  /** The member of an answer that holds the embeddings. */
  readonly list: "data" | "embeddings";
}

const TEXTS = ["Guten Tag", "你好 👋"];
const VECTORS = [Float32Array.of(0.5, -0.25, 0.125), Float32Array.of(1, 0, -1.5)];

/** The suite that every provider that makes embeddings must pass. */
export function describeEmbeddingProvider(subject: EmbeddingProviderUnderTest): void {
  const { profile, model, abilities } = subject;
  describe(`embeddings of ${profile}`, () => {
    let standIn: ScriptedProvider;
    let provider: Provider;
    beforeAll(async () => {
      standIn = await ScriptedProvider.start();
      const baseUrl = `${standIn.origin}${subject.basePath}`;
      provider = createProvider({
        ...{ name: profile, profile, baseUrl, apiKey: API_KEY, connectTimeoutMs: 2_000 },
      });
    });
    afterAll(async () => {
      await provider.close();
      await standIn[Symbol.asyncDispose]();
    });
    const embedder = (): Embedder => {
      if (!provider.embedder) throw new Error("it makes no embeddings");
      return provider.embedder;
    };
    const dimensions = abilities.dimensions ? 3 : undefined;
    const input = embeddingOf(TEXTS, { dimensions, endUser: "u-1" });
    const call = () => embeddingCallOf({ model, input });
    const fixture = `${profile}/embeddings.json`;
    const changed = (change: (body: Record<string, unknown>) => void) => {
      const body = structuredClone(readResponse(fixture).body) as Record<string, unknown>;
      change(body);
      standIn.does(answersJson(body));
      return embedder().embed(call());
    };

    it("are asked for by one POST of all texts, and come in their order", async () => {
      standIn.does(answersWith(fixture));
      const answer = await embedder().embed(call());
      const { method, path, body } = standIn.onlyRequest;
      expect(method).toBe("POST");
      expect(path).toBe(`${subject.basePath}${subject.path}`);
      expect(JSON.parse(body)).toEqual(subject.body);
      const usage: UsageReport =
        subject.tokensIn === undefined
          ? { kind: "absent" }
          : { kind: "reported", usage: estimatedUsage(subject.tokensIn, 0) };
      expect(answer).toMatchObject({ responseModel: subject.responseModel, outputBytes: 0, usage });
      expect(answer.vectors).toEqual(VECTORS);
      expect(answer.providerRequestId).toBe(subject.requestId);
      expect(answer.providerCostPicoUsd).toBe(subject.providerCostPicoUsd);
    });

    it("can be told what the profile says", () => {
      expect(embedder().abilities).toEqual(abilities);
    });

    it("in another number than asked for are not understood, and may have been billed", async () => {
      const work = changed((body) => void (body[subject.list] as unknown[]).pop());
      expect(await failureOf(work)).toMatchObject({
        reason: "PROVIDER_BAD_RESPONSE",
        billing: "maybe_billed",
        usage: { kind: subject.tokensIn === undefined ? "absent" : "reported" },
      });
    });

    it.each([
      ["a text that is no vector", "!"],
      ["no whole number of floats", "AAA="],
      ["not finite", "AADAfwAAwH8AAMB/"],
      ["empty", []],
      ["no numbers", [0.1, null, 0.3]],
      ["of another length", [0.1, 0.2]],
      ["missing", undefined],
    ])("that are %s are not understood", async (_, value) => {
      const member = subject.list === "data" ? "embedding" : "values";
      const work = changed((body) => {
        const [, second] = body[subject.list] as Record<string, unknown>[];
        if (second) second[member] = value;
      });
      expect((await failureOf(work)).reason).toBe("PROVIDER_BAD_RESPONSE");
    });

    it.each([
      ["no JSON", "<html>"],
      ["no object", "[]"],
      ["an empty body", ""],
    ])("in %s are not understood", async (_, text) => {
      standIn.does((response) => void response.writeHead(200).end(text));
      expect((await failureOf(embedder().embed(call()))).reason).toBe("PROVIDER_BAD_RESPONSE");
    });

    it.each([
      [401, "PROVIDER_AUTHENTICATION"],
      [404, "PROVIDER_MODEL_NOT_FOUND"],
      [429, "PROVIDER_RATE_LIMITED"],
      [500, "PROVIDER_ERROR"],
    ])("refused with %i fail as completions do", async (status, reason) => {
      standIn.does((response) => void response.writeHead(status).end("{}"));
      const error = await failureOf(embedder().embed(call()));
      expect(error).toMatchObject({ reason, billing: "not_billed" });
    });

    it("end with their limit and with their caller", async () => {
      standIn.does(() => {});
      const timeouts = { totalMs: 60, firstTokenMs: 60, idleMs: 60 };
      const late = await failureOf(embedder().embed({ ...call(), timeouts }));
      expect(late).toMatchObject({ reason: "PROVIDER_TIMEOUT", billing: "maybe_billed" });
      const controller = new AbortController();
      const work = failureOf(embedder().embed({ ...call(), signal: controller.signal }));
      standIn.does(() => {});
      await standIn.nextRequest();
      controller.abort();
      expect((await work).reason).toBe("CANCELLED");
    });
  });
}
