import { request as httpRequest } from "node:http";
import { create, type DescMethod } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { beforeAll, describe, expect, it } from "vitest";
import { KeyRole } from "../../gen/es/llmgateway/v1/access_pb.ts";
import { CompletionService } from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { CostDimension, CostService } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { EmbeddingService } from "../../gen/es/llmgateway/v1/embedding_pb.ts";
import { type ApiKey, KeyService } from "../../gen/es/llmgateway/v1/key_pb.ts";
import { ModelService } from "../../gen/es/llmgateway/v1/model_pb.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import { inParallel, pairs } from "../support/in-parallel.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

const bench = useFaultBench({ groups: { openai: { profile: "openai", count: 20 } } });

const { INVOKE, READ_COSTS, MANAGE_KEYS, ADMIN } = KeyRole;
const ROLES = [INVOKE, READ_COSTS, MANAGE_KEYS, ADMIN];

interface Held {
  readonly key: ApiKey;
  readonly secret: string;
}

async function createKey(change: Partial<Omit<ApiKey, "$typeName" | "$unknown">>): Promise<Held> {
  const { key, secret } = await bench()
    .clients.keys(ADMIN_KEY)
    .createKey({ key: { displayName: "test", roles: [INVOKE], ...change } });
  if (!key) throw new Error("no key");
  return { key, secret };
}

const codeOf = (call: Promise<unknown>): Promise<Code | undefined> =>
  call.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error).code,
  );

const byRole = new Map<KeyRole, Held>();
let other: Held;

beforeAll(async () => {
  for (const role of ROLES) byRole.set(role, await createKey({ roles: [role], displayName: `role ${role}` }));
  other = await createKey({ displayName: "other" });
});

const secretOf = (role: KeyRole) => byRole.get(role)?.secret ?? "";

/** Who may call what; written down here once more, so that a change of the protos alone does not pass. */
const ALLOWED: Readonly<Record<string, readonly KeyRole[]>> = {
  "CompletionService/Complete": [INVOKE],
  "CompletionService/StreamComplete": [INVOKE],
  "CostService/AdjustCosts": [ADMIN],
  "CostService/CostQuery": [INVOKE, READ_COSTS],
  "CostService/ListCostRecords": [INVOKE, READ_COSTS],
  "CostService/VerifyLedger": [READ_COSTS],
  "EmbeddingService/Embed": [INVOKE],
  "KeyService/CreateKey": [MANAGE_KEYS],
  "KeyService/GetKey": [MANAGE_KEYS],
  "KeyService/ListKeys": [MANAGE_KEYS],
  "KeyService/UpdateKey": [MANAGE_KEYS],
  "KeyService/RotateKey": [MANAGE_KEYS],
  "KeyService/RevokeKey": [MANAGE_KEYS],
  "ModelService/ListModels": [INVOKE],
};

