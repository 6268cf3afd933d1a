import { readFileSync } from "node:fs";
import { Code, ConnectError } from "@connectrpc/connect";
import { codeFromString, codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { describe, expect, test } from "vitest";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "../../../gen/es/google/rpc/error_details_pb.ts";
import { ErrorReason as ErrorReasonProto } from "../../../gen/es/llmgateway/v1/error_reason_pb.ts";
import { ERROR_TABLE, type ErrorReason } from "../../../src/core/error-table.ts";
import { GatewayError } from "../../../src/core/errors.ts";
import { errorHeaders, fromReadFailure, toConnectError, toHttpError } from "../../../src/server/error-map.ts";

const REASONS = Object.keys(ERROR_TABLE) as ErrorReason[];

const byText = (a: string, b: string) => a.localeCompare(b);

describe("the error table and the proto agree", () => {
  const proto = readFileSync(
    new URL("../../../proto/llmgateway/v1/error_reason.proto", import.meta.url),
    "utf8",
  );
  const entries = [...proto.matchAll(/\/\/ (.+)\n {2}ERROR_REASON_(\w+) = \d+;/g)].filter(
    ([, , name]) => name !== "UNSPECIFIED",
  );

  test("on the names", () => {
    expect(entries.map(([, , name = ""]) => name).toSorted(byText)).toEqual(REASONS.toSorted(byText));
    expect(
      Object.keys(ErrorReasonProto)
        .filter((name) => name !== "UNSPECIFIED")
        .toSorted(byText),
    ).toEqual(REASONS.toSorted(byText));
  });

  test.each(entries.map(([, comment = "", name = ""]) => [name as ErrorReason, comment] as const))(
    "on code, HTTP status, retrying and meaning of %s",
    (reason, comment) => {
      const row = ERROR_TABLE[reason];
      const retry = row.retryable ? ", may be retried" : "";
      expect(comment).toBe(
        `${row.description} Code ${row.code.toUpperCase()}, HTTP ${row.httpStatus}${retry}.`,
      );
    },
  );
});

test.each(REASONS)("%s has the HTTP status that Connect gives its code", (reason) => {
  const row = ERROR_TABLE[reason];
  expect(codeToHttpStatus(codeFromString(row.code) ?? Code.Unknown)).toBe(row.httpStatus);
});

test.each(REASONS)(
  "%s becomes its code with one ErrorInfo, and RetryInfo exactly when it may be retried",
  (reason) => {
    const error = toConnectError(
      new GatewayError(reason, "it failed", { metadata: { provider: "openai" } }),
      "req-1",
    );
    expect(error.code).toBe(codeFromString(ERROR_TABLE[reason].code));
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason, domain: "llmgateway.v1", metadata: { provider: "openai", request_id: "req-1" } },
    ]);
    expect(error.findDetails(RequestInfoSchema)[0]?.requestId).toBe("req-1");
    expect(error.findDetails(RetryInfoSchema).length).toBe(ERROR_TABLE[reason].retryable ? 1 : 0);
  },
);

test("waiting times are rounded up to seconds in the header and exact in the detail", () => {
  const error = new GatewayError("RATE_LIMITED", "wait", { retryAfterMs: 2001 });
  expect(errorHeaders(error, "r")).toEqual({ "x-request-id": "r", "retry-after": "3" });
  expect(toConnectError(error, "r").findDetails(RetryInfoSchema)[0]?.retryDelay).toMatchObject({
    seconds: 2n,
    nanos: 1_000_000,
  });
  expect(errorHeaders(new GatewayError("OVERLOADED", "wait"), "r")["retry-after"]).toBe("1");
  expect(errorHeaders(new GatewayError("NOT_FOUND", "no"), "r")).toEqual({ "x-request-id": "r" });
});

test("violations of fields and of quotas are details", () => {
  const error = toConnectError(
    new GatewayError("INVALID_REQUEST", "bad", {
      fieldViolations: [{ field: "model", description: "is required", reason: "required" }],
      quotaViolations: [{ subject: "api_key:k", description: "10 a minute", quotaId: "rpm", quotaValue: 10 }],
    }),
    "r",
  );
  expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations).toMatchObject([
    { field: "model", description: "is required", reason: "required" },
  ]);
  expect(error.findDetails(QuotaFailureSchema)[0]?.violations).toMatchObject([
    { subject: "api_key:k", quotaId: "rpm", quotaValue: 10n },
  ]);
});

test("what was thrown by accident tells nothing", () => {
  for (const thrown of [
    new TypeError("secret"),
    "secret",
    undefined,
    new ConnectError("secret", Code.DataLoss),
  ]) {
    const error = toConnectError(thrown, "r");
    expect(error.code).toBe(Code.Internal);
    expect(error.rawMessage).toBe("internal error");
    expect(error.cause).toBeUndefined();
    expect(
      Buffer.from(errorToJsonBytes(error, undefined)).toString() + JSON.stringify(toHttpError(thrown, "r")),
    ).not.toContain("secret");
  }
});

test("failures to read a request are the caller's, whatever Connect calls them", () => {
  const reason = (code: Code) => fromReadFailure(new ConnectError("x", code)).reason;
  expect(reason(Code.Internal)).toBe("INVALID_REQUEST");
  expect(reason(Code.InvalidArgument)).toBe("INVALID_REQUEST");
  expect(reason(Code.Unknown)).toBe("INVALID_REQUEST");
  expect(reason(Code.ResourceExhausted)).toBe("MESSAGE_TOO_LARGE");
  expect(reason(Code.Unimplemented)).toBe("UNIMPLEMENTED");
  expect(reason(Code.DeadlineExceeded)).toBe("DEADLINE_EXCEEDED");
  expect(reason(Code.Aborted)).toBe("CANCELLED");
  expect(fromReadFailure(new Error("secret")).message).toBe("the request could not be read");
  const own = new GatewayError("NOT_FOUND", "x");
  expect(fromReadFailure(own)).toBe(own);
});

test("texts of callers in errors are bounded and well-formed", () => {
  const error = toConnectError(new GatewayError("INVALID_REQUEST", `\ud800${"x".repeat(5000)}`), "r");
  expect(error.rawMessage.length).toBeLessThan(310);
  expect(error.rawMessage.isWellFormed()).toBe(true);
});
