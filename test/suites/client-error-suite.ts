import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "../../gen/es/google/rpc/error_details_pb.ts";
import { KeyRole } from "../../gen/es/llmgateway/v1/access_pb.ts";
import { Role, ToolChoiceMode } from "../../gen/es/llmgateway/v1/content_pb.ts";
import { ErrorReason } from "../../gen/es/llmgateway/v1/error_reason_pb.ts";
import { AttemptOutcome, BillingState, FailedCompletionSchema } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Script } from "../../simulator/script.ts";
import { type CallFailure, drain, failureOf } from "../support/clients/gateway-client.ts";
import { directive, FALLBACK_MODEL, usd } from "../support/gateway-under-test.ts";
import { type ClientSuite, textPart, uniquePrompt } from "./client-suite.ts";

/** What every error has, in every protocol. */
function expectError(failure: CallFailure | undefined, code: string, reason: string): CallFailure {
  if (!failure) throw new Error("the call did not fail");
  expect(failure.code).toBe(code);
  const info = failure.detail(ErrorInfoSchema);
  expect(info).toMatchObject({ reason, domain: "llmgateway.v1" });
  const { requestId } = failure.detail(RequestInfoSchema);
  expect(requestId).toMatch(/^[!-~]{1,36}$/);
  expect(info.metadata.request_id).toBe(requestId);
  expect(failure.headers.get("x-request-id")).toBe(requestId);
  return failure;
}

const PROVIDER_ERRORS: readonly {
  readonly script: Script;
  readonly code: string;
  readonly reason: keyof typeof ErrorReason;
}[] = [
  { script: { status: 401 }, code: "unavailable", reason: "PROVIDER_AUTHENTICATION" },
  {
    script: { status: 429, errorCode: "insufficient_quota", errorType: "insufficient_quota" },
    code: "unavailable",
    reason: "PROVIDER_QUOTA_EXHAUSTED",
  },
  {
    script: { status: 404, errorCode: "model_not_found" },
    code: "not_found",
    reason: "PROVIDER_MODEL_NOT_FOUND",
  },
  { script: { status: 400 }, code: "invalid_argument", reason: "PROVIDER_INVALID_REQUEST" },
  {
    script: { status: 400, errorCode: "context_length_exceeded" },
    code: "invalid_argument",
    reason: "CONTEXT_TOO_LONG",
  },
  {
    script: { status: 400, errorCode: "content_filter" },
    code: "failed_precondition",
    reason: "CONTENT_FILTERED",
  },
];

/** Errors. */
export function describeErrors(suite: ClientSuite): void {
  describe("errors", () => {
    describeInvalidRequests(suite);
    describeRefusals(suite);
    describeProviderErrors(suite);
    describeDeadlines(suite);
  });
}

function describeInvalidRequests(suite: ClientSuite): void {
  it("names each field that breaks the contract, and calls no provider", async () => {
    const text = uniquePrompt();
    const call = suite.complete(text, { maxOutputTokens: 0, temperature: 3, tags: { "no spaces": "x" } });
    const failure = expectError(await failureOf(call), "invalid_argument", "INVALID_REQUEST");
    expect(failure.detail(BadRequestSchema).fieldViolations).toMatchObject([
      { field: "max_output_tokens", reason: "int32.gte_lte", description: expect.stringMatching(/./) },
      { field: "temperature", reason: "double.gte_lte" },
      { field: 'tags["no spaces"]', reason: "string.pattern" },
    ]);
    expect(failure.find(RetryInfoSchema)).toBeUndefined();
    expect(failure.headers.get("retry-after")).toBeNull();
    expect(suite.gateway.requestsOf(text)).toEqual([]);
  });

  it("names fields of a stream's request by their whole path", async () => {
    const { messages, failure } = await drain(
      suite.stream("", { messages: [{ role: Role.UNSPECIFIED, parts: [textPart("Hello")] }] }),
    );
    expect(messages).toEqual([]);
    expectError(failure, "invalid_argument", "INVALID_REQUEST");
    expect(failure?.detail(BadRequestSchema).fieldViolations).toMatchObject([
      { field: "request.messages[0].role", reason: "enum.not_in" },
    ]);
  });

  it("refuses what only together makes no sense", async () => {
    const call = suite.complete(uniquePrompt(), {
      tools: [{ name: "a" }, { name: "a", parametersJsonSchema: "[1]" }],
      toolChoice: { choice: { case: "toolName", value: "b" } },
    });
    const failure = expectError(await failureOf(call), "invalid_argument", "INVALID_REQUEST");
    expect(failure.detail(BadRequestSchema).fieldViolations.map(({ field }) => field)).toEqual([
      "tools[1].name",
      "tools[1].parameters_json_schema",
      "tool_choice.tool_name",
    ]);
    const mode = await suite.complete(uniquePrompt(), {
      tools: [{ name: "a" }],
      toolChoice: { choice: { case: "mode", value: ToolChoiceMode.NONE } },
    });
    expect(mode.message.choices).toHaveLength(1);
  });

  it("refuses a message above the size limit", async () => {
    const call = suite.complete("x".repeat(3 * 1024 * 1024), {
      messages: [1, 2].map(() => ({ role: Role.USER, parts: [textPart("x".repeat(3 * 1024 * 1024))] })),
    });
    expectError(await failureOf(call), "resource_exhausted", "MESSAGE_TOO_LARGE");
  });
}