describe("a role", () => {
  it("may call what is meant for it and nothing else, in every RPC; nobody may call without a key", async () => {
    const services = [CompletionService, EmbeddingService, CostService, KeyService, ModelService];
    const methods: readonly DescMethod[] = services.flatMap((service) => service.methods);
    const nameOf = (method: DescMethod) => `${method.parent.name}/${method.name}`;
    expect(methods.map(nameOf).sort()).toEqual(Object.keys(ALLOWED).sort());
    const call = async (method: DescMethod, secret: string | undefined) => {
      const transport = createGrpcTransport({ baseUrl: bench().gateway.url });
      const headers = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
      const client = createClient(method.parent, transport) as unknown as Record<
        string,
        (request: unknown, options: unknown) => Promise<unknown> | AsyncIterable<unknown>
      >;
      // An empty request: what is allowed is then refused as invalid, and changes nothing.
      const answer = client[method.localName]?.(create(method.input), { headers });
      if (answer && Symbol.asyncIterator in answer) for await (const _ of answer);
      else await answer;
    };
    const cases = pairs(methods, [...ROLES, undefined]);
    await inParallel(
      cases.map(([method, role]) => ({ name: nameOf(method), role, method: () => method })),
      async ({ name, role, method }) => {
        const code = await codeOf(call(method(), role === undefined ? undefined : secretOf(role)));
        if (role === undefined) expect(code).toBe(Code.Unauthenticated);
        else if (role === ADMIN || ALLOWED[name]?.includes(role))
          expect([undefined, Code.InvalidArgument]).toContain(code);
        else expect(code).toBe(Code.PermissionDenied);
      },
    );
  });

  it("cannot grant, change, rotate or revoke what it does not hold itself", async () => {
    const manager = bench().clients.keys(secretOf(MANAGE_KEYS));
    const ownId = byRole.get(MANAGE_KEYS)?.key.apiKeyId ?? "";
    const adminId = byRole.get(ADMIN)?.key.apiKeyId ?? "";
    const readerId = byRole.get(READ_COSTS)?.key.apiKeyId ?? "";
    const attempts = [
      () => manager.createKey({ key: { displayName: "x", roles: [ADMIN] } }),
      () => manager.createKey({ key: { displayName: "x", roles: [MANAGE_KEYS, READ_COSTS] } }),
      () => manager.updateKey({ key: { apiKeyId: ownId, roles: [ADMIN] }, updateMask: { paths: ["roles"] } }),
      () =>
        manager.updateKey({ key: { apiKeyId: adminId, roles: [INVOKE] }, updateMask: { paths: ["roles"] } }),
      () => manager.rotateKey({ apiKeyId: adminId }),
      () => manager.rotateKey({ apiKeyId: readerId }),
      () => manager.revokeKey({ apiKeyId: adminId }),
      () => manager.revokeKey({ apiKeyId: "admin" }),
    ];
    for (const attempt of attempts)
      expect([Code.PermissionDenied, Code.NotFound], String(attempt)).toContain(await codeOf(attempt()));
    expect(await codeOf(bench().clients.costs(secretOf(ADMIN)).costQuery({}))).toBeUndefined();
  });

  it("sees its own costs only, whatever it asks for", async () => {
    const { secret } = other;
    for (const held of [secret, bench().secret])
      expect(
        (await bench().complete({ kind: "unary", model: bench().candidate(), secret: held })).reason,
      ).toBeUndefined();
    const costs = bench().clients.costs(secret);
    const foreign = { filter: { apiKeyIds: [bench().apiKeyId] } };
    const mixed = { filter: { apiKeyIds: [other.key.apiKeyId, bench().apiKeyId] } };
    for (const request of [foreign, mixed]) {
      expect(await codeOf(costs.costQuery(request))).toBe(Code.PermissionDenied);
      expect(await codeOf(costs.listCostRecords(request))).toBe(Code.PermissionDenied);
    }
    const { rows } = await costs.costQuery({ groupBy: [CostDimension.API_KEY] });
    expect(rows.map(({ apiKeyId }) => apiKeyId)).toEqual([other.key.apiKeyId]);
    const { records } = await costs.listCostRecords({});
    expect(new Set(records.map(({ apiKeyId }) => apiKeyId))).toEqual(new Set([other.key.apiKeyId]));
    // The page of somebody who sees more.
    const { nextPageToken } = await bench().clients.costs(ADMIN_KEY).listCostRecords({ pageSize: 1 });
    expect(nextPageToken).not.toBe("");
    expect(await codeOf(costs.listCostRecords({ pageToken: nextPageToken }))).toBe(Code.InvalidArgument);

    const get = (path: string) =>
      fetch(`${bench().gateway.url}${path}`, { headers: { "x-api-key": secret } });
    expect((await get(`/v1/costs?api_key_id=${bench().apiKeyId}`)).status).toBe(403);
    expect((await get(`/v1/costs/records?api_key_id=${bench().apiKeyId}`)).status).toBe(403);
    expect(await (await get("/v1/costs")).json()).toMatchObject({ totals: { requests: 1 } });
  });

  it("uses only the models that its key names, also as fallbacks", async () => {
    const [allowed, forbidden] = [bench().candidate(), bench().candidate()];
    const { secret } = await createKey({ allowedModels: [allowed] });
    const seenBefore = bench().simulator.requests.recent().length;
    const call = { kind: "unary" as const, secret, scripts: { openai: { status: 404 } } };
    expect((await bench().complete({ ...call, model: forbidden })).reason).toBe("MODEL_NOT_ALLOWED");
    await bench().complete({ ...call, model: allowed, fallbackModels: [forbidden] });
    const seen = bench().simulator.requests.recent().slice(seenBefore);
    expect(seen.length).toBeLessThanOrEqual(1);
  });
});

