import { expect, test } from "vitest";
import { ERROR_TABLE, type ErrorReason } from "../../../src/core/error-table.ts";
import { GatewayError } from "../../../src/core/errors.ts";
import { toOpenAiError } from "../../../src/server/openai/openai-error.ts";

const REASONS = Object.keys(ERROR_TABLE) as ErrorReason[];

test.each(REASONS)("%s is an error of OpenAI's form that is repeated only where that helps", (reason) => {
  const { row } = new GatewayError(reason, "m");
  const error = new GatewayError(reason, "what went wrong", {
    retryAfterMs: row.retryable ? 1_500 : undefined,
  });
  const { status, headers, body } = toOpenAiError(error);
  expect(body.error).toEqual({
    message: "what went wrong",
    type: expect.stringMatching(/^[a-z_]+$/),
    code: body.error.code,
    param: body.error.param,
  });
  expect(status).toBeGreaterThanOrEqual(400);
  // A client that does not know the header goes by the status.
  if (row.retryable) expect([429, 503, 504]).toContain(status);
  expect(headers).toMatchObject({
    "x-should-retry": String(row.retryable),
    "x-llm-gateway-error-reason": reason,
  });
  expect(headers["retry-after-ms"]).toBe(row.retryable ? "1500" : undefined);
  expect(headers["retry-after"]).toBe(row.retryable ? "2" : undefined);
});

test("what is no error of ours tells nothing", () => {
  const { status, body } = toOpenAiError(new Error("a secret"));
  expect(status).toBe(500);
  expect(JSON.stringify(body)).not.toContain("secret");
});

test("the provider's own type, code and parameter win", () => {
  const metadata = { provider_code: "invalid_value", provider_type: "t", provider_param: "n" };
  const { body } = toOpenAiError(new GatewayError("PROVIDER_INVALID_REQUEST", "m", { metadata }));
  expect(body.error).toMatchObject({ code: "invalid_value", type: "t", param: "n" });
});

test("what is too long has the name that the API gives to what the model reads", () => {
  const error = new GatewayError("CONTEXT_TOO_LONG", "m");
  expect(toOpenAiError(error).body.error.param).toBe("messages");
  expect(toOpenAiError(error, "input").body.error.param).toBe("input");
});
