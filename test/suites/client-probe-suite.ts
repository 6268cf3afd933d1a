import { describe, expect, it } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/es/grpc/health/v1/health_pb.ts";
import { ModelService } from "../../gen/es/llmgateway/v1/model_pb.ts";
import { failureOf } from "../support/clients/gateway-client.ts";
import { CHAIN, FALLBACK_MODEL, MODEL } from "../support/gateway-under-test.ts";
import type { ClientSuite } from "./client-suite.ts";

const { listModels } = ModelService.method;

/** Models and health. */
export function describeProbes(suite: ClientSuite): void {
  describe("models", () => {
    it("are listed in pages, with chains and the prices in force", async () => {
      const options = { key: suite.key };
      const { message } = await suite.client.unary(listModels, {}, options);
      const chain = message.models.find(({ name }) => name === CHAIN);
      expect(chain?.chain.map(({ provider, model }) => `${provider}/${model}`)).toEqual([
        "openai/sim-model",
        "deepseek/sim-model",
        "huggingface/sim-org/sim-model:sim",
      ]);
      expect(chain?.chain[0]?.price).toMatchObject({
        priceId: expect.stringMatching(/^openai\/sim-model@/),
        unitPrices: { uncachedUsdPerMillion: "1.000001", cacheReadUsdPerMillion: "0.100003" },
      });
      const names = message.models.map(({ name }) => name);
      const paged: string[] = [];
      let pageToken = "";
      do {
        const page = await suite.client.unary(listModels, { pageSize: 3, pageToken }, options);
        paged.push(...page.message.models.map(({ name }) => name));
        pageToken = page.message.nextPageToken;
      } while (pageToken !== "");
      expect(paged).toEqual(names);
    });

    it("are those that the key may use", async () => {
      const { secret } = await suite.gateway.createKey({ allowedModels: [FALLBACK_MODEL] });
      const { message } = await suite.client.unary(listModels, {}, { key: secret });
      const usable = message.models.flatMap(({ chain }) => chain.map(({ provider }) => provider));
      expect(new Set(usable)).toEqual(new Set(["deepseek"]));
      expect(message.models.map(({ name }) => name)).not.toContain(MODEL);
    });
  });

  describe("health", () => {
    it("is checked, listed and watched without a key", async () => {
      for (const service of ["", "llmgateway.v1.CompletionService", "llmgateway.v1.EmbeddingService"]) {
        const { message } = await suite.client.unary(Health.method.check, { service });
        expect(message.status).toBe(Status.SERVING);
      }
      const unknown = await failureOf(
        suite.client.unary(Health.method.check, { service: "no.such.Service" }),
      );
      expect(unknown.code).toBe("not_found");
      const { message } = await suite.client.unary(Health.method.list, {});
      expect(message.statuses).toMatchObject({
        "": { status: Status.SERVING },
        "llmgateway.v1.CostService": { status: Status.SERVING },
      });
      const first = async (service: string) => {
        for await (const { status } of suite.client.stream(Health.method.watch, { service })) return status;
        return undefined;
      };
      expect(await first("")).toBe(Status.SERVING);
      expect(await first("no.such.Service")).toBe(Status.SERVICE_UNKNOWN);
    });
  });
}