describe("a key", () => {
  const use = (secret: string) => codeOf(bench().clients.costs(secret).costQuery({}));

  it("ends with its expiry", async () => {
    const expiresAt = Date.now() + 1_000;
    const { secret } = await createKey({ expireTime: timestampFromDate(new Date(expiresAt)) });
    expect(await use(secret)).toBeUndefined();
    await expect.poll(() => use(secret), { interval: 20, timeout: 6_000 }).toBe(Code.Unauthenticated);
    expect(Date.now() - expiresAt).toBeLessThan(1_000);
  });

  it("ends within 5 s of its revocation, and a rotated secret with its overlap", async () => {
    const keys = bench().clients.keys(ADMIN_KEY);
    const [revoked, rotated] = [await createKey({}), await createKey({})];
    for (const { secret } of [revoked, rotated]) expect(await use(secret)).toBeUndefined();
    await keys.revokeKey({ apiKeyId: revoked.key.apiKeyId });
    const { secret: fresh } = await keys.rotateKey({
      apiKeyId: rotated.key.apiKeyId,
      overlap: { seconds: 0n },
    });
    for (const { secret } of [revoked, rotated])
      await expect.poll(() => use(secret), { interval: 20, timeout: 5_000 }).toBe(Code.Unauthenticated);
    expect(await use(fresh)).toBeUndefined();
  });

  it("is refused with one and the same answer, however it is wrong", async () => {
    const { secret } = bench();
    const wrong = [
      "",
      "gw_live_",
      secret.slice(0, -1),
      `${secret}0`,
      secret.toLowerCase(),
      secret.replace(/.{6}$/, "000000"),
      "' OR '1'='1",
      "gw_live_%_%",
      `gw_live_${"_".repeat(12)}_${"_".repeat(38)}`,
      "admin",
      `${ADMIN_KEY} `.repeat(2).trim(),
      ADMIN_KEY.slice(0, -1),
      "x".repeat(10_000),
    ];
    const answers = await inParallel(wrong, async (presented) => {
      const response = await fetch(`${bench().gateway.url}/v1/costs`, {
        headers: { "x-api-key": presented },
      });
      const { error } = (await response.json()) as { error: { message: string; reason: string } };
      return `${response.status} ${error.reason} ${error.message}`;
    });
    expect([...new Set(answers)]).toEqual(["401 UNAUTHENTICATED no valid API key was sent"]);
  });

  it("is asked for under every name, path and host that leads to data", async () => {
    const { port } = bench().gateway;
    const paths = [
      ...[
        "/v1/costs",
        "//v1/costs",
        "/v1/./costs",
        "/v1/costs/",
        "/V1/costs",
        "/v1%2fcosts",
        "/v1/costs;x=1",
      ],
      ...["/health/../v1/costs", "/metrics/../v1/costs", "/v1/costs?health", "http://admin/v1/costs"],
      "/llmgateway.v1.CostService/CostQuery?connect=v1&encoding=json&message=%7B%7D",
      "/grpc.health.v1.Health/../llmgateway.v1.CostService/CostQuery?connect=v1&encoding=json&message=%7B%7D",
    ];
    const hosts = ["localhost", "admin", "127.0.0.1", "localhost/health", "llmgateway.v1.Health"];
    const forwarded = {
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-host": "localhost",
      "x-original-url": "/health",
    };
    await inParallel(pairs(paths, hosts), async ([path, host]) => {
      const status = await new Promise<number | string>((resolve) => {
        const request = httpRequest({ host: "127.0.0.1", port, path, headers: { host, ...forwarded } });
        request.on("response", (response) => resolve(response.resume().statusCode ?? 0));
        request.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
        request.end();
      });
      expect([400, 401, 404, 405, 415]).toContain(status);
    });
  });
});