function describeRefusals(suite: ClientSuite): void {
  it("says nothing about why a key is not accepted", async () => {
    const revealing = new Set<string>();
    for (const key of [undefined, "nonsense", `gw_live_${"a".repeat(12)}_${"b".repeat(40)}`]) {
      const text = uniquePrompt();
      const failure = await failureOf(suite.complete(text, {}, { key }));
      revealing.add(expectError(failure, "unauthenticated", "UNAUTHENTICATED").message);
      expect(suite.gateway.requestsOf(text)).toEqual([]);
    }
    expect([...revealing]).toHaveLength(1);
  });

  it("takes the key from x-api-key as well", async () => {
    const headers = { "x-api-key": suite.key };
    const { message } = await suite.complete(uniquePrompt(), {}, { key: undefined, headers });
    expect(message.provider).toBe("openai");
  });

  it("refuses a key without the role", async () => {
    const { secret } = await suite.gateway.createKey({ roles: [KeyRole.READ_COSTS] });
    const text = uniquePrompt();
    const unary = await failureOf(suite.complete(text, {}, { key: secret }));
    expectError(unary, "permission_denied", "PERMISSION_DENIED");
    const stream = await drain(suite.stream(text, {}, { key: secret }));
    expectError(stream.failure, "permission_denied", "PERMISSION_DENIED");
    expect(suite.gateway.requestsOf(text)).toEqual([]);
  });

  it("refuses a model that the key may not use", async () => {
    const { secret } = await suite.gateway.createKey({ allowedModels: [FALLBACK_MODEL] });
    const refused = await failureOf(suite.complete(uniquePrompt(), {}, { key: secret }));
    expectError(refused, "permission_denied", "MODEL_NOT_ALLOWED");
    const { message } = await suite.complete(uniquePrompt(), { model: FALLBACK_MODEL }, { key: secret });
    expect(message.provider).toBe("deepseek");
  });

  it("does not find a model that no provider is configured for", async () => {
    const failure = await failureOf(suite.complete(uniquePrompt(), { model: "no-such-model" }));
    expectError(failure, "not_found", "MODEL_NOT_FOUND");
    expect(failure.detail(ErrorInfoSchema).metadata).toMatchObject({ model: "no-such-model" });
  });

  it("says which limit of the key is used up and how long to wait", async () => {
    const { secret, apiKeyId } = await suite.gateway.createKey({ limits: { requestsPerMinute: 1 } });
    const options = { key: secret };
    await suite.complete(uniquePrompt(), {}, options);
    const text = uniquePrompt();
    const failure = await failureOf(suite.complete(text, {}, options));
    expectError(failure, "resource_exhausted", "RATE_LIMITED");
    const seconds = Number(failure.detail(RetryInfoSchema).retryDelay?.seconds);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(Number(failure.headers.get("retry-after"))).toBeGreaterThanOrEqual(seconds);
    expect(failure.detail(QuotaFailureSchema).violations).toMatchObject([
      { quotaId: "requests_per_minute", quotaValue: 1n, subject: expect.stringContaining(apiKeyId) },
    ]);
    const stream = await drain(suite.stream(text, {}, options));
    expect(stream.messages).toEqual([]);
    expectError(stream.failure, "resource_exhausted", "RATE_LIMITED");
    expect(suite.gateway.requestsOf(text)).toEqual([]);
  });
}

