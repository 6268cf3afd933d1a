import { expect, test } from "vitest";
import { ERROR_TABLE, type ErrorReason } from "../../../src/core/error-table.ts";
import { GatewayError } from "../../../src/core/errors.ts";
import { toAnthropicError } from "../../../src/server/anthropic/anthropic-error.ts";

const REASONS = Object.keys(ERROR_TABLE) as ErrorReason[];

/** As Anthropic documents them. */
const STATUS_OF_TYPE: Readonly<Record<string, number>> = {
  ...{ invalid_request_error: 400, authentication_error: 401, billing_error: 402, permission_error: 403 },
  ...{ not_found_error: 404, request_too_large: 413, rate_limit_error: 429, api_error: 500 },
  ...{ timeout_error: 504, overloaded_error: 529 },
};

test.each(REASONS)("%s is an error of Anthropic's form that is repeated only where that helps", (reason) => {
  const { row } = new GatewayError(reason, "m");
  const error = new GatewayError(reason, "what went wrong", {
    retryAfterMs: row.retryable ? 1_500 : undefined,
  });
  const { status, headers, body } = toAnthropicError(error, "r-1");
  const { type } = body.error;
  expect(body).toEqual({ type: "error", error: { type, message: "what went wrong" }, request_id: "r-1" });
  // A status that Anthropic has no type for is the error table's, of the same hundred.
  const usual = STATUS_OF_TYPE[type];
  expect(usual).toBeDefined();
  if (status !== usual) {
    expect(status).toBe(row.httpStatus);
    expect(["invalid_request_error", "api_error"]).toContain(type);
    expect(type).toBe(status < 500 ? "invalid_request_error" : "api_error");
  }
  // A client that does not know the header goes by the status.
  if (row.retryable) expect([429, 503, 504, 529]).toContain(status);
  expect(headers).toMatchObject({
    "x-should-retry": String(row.retryable),
    "x-llm-gateway-error-reason": reason,
    ...(row.retryable && { "retry-after-ms": "1500", "retry-after": "2" }),
  });
});

test("what is no error of ours tells nothing", () => {
  const { status, body } = toAnthropicError(new Error("a secret"), "r-1");
  expect([status, body.error.type]).toEqual([500, "api_error"]);
  expect(JSON.stringify(body)).not.toContain("secret");
});

test.each([
  [{ provider_type: "request_too_large" }, 413, "request_too_large", undefined],
  [
    { provider_type: "not_found_error", provider_code: "thread_not_found" },
    404,
    "not_found_error",
    "thread_not_found",
  ],
  [
    { provider_type: "toString", provider_code: "invalid_value" },
    400,
    "invalid_request_error",
    "invalid_value",
  ],
])(
  "of what the provider said, %j, a type of Anthropic's and the code are kept",
  (metadata, status, type, code) => {
    const thrown = new GatewayError("PROVIDER_INVALID_REQUEST", "m", { metadata });
    const error = toAnthropicError(thrown, "r-1");
    expect([error.status, error.body.error.type]).toEqual([status, type]);
    expect(error.body.error.details).toEqual(code && { error_code: code });
  },
);

test("the members at fault are named in the message, where it does not name them itself", () => {
  const violation = (field: string) => [{ field, description: "x" }];
  const said = (message: string, field: string) =>
    toAnthropicError(new GatewayError("INVALID_REQUEST", message, { fieldViolations: violation(field) }), "r")
      .body.error.message;
  expect(said("cannot be said", "messages[0].content[1]")).toBe("cannot be said: messages[0].content[1]");
  expect(said("Invalid 'model'", "model")).toBe("Invalid 'model'");
});

test("a thread that no provider can continue is one that the client starts again", () => {
  const fieldViolations = [{ field: "thread", description: "x" }];
  const error = toAnthropicError(new GatewayError("INVALID_REQUEST", "m", { fieldViolations }), "r");
  expect([error.status, error.body.error.details]).toEqual([404, { error_code: "thread_not_found" }]);
});
