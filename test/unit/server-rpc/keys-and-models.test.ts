import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BadRequestSchema } from "../../../gen/es/google/rpc/error_details_pb.ts";
import { KeyRole } from "../../../gen/es/llmgateway/v1/access_pb.ts";
import { KeyService } from "../../../gen/es/llmgateway/v1/key_pb.ts";
import { ModelService } from "../../../gen/es/llmgateway/v1/model_pb.ts";
import { GatewayError } from "../../../src/core/errors.ts";
import type { ModelEntry } from "../../../src/core/gateway.ts";
import type { ApiKey, Principal } from "../../../src/core/keys.ts";
import { costRecord } from "../../support/cost-samples.ts";
import { startRpcServer, type TestRpcServer } from "../../support/rpc-server.ts";

const CREATED = new Date("2026-11-01T00:00:00Z");
const stored: ApiKey = {
  apiKeyId: "k_1",
  displayName: "search",
  roles: ["invoke", "read_costs"],
  allowedModels: ["fast"],
  limits: { requestsPerMinute: 60, tokensPerMinute: 1_000_000_000_000, maxConcurrent: undefined },
  tags: { team: "search" },
  createdAt: CREATED,
  expiresAt: undefined,
  revokedAt: undefined,
};

const options = { headers: { authorization: "Bearer keys-secret" } };
let calls: unknown[][] = [];
let server: TestRpcServer;

const models: ModelEntry[] = ["fast", "deepseek/deepseek-flash", "openai/gpt-5-mini", "gpt-5-mini"].map(
  (name) => ({
    name,
    chain: [{ provider: "openai", model: "gpt-5-mini", price: undefined }],
  }),
);

beforeAll(async () => {
  const record =
    <T>(name: string, answer: T) =>
    async (actor: Principal, ...rest: unknown[]): Promise<T> => {
      calls.push([name, actor.apiKeyId, ...rest]);
      return answer;
    };
  const withSecret = { key: stored, secret: "gw_live_x_y" };
  server = await startRpcServer({
    keys: {
      create: record("create", withSecret),
      get: async (_actor, apiKeyId) => {
        if (apiKeyId !== "k_1") throw new GatewayError("NOT_FOUND", "there is no such key");
        return { ...stored, expiresAt: CREATED, revokedAt: CREATED };
      },
      list: record("list", { keys: [stored], nextPageToken: "next" }),
      update: record("update", stored),
      rotate: record("rotate", withSecret),
      revoke: record("revoke", stored),
    },
    gateway: { models: () => models },
  });
});
afterAll(() => server.close());
beforeEach(() => {
  calls = [];
});

async function refusal(call: Promise<unknown>) {
  const error = await call.catch((thrown: unknown) => thrown);
  if (!(error instanceof ConnectError)) throw new Error("the call was not refused");
  const fields = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return { code: error.code, fields: fields.map(({ field }) => field) };
}