function describeProviderErrors(suite: ClientSuite): void {
  it.each(PROVIDER_ERRORS)("reports a provider's failure as $reason, with what it cost", async (row) => {
    const requestId = randomUUID();
    const text = uniquePrompt(directive("openai", row.script));
    const failure = await failureOf(suite.complete(text, { requestId }));
    expectError(failure, row.code, row.reason);
    expect(failure.headers.get("x-request-id")).toBe(requestId);
    expect(failure.detail(FailedCompletionSchema)).toMatchObject({
      requestId,
      attempts: [
        {
          ordinal: 1,
          provider: "openai",
          outcome: AttemptOutcome.FAILED,
          errorReason: ErrorReason[row.reason],
          billingState: BillingState.NOT_BILLED,
        },
      ],
      cost: { costUsd: usd(0n), estimated: false, unpriced: false },
    });
    expect(failure.find(RetryInfoSchema)).toBeUndefined();
  });

  it("retries an overloaded provider, then reports each attempt and when to come back", async () => {
    const text = uniquePrompt(directive("openai", { status: 503, retryAfterMs: 20 }));
    // A model of its own, so that the breaker of the one that all tests use stays closed.
    const model = `openai/overloaded-${randomUUID()}`;
    const failure = await failureOf(suite.complete(text, { model }));
    expectError(failure, "unavailable", "PROVIDER_OVERLOADED");
    const { attempts } = failure.detail(FailedCompletionSchema);
    expect(attempts.map(({ ordinal }) => ordinal)).toEqual(attempts.map((_, index) => index + 1));
    expect(attempts).toHaveLength(suite.gateway.requestsOf(text).length);
    expect(failure.detail(RetryInfoSchema).retryDelay).toBeDefined();
    expect(Number(failure.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  it("ends a stream that never began with the provider's failure", async () => {
    const text = uniquePrompt(directive("openai", { status: 401 }));
    const { messages, failure } = await drain(suite.stream(text));
    expectError(failure, "unavailable", "PROVIDER_AUTHENTICATION");
    expect(messages.map(({ event }) => event.case)).toEqual(["finished"]);
    expect(failure?.detail(FailedCompletionSchema).attempts).toHaveLength(1);
  });
}

function describeDeadlines(suite: ClientSuite): void {
  it.skipIf(!suite.canStateTimeouts)(
    "answers DEADLINE_EXCEEDED with what was spent, and closes the provider's socket",
    async () => {
      const text = uniquePrompt(directive("openai", { fault: "hang" }));
      const startedAt = Date.now();
      const call = suite.complete(text, { fallbackModels: [FALLBACK_MODEL] }, { statedTimeoutMs: 400 });
      // The first attempt gets half of the time, so that the fallback could answer: it hangs as well.
      const both = uniquePrompt(
        directive("openai", { fault: "hang" }),
        directive("deepseek", { fault: "hang" }),
      );
      const { message } = await call;
      expect(message.attempts).toMatchObject([
        { outcome: AttemptOutcome.FAILED, errorReason: ErrorReason.PROVIDER_TIMEOUT },
        { outcome: AttemptOutcome.SUCCEEDED, provider: "deepseek" },
      ]);
      expect(Date.now() - startedAt).toBeLessThan(3_000);

      const failure = await failureOf(
        suite.complete(both, { fallbackModels: [FALLBACK_MODEL] }, { statedTimeoutMs: 400 }),
      );
      expectError(failure, "deadline_exceeded", "DEADLINE_EXCEEDED");
      expect(failure.detail(FailedCompletionSchema).attempts).toMatchObject([
        { provider: "openai", outcome: AttemptOutcome.FAILED },
        {
          provider: "deepseek",
          outcome: AttemptOutcome.CANCELLED,
          errorReason: ErrorReason.DEADLINE_EXCEEDED,
        },
      ]);
      const [first, second] = await suite.gateway.billOf(both);
      expect(first?.clientAbortedAfterMs).toBeLessThan(400);
      const elapsed =
        (second?.startedAt ?? 0) - (first?.startedAt ?? 0) + (second?.clientAbortedAfterMs ?? 9_999);
      expect(elapsed).toBeLessThan(400 + 100);
    },
  );

  it.skipIf(!suite.canStateTimeouts)(
    "ends a stream at the deadline, with usage and cost in the last message",
    async () => {
      const text = uniquePrompt(directive("openai", { stallAfterTokens: 3 }));
      const { messages, failure } = await drain(suite.stream(text, {}, { statedTimeoutMs: 300 }));
      expectError(failure, "deadline_exceeded", "DEADLINE_EXCEEDED");
      expect(messages.at(-1)?.event.case).toBe("finished");
      expect(messages.at(-1)?.event.value).toMatchObject({
        // As the tokenizer counts the text, or by bytes while that is being loaded.
        usage: { tokensOut: expect.toBeOneOf([7n, 3n]) },
        cost: { estimated: true },
        attempts: [{ outcome: AttemptOutcome.CANCELLED }],
      });
    },
  );

  it("obeys the client's own deadline", async () => {
    const text = uniquePrompt(directive("openai", { fault: "hang" }));
    const failure = await failureOf(suite.complete(text, {}, { timeoutMs: 800 }));
    expect(failure.code).toBe("deadline_exceeded");
    const [line] = await suite.gateway.billOf(text);
    expect(line?.clientAbortedAfterMs).toBeLessThan(800 + 100);
  });

  it.skipIf(!suite.canStateTimeouts)("refuses a deadline that it cannot read", async () => {
    const headers = { "grpc-timeout": "soon", "connect-timeout-ms": "soon" };
    const failure = await failureOf(suite.complete(uniquePrompt(), {}, { headers }));
    expectError(failure, "invalid_argument", "INVALID_REQUEST");
  });
}
