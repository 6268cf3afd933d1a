import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  billedPicoUsd,
  directive,
  type GatewayUnderTest,
  startGatewayUnderTest,
  usd,
} from "../support/gateway-under-test.ts";

let gateway: GatewayUnderTest;
let key = "";
beforeAll(async () => {
  gateway = await startGatewayUnderTest();
  ({ secret: key } = await gateway.createKey());
});
afterAll(() => gateway.stop());

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const COMPLETE = "/llmgateway.v1.CompletionService/Complete";

function post(path: string, body: string, headers: Readonly<Record<string, string>> = {}) {
  return fetch(`${gateway.url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
    body,
  });
}

/** The request as it stands in the contract, with another prompt. */
function mainCall(requestId: string, text: string): string {
  return `{"requestId":"${requestId}","model":"openai/gpt-5-mini","messages":[{"role":"ROLE_USER","parts":[{"text":${JSON.stringify(text)}}]}],"maxOutputTokens":100,"fallbackModels":["deepseek/deepseek-flash"],"tags":{"team":"search"}}`;
}

describe("the main call as JSON, on which callers rely", () => {
  it("has exactly these names, enums and forms of numbers", async () => {
    const response = await post(COMPLETE, mainCall("0b9d1f6e-main-call", "Hello from the main call"));
    const cost = usd(billedPicoUsd(await gateway.billOf("Hello from the main call")));
    const usage = {
      tokensIn: "6",
      tokensOut: "16",
      uncachedTokensIn: "6",
      cacheReadTokensIn: "0",
      cacheWriteTokensIn: "0",
      textTokensOut: "16",
      reasoningTokensOut: "0",
      source: "USAGE_SOURCE_REPORTED",
    };
    const costs = {
      costUsd: cost,
      priceId: expect.stringMatching(/^openai\/gpt-5-mini@[0-9a-f]{12}$/),
      estimated: false,
      unpriced: false,
    };
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("x-request-id")).toBe("0b9d1f6e-main-call");
    expect(await response.json()).toStrictEqual({
      requestId: "0b9d1f6e-main-call",
      provider: "openai",
      model: "gpt-5-mini",
      choices: [
        {
          index: 0,
          message: {
            role: "ROLE_ASSISTANT",
            parts: [{ text: "w00 w01 w02 w03 w04 w05 w06 w07 w08 w09 w0a w0b w0c w0d w0e w0f " }],
            name: "",
          },
          finishReason: "FINISH_REASON_STOP",
        },
      ],
      usage,
      cost: costs,
      attempts: [
        {
          attemptId: expect.stringMatching(UUID),
          ordinal: 1,
          provider: "openai",
          model: "gpt-5-mini",
          outcome: "ATTEMPT_OUTCOME_SUCCEEDED",
          errorReason: "ERROR_REASON_UNSPECIFIED",
          latency: expect.stringMatching(/^\d+(\.\d{3,9})?s$/),
          usage,
          cost: costs,
          billingState: "BILLING_STATE_SETTLED",
        },
      ],
      replayed: false,
    });
    expect(cost).toBe("0.000033500000");
  });

  it("shows a fallback by its attempts, with errors and what each one cost", async () => {
    const text = `Fall back ${directive("openai", { status: 401 })}`;
    const response = await post(COMPLETE, mainCall("fallback-1", text));
    expect(await response.json()).toMatchObject({
      provider: "deepseek",
      model: "deepseek-flash",
      cost: { costUsd: usd(billedPicoUsd(await gateway.billOf(text))) },
      attempts: [
        {
          ordinal: 1,
          outcome: "ATTEMPT_OUTCOME_FAILED",
          errorReason: "ERROR_REASON_PROVIDER_AUTHENTICATION",
          cost: { costUsd: "0.000000000000" },
          billingState: "BILLING_STATE_NOT_BILLED",
        },
        { ordinal: 2, provider: "deepseek", outcome: "ATTEMPT_OUTCOME_SUCCEEDED" },
      ],
    });
  });

  it("answers errors with a code, a message and details that can be read without protobuf", async () => {
    const response = await post(COMPLETE, '{"requestId":"bad-1","model":"openai/gpt-5-mini","messages":[]}');
    expect(response.status).toBe(400);
    expect(response.headers.get("x-request-id")).toBe("bad-1");
    expect(await response.json()).toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(/./),
      details: [
        {
          type: "google.rpc.ErrorInfo",
          debug: { reason: "INVALID_REQUEST", domain: "llmgateway.v1", metadata: { request_id: "bad-1" } },
        },
        { type: "google.rpc.RequestInfo", debug: { requestId: "bad-1" } },
        {
          type: "google.rpc.BadRequest",
          debug: { fieldViolations: [{ field: "messages", reason: "repeated.min_items" }] },
        },
      ],
    });
  });

  it.each([
    ["a field that does not exist", '{"model":"openai/gpt-5-mini","message":[]}', 400],
    ["an enum that does not exist", '{"model":"m","messages":[{"role":"USER","parts":[{"text":"x"}]}]}', 400],
    ["what is not JSON", "{", 400],
    ["text that is not UTF-8", Buffer.from('{"model":"\xff"}', "latin1"), 400],
  ])("refuses %s", async (_name, body, status) => {
    const response = await post(COMPLETE, body as string);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ code: "invalid_argument" });
  });

  it.each([
    [401, "unauthenticated", { authorization: "Bearer wrong" }, "openai/gpt-5-mini"],
    [404, "not_found", {}, "nobody-has-this"],
  ])("maps errors to HTTP status %i", async (status, code, headers, model) => {
    const body = JSON.stringify({ model, messages: [{ role: "ROLE_USER", parts: [{ text: "x" }] }] });
    const response = await post(COMPLETE, body, headers);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ code });
  });

  it("answers what has no side effect to GET as well", async () => {
    const message = encodeURIComponent('{"groupBy":["COST_DIMENSION_PROVIDER"]}');
    const path = `/llmgateway.v1.CostService/CostQuery?connect=v1&encoding=json&message=${message}`;
    const response = await fetch(`${gateway.url}${path}`, { headers: { "x-api-key": key } });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      rows: [
        { provider: "deepseek", amounts: { requests: "1", attempts: "1" } },
        { provider: "openai", amounts: { requests: "1", costUsd: "0.000033500000" } },
      ],
      totals: { requests: "2", attempts: "3", coverage: { notBilled: { attempts: "1" } } },
    });
    const complete = await fetch(`${gateway.url}${COMPLETE}?connect=v1&encoding=json&message=%7B%7D`, {
      headers: { "x-api-key": key },
    });
    expect(complete.status).toBe(405);
  });
});