describe("strings of SQL and LIKE", () => {
  const HOSTILE = [
    "%",
    "_",
    "a_b",
    "a%",
    "\\",
    "' OR '1'='1",
    "'; DROP TABLE cost_record; --",
    '{"x":1}',
    "$1",
    "NULL",
  ];

  it("are taken literally in tags and end users, and in the filters for them", async () => {
    const decoys = ["axb", "ab", "anything", ""];
    const model = bench().candidate();
    const call = (value: string) => {
      const options = { kind: "unary" as const, model, tags: { hostile: value }, endUser: value };
      return bench().complete(options);
    };
    for (const value of [...HOSTILE, ...decoys]) expect((await call(value)).reason, value).toBeUndefined();
    const costs = bench().clients.costs(ADMIN_KEY);
    await inParallel(HOSTILE, async (value) => {
      for (const filter of [{ tags: { hostile: value } }, { endUsers: [value] }]) {
        const { totals } = await costs.costQuery({ filter });
        expect(totals?.attempts).toBe(1n);
        const { records } = await costs.listCostRecords({ filter });
        expect(records.map(({ endUser }) => endUser)).toEqual([value]);
      }
    });
    const { rows } = await costs.costQuery({ groupBy: [CostDimension.TAG], tagKey: "hostile" });
    const named = rows.filter(({ tagValue }) => HOSTILE.includes(tagValue));
    expect(named.map(({ amounts }) => amounts?.attempts)).toEqual(HOSTILE.map(() => 1n));
  });

  it("find nothing and break nothing as keys, providers, models, tag keys and page tokens", async () => {
    const costs = bench().clients.costs(ADMIN_KEY);
    await inParallel(HOSTILE, async (value) => {
      for (const filter of [{ apiKeyIds: [value] }, { providers: [value] }, { models: [value] }]) {
        const { totals } = await costs.costQuery({ filter });
        expect(totals?.attempts).toBe(0n);
      }
      const malformed = [
        costs.costQuery({ groupBy: [CostDimension.TAG], tagKey: `${value} '` }),
        costs.costQuery({ filter: { tags: { [`${value} '`]: "x" } } }),
        costs.listCostRecords({ pageToken: value }),
        bench().clients.keys(ADMIN_KEY).listKeys({ pageToken: value }),
      ];
      const codes = await Promise.all(malformed.map(codeOf));
      expect(codes).toEqual(malformed.map(() => Code.InvalidArgument));
      expect(await codeOf(bench().clients.keys(ADMIN_KEY).getKey({ apiKeyId: value }))).toBe(Code.NotFound);
    });
  });

  it("that the database cannot store lose the character, never the record", async () => {
    const call = {
      kind: "unary" as const,
      model: bench().candidate(),
      endUser: "a\0b",
      tags: { team: "c\0d" },
    };
    const { requestId, reason } = await bench().complete(call);
    expect(reason).toBeUndefined();
    const { records } = await bench().clients.costs(ADMIN_KEY).listCostRecords({ pageSize: 1 });
    expect(records).toMatchObject([{ requestId, endUser: "ab", tags: { team: "cd" } }]);
    const filter = { endUsers: ["a\0b"] };
    expect(await codeOf(bench().clients.costs(ADMIN_KEY).costQuery({ filter }))).toBe(Code.InvalidArgument);
  });
});