describe("KeyService", () => {
  const client = () => createClient(KeyService, createGrpcTransport({ baseUrl: server.http2Url }));

  test("creates a key and shows its secret", async () => {
    const answer = await client().createKey(
      {
        key: {
          apiKeyId: "ignored",
          displayName: "search",
          roles: [KeyRole.INVOKE],
          limits: { tokensPerMinute: 5000n },
          tags: { team: "search" },
          expireTime: timestampFromDate(CREATED),
        },
      },
      options,
    );
    expect(answer.secret).toBe("gw_live_x_y");
    expect(answer.key).toMatchObject({
      apiKeyId: "k_1",
      roles: [KeyRole.INVOKE, KeyRole.READ_COSTS],
      limits: { requestsPerMinute: 60, tokensPerMinute: 1_000_000_000_000n },
    });
    expect(answer.key?.limits?.maxConcurrent).toBeUndefined();
    expect(calls).toEqual([
      [
        "create",
        "k_keys",
        {
          displayName: "search",
          roles: ["invoke"],
          allowedModels: [],
          limits: { requestsPerMinute: undefined, tokensPerMinute: 5000, maxConcurrent: undefined },
          tags: { team: "search" },
          expiresAt: CREATED,
        },
      ],
    ]);
  });

  test("shows a key, and says when there is none", async () => {
    const { key } = await client().getKey({ apiKeyId: "k_1" }, options);
    expect(key?.revokeTime).toMatchObject(timestampFromDate(CREATED));
    expect((await refusal(client().getKey({ apiKeyId: "k_2" }, options))).code).toBe(Code.NotFound);
  });

  test("lists keys by pages", async () => {
    const answer = await client().listKeys({ pageSize: 5000, pageToken: "t", includeRevoked: true }, options);
    expect(answer.nextPageToken).toBe("next");
    expect(calls[0]?.[2]).toEqual({ pageSize: 1000, pageToken: "t", includeRevoked: true });
  });

  test("changes what the mask names and nothing else", async () => {
    const key = { apiKeyId: "k_1", displayName: "new", roles: [KeyRole.ADMIN] };
    await client().updateKey(
      { key, updateMask: { paths: ["display_name", "expire_time", "limits"] } },
      options,
    );
    expect(calls[0]).toEqual([
      "update",
      "k_keys",
      "k_1",
      {
        displayName: "new",
        clearExpiry: true,
        limits: { requestsPerMinute: undefined, tokensPerMinute: undefined, maxConcurrent: undefined },
      },
    ]);
  });

  test("refuses masks that are empty or name what cannot be changed", async () => {
    const update = (paths: string[], apiKeyId = "k_1") =>
      refusal(client().updateKey({ key: { apiKeyId }, updateMask: { paths } }, options));
    expect(await update([])).toEqual({ code: Code.InvalidArgument, fields: ["update_mask"] });
    expect((await update(["tags", "create_time", "*"])).fields).toEqual([
      "update_mask.paths[1]",
      "update_mask.paths[2]",
    ]);
    expect((await update(["tags"], "")).fields).toEqual(["key.api_key_id"]);
    expect(calls).toEqual([]);
  });

  test("rotates with a day's overlap unless told otherwise, and revokes", async () => {
    await client().rotateKey({ apiKeyId: "k_1" }, options);
    await client().rotateKey({ apiKeyId: "k_1", overlap: { seconds: 0n, nanos: 0 } }, options);
    await client().rotateKey({ apiKeyId: "k_1", overlap: { seconds: 90n, nanos: 500_000_000 } }, options);
    await client().revokeKey({ apiKeyId: "k_1" }, options);
    expect(calls.map(([name, , , overlapMs]) => [name, overlapMs])).toEqual([
      ["rotate", 86_400_000],
      ["rotate", 0],
      ["rotate", 90_500],
      ["revoke", undefined],
    ]);
    const tooLong = client().rotateKey(
      { apiKeyId: "k_1", overlap: { seconds: 2_592_001n, nanos: 0 } },
      options,
    );
    expect((await refusal(tooLong)).fields).toEqual(["overlap"]);
  });
});

describe("ListModels", () => {
  const client = () => createClient(ModelService, createGrpcTransport({ baseUrl: server.http2Url }));
  const invoke = { headers: { authorization: "Bearer invoke-secret" } };

  test("pages through the models by name, each once", async () => {
    const names: string[] = [];
    let pageToken = "";
    do {
      const page = await client().listModels({ pageSize: 3, pageToken }, invoke);
      names.push(...page.models.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(names).toEqual(["deepseek/deepseek-flash", "fast", "gpt-5-mini", "openai/gpt-5-mini"]);
  });

  test("shows the price in force, or none", async () => {
    const unitPrices = costRecord().unitPrices;
    if (!unitPrices) throw new Error("no prices");
    const price = {
      priceId: "p1",
      provider: "openai",
      model: "m",
      unitPrices,
      tiers: [{ aboveTokensIn: 200_000, unitPrices }],
      source: "operator",
      validFrom: CREATED,
      validTo: undefined,
      window: "01:00-04:00 UTC",
    };
    models.push({ name: "zz", chain: [{ provider: "openai", model: "m", price }] });
    const { models: listed } = await client().listModels({}, invoke);
    models.pop();
    expect(listed.at(-1)?.chain[0]?.price).toMatchObject({
      priceId: "p1",
      unitPrices: { uncachedUsdPerMillion: "0.150000" },
      tiers: [{ aboveTokensIn: 200_000n }],
      window: "01:00-04:00 UTC",
      validFrom: timestampFromDate(CREATED),
    });
    expect(listed[0]?.chain[0]?.price).toBeUndefined();
  });

  test("refuses tokens of another list", async () => {
    for (const pageToken of ["x", "e30", "bnVsbA"])
      expect(await refusal(client().listModels({ pageToken }, invoke))).toEqual({
        code: Code.InvalidArgument,
        fields: ["page_token"],
      });
  });
});
