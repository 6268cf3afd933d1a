import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BillingState } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Script } from "../../simulator/script.ts";
import { CALL_KINDS } from "../support/completion-client.ts";
import { inParallel } from "../support/in-parallel.ts";
import { requestIdIn } from "../support/prompt.ts";
import { type RecordingServer, startRecordingServer } from "../support/recording-server.ts";
import { scrape } from "../support/scrape.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

let elsewhere: RecordingServer;

beforeAll(async () => {
  elsewhere = await startRecordingServer();
});

afterAll(() => elsewhere.close());

const bench = useFaultBench(async () => ({
  groups: { openai: { profile: "openai" }, deepseek: { profile: "deepseek" } },
  env: {
    // A proxy of the environment would see the keys.
    HTTP_PROXY: elsewhere.url,
    HTTPS_PROXY: elsewhere.url,
    ALL_PROXY: elsewhere.url,
  },
}));

/** How often the simulator was called for requests that were marked so. */
function callsAt(provider: string): number {
  return bench()
    .simulator.requests.recent()
    .filter(({ body }) => JSON.stringify(body).includes(`at=${provider} `)).length;
}

describe("the circuit breaker", () => {
  const FAILURES: readonly Script[] = [{ fault: "reset" }, { status: 500 }, { fault: "garbage" }];

  it("opens after at most 5 failures; from then on the provider is not called", async () => {
    await inParallel(FAILURES, async (script) => {
      const [model, fallback] = [bench().candidate(), bench().candidate("deepseek")];
      const [provider = ""] = model.split("/");
      const call = { kind: "unary" as const, text: `at=${provider} `, scripts: { openai: script } };
      for (let request = 0; request < 8; request += 1) {
        const outcome = await bench().complete({ ...call, model, fallbackModels: [fallback] });
        expect(outcome.provider).toMatch(/^deepseek/);
      }
      const failures = bench()
        .outcomes.flatMap(({ attempts }) => attempts)
        .filter((attempt) => attempt.provider === provider);
      expect(failures.length).toBeGreaterThan(0);
      expect(failures.length).toBeLessThanOrEqual(5);
      // Eight were answered by the fallback, and no other call reached the simulator.
      expect(callsAt(provider)).toBe(failures.length + 8);
      const metrics = await scrape(bench().gateway.url);
      expect(metrics.sum("llm_gateway_breaker_state", { provider, model: "sim-model" })).toBe(2);

      const alone = await bench().complete({ ...call, model });
      expect(alone.reason).toBe("PROVIDER_CIRCUIT_OPEN");
      expect(alone.elapsedMs).toBeLessThan(250);
      expect(alone.attempts).toEqual([]);
      expect(callsAt(provider)).toBe(failures.length + 8);
    });
  });

  it("stays closed for what is not the provider's fault", async () => {
    const model = bench().candidate();
    const [provider = ""] = model.split("/");
    const scripts = { openai: { status: 400 } };
    for (let request = 0; request < 8; request += 1) {
      const outcome = await bench().complete({ kind: "unary", model, text: `at=${provider} `, scripts });
      expect(outcome.reason).toBe("PROVIDER_INVALID_REQUEST");
    }
    expect(callsAt(provider)).toBe(8);
    const metrics = await scrape(bench().gateway.url);
    expect(metrics.sum("llm_gateway_breaker_state", { provider })).toBe(0);
  });
});

describe("a provider's key", () => {
  it("does not follow a redirect, which costs nothing", async () => {
    await inParallel(CALL_KINDS, async (kind) => {
      const redirectTo = `${elsewhere.url}/v1/chat/completions`;
      const scripts = { openai: { fault: "redirect" as const, redirectTo } };
      const outcome = await bench().complete({ kind, model: bench().candidate(), scripts });
      expect(outcome.reason).toBe("PROVIDER_BAD_RESPONSE");
      for (const { billingState } of outcome.attempts) expect(billingState).toBe(BillingState.NOT_BILLED);
    });
    expect(elsewhere).toMatchObject({ connections: 0, requests: [] });
  });

  it("does not go where a caller says, by header, field, model name or host", async () => {
    const { gateway, secret, simulator } = bench();
    const url = `${gateway.url}/llmgateway.v1.CompletionService/Complete`;
    const model = bench().candidate();
    const body = { model, messages: [{ role: "ROLE_USER", parts: [{ text: "request=where-to" }] }] };
    const post = (change: object, headers: Record<string, string> = {}) =>
      fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${secret}`, ...headers },
        body: JSON.stringify({ ...body, ...change }),
      });
    const target = elsewhere.url;
    for (const field of ["baseUrl", "base_url", "apiBase", "endpoint", "provider"])
      expect((await post({ [field]: target })).status, field).toBe(400);
    for (const name of [
      `${target}/sim-model`,
      "openai-1@evil/sim-model",
      "127.0.0.1/sim-model",
      "../sim-model",
    ])
      expect([400, 404], name).toContain((await post({ model: name })).status);
    const headers = {
      "x-base-url": target,
      "x-portkey-custom-host": target,
      "helicone-target-url": target,
      "x-forwarded-host": `127.0.0.1:${elsewhere.port}`,
      "x-simulator-script": JSON.stringify({ status: 500 }),
      cookie: "session=1",
    };
    const answered = await post({ requestId: "where-to" }, headers);
    expect(answered.status).toBe(200);
    const seen = simulator.requests
      .recent()
      .find(({ body }) => requestIdIn(JSON.stringify(body)) === "where-to");
    expect(Object.keys(seen?.headers ?? {}).sort()).toEqual([
      ...["accept", "authorization", "connection", "content-length", "content-type", "host", "user-agent"],
    ]);
    expect(seen?.headers.host).toBe(new URL(simulator.url).host);
    expect(elsewhere).toMatchObject({ connections: 0, requests: [] });
  });

  it("is not taken anywhere by a picture's address, which only the provider fetches", async () => {
    const { gateway, secret } = bench();
    const image = { url: `https://127.0.0.1:${elsewhere.port}/latest/meta-data`, detail: "IMAGE_DETAIL_LOW" };
    const send = (url: string) =>
      fetch(`${gateway.url}/llmgateway.v1.CompletionService/Complete`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${secret}` },
        body: JSON.stringify({
          requestId: "picture",
          model: bench().candidate(),
          messages: [
            { role: "ROLE_USER", parts: [{ text: "request=picture" }, { image: { ...image, url } }] },
          ],
        }),
      });
    expect((await send(image.url)).status).toBe(200);
    for (const url of ["http://169.254.169.254/latest", "file:///etc/passwd", "gopher://127.0.0.1:70"])
      expect((await send(url)).status, url).toBe(400);
    expect(elsewhere).toMatchObject({ connections: 0, requests: [] });
  });
});
