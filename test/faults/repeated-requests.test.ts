import { randomUUID } from "node:crypto";
import { Code } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/es/google/rpc/error_details_pb.ts";
import { KeyRole } from "../../gen/es/llmgateway/v1/access_pb.ts";
import { CompletionService } from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { Role } from "../../gen/es/llmgateway/v1/content_pb.ts";
import { AttemptOutcome, BillingState } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import { createConnectClient } from "../support/clients/connect-client.ts";
import { createFetchClient } from "../support/clients/fetch-client.ts";
import { drain } from "../support/clients/gateway-client.ts";
import { CALL_KINDS, type CompletionOutcome } from "../support/completion-client.ts";
import type { BenchCall } from "../support/fault-bench.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import { inParallel } from "../support/in-parallel.ts";
import { expectLawL } from "../support/law-l.ts";
import { requestIdIn } from "../support/prompt.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

const TIMES = 10;

/** Law L holds after each test: every bill line has its one record, and nothing twice. */
const bench = useFaultBench({
  groups: {
    hasty: { profile: "openai", timeoutSeconds: 0.3 },
    openai: { profile: "openai" },
    deepseek: { profile: "deepseek" },
  },
});

const again = (call: BenchCall, times = TIMES): Promise<readonly CompletionOutcome[]> =>
  Promise.all(Array.from({ length: times }, () => bench().complete(call)));

const callsOf = (requestId: string) =>
  bench()
    .simulator.requests.recent()
    .filter(({ body }) => requestIdIn(JSON.stringify(body)) === requestId);

async function billedCallsOf(requestId: string): Promise<number> {
  await bench().simulator.whenIdle();
  return callsOf(requestId).length;
}

const isCalled = (requestId: string) => expect.poll(() => callsOf(requestId).length).toBe(1);

/** A call with an id and a provider of its own, to be made again and again. */
const callOf = (call: Partial<BenchCall>): BenchCall & { readonly requestId: string } => ({
  ...{ kind: "unary", requestId: randomUUID(), model: call.model ?? bench().candidate() },
  ...call,
});

/** What a caller is told, but for how long it took and whether it was told before. */
function told({ text, provider, attempts, usage, cost, reason }: CompletionOutcome) {
  return { text, provider, attempts, usage, cost, reason };
}

const metadataOf = ({ error }: CompletionOutcome) => error?.findDetails(ErrorInfoSchema)[0]?.metadata;

describe.each(CALL_KINDS)("the same request again (%s)", (kind) => {
  it("in parallel: one provider call, one charge, ten times its answer", async () => {
    const call = callOf({ kind, scripts: { openai: { latencyMs: 100, tokensOut: 40, tokenDelayMs: 1 } } });
    const outcomes = await again(call);
    expect(await billedCallsOf(call.requestId)).toBe(1);
    const first = outcomes.find(({ replayed }) => !replayed);
    if (!first) throw new Error("none was the first");
    expect(first).toMatchObject({ reason: undefined, text: expect.stringContaining("w13 ") });
    expect(outcomes.filter(({ replayed }) => replayed)).toHaveLength(TIMES - 1);
    for (const outcome of outcomes) expect(told(outcome)).toEqual(told(first));
    const { recordsOf } = await expectLawL(bench());
    expect(recordsOf(call.requestId)).toHaveLength(1);
  });

  it("after success: the same answer, at once", async () => {
    const call = callOf({ kind, scripts: { openai: { tokensOut: 50, tokenDelayMs: 2 } } });
    const first = await bench().complete(call);
    const outcomes = await again(call);
    for (const outcome of outcomes) {
      expect(told(outcome)).toEqual(told(first));
      expect(outcome.replayed).toBe(true);
      expect(outcome.elapsedMs).toBeLessThan(first.elapsedMs);
      if (kind === "stream") expect(outcome.events).toBeLessThan(first.events);
    }
    expect(first.replayed).toBe(false);
    expect(await billedCallsOf(call.requestId)).toBe(1);
  });

  it("with tools and reasoning: all of it again", async () => {
    const script = { reasoningTokens: 6, toolCall: { name: "look_up", arguments: { word: "Grüße 👋" } } };
    const model = bench().candidate("deepseek");
    const call = callOf({ kind, model, scripts: { deepseek: script } });
    const first = await bench().complete(call);
    const second = await bench().complete(call);
    expect(second.replayed).toBe(true);
    expect(told(second)).toEqual(told(first));
  });

  it("with another content: refused, while the first runs and afterwards", async () => {
    const call = callOf({ kind, scripts: { openai: { latencyMs: 300 } } });
    const changes = [{ text: "Other." }, { tags: { team: "x" } }, { endUser: "y" }, { maxOutputTokens: 7 }];
    const others = () => Promise.all(changes.map((change) => bench().complete({ ...call, ...change })));
    const first = bench().complete(call);
    await isCalled(call.requestId);
    const refused = await others();
    expect(await first).toMatchObject({ reason: undefined, replayed: false });
    for (const outcome of [...refused, ...(await others())]) {
      expect(outcome).toMatchObject({ reason: "REQUEST_ID_REUSED", attempts: [] });
      expect(outcome.error?.code).toBe(Code.AlreadyExists);
    }
    expect(await billedCallsOf(call.requestId)).toBe(1);
  });

  it("after a failure without cost: runs anew", async () => {
    const call = callOf({ kind, scripts: { openai: { status: 401, errorMessage: "no" } } });
    const first = await bench().complete(call);
    const second = await bench().complete(call);
    for (const outcome of [first, second]) {
      expect(outcome).toMatchObject({ reason: "PROVIDER_AUTHENTICATION", replayed: false });
      expect(outcome.attempts.map(({ billingState }) => billingState)).toEqual([BillingState.NOT_BILLED]);
    }
    expect(await billedCallsOf(call.requestId)).toBe(2);
  });

  it("in parallel with a call that fails without cost: fails with it", async () => {
    const call = callOf({ kind, scripts: { openai: { status: 401, latencyMs: 150, errorMessage: "no" } } });
    const outcomes = await again(call, 5);
    for (const outcome of outcomes) expect(outcome.reason).toBe("PROVIDER_AUTHENTICATION");
    expect(outcomes.filter(({ replayed }) => replayed)).toHaveLength(4);
    expect(await billedCallsOf(call.requestId)).toBe(1);
  });

  it("after a failure that may have cost money: the same failure, which no retry mends", async () => {
    const call = callOf({ kind, model: bench().candidate("hasty"), scripts: { openai: { fault: "hang" } } });
    const first = await bench().complete(call);
    expect(first).toMatchObject({ reason: "PROVIDER_TIMEOUT", replayed: false });
    expect(first.error?.findDetails(RetryInfoSchema)).toHaveLength(1);
    for (const outcome of await again(call, 3)) {
      expect(outcome).toMatchObject({ reason: "PROVIDER_TIMEOUT", replayed: true });
      expect(outcome.attempts).toEqual(first.attempts);
      expect(outcome.error?.findDetails(RetryInfoSchema)).toEqual([]);
      expect(outcome.error?.rawMessage).toContain("send a new request_id");
      expect(metadataOf(outcome)).toMatchObject({ replayed: "true" });
    }
    expect(await billedCallsOf(call.requestId)).toBe(1);
  });

  it("after its caller went away: refused as unknown, with what the first one may have cost", async () => {
    const call = callOf({ kind, scripts: { openai: { tokensOut: 400, tokenDelayMs: 5 } } });
    const aborted = new AbortController();
    const first = bench().complete({ ...call, signal: aborted.signal });
    await isCalled(call.requestId);
    aborted.abort();
    await first;
    await bench().simulator.whenIdle();
    const outcome = await bench().complete(call);
    expect(outcome).toMatchObject({ reason: "REQUEST_OUTCOME_UNKNOWN", replayed: true });
    expect(outcome.error?.code).toBe(Code.Aborted);
    expect(outcome.attempts.map((attempt) => attempt.outcome)).toEqual([AttemptOutcome.CANCELLED]);
    expect(await billedCallsOf(call.requestId)).toBe(1);
  });

  it("waits no longer than its own deadline for the first one", async () => {
    const call = callOf({ kind, scripts: { openai: { latencyMs: 600 } } });
    const first = bench().complete(call);
    await isCalled(call.requestId);
    const second = await bench().complete({ ...call, timeoutMs: 100 });
    expect(second.reason).toBe("DEADLINE_EXCEEDED");
    expect(second.elapsedMs).toBeLessThan(500);
    expect(second.attempts).toEqual([]);
    expect(await first).toMatchObject({ reason: undefined, replayed: false });
    expect(await billedCallsOf(call.requestId)).toBe(1);
  });
});

describe("a request id", () => {
  it("of one key is nothing to another key", async () => {
    const { secret } = await bench()
      .clients.keys(ADMIN_KEY)
      .createKey({ key: { displayName: "another", roles: [KeyRole.INVOKE] } });
    const call = callOf({});
    const outcomes = await Promise.all([bench().complete(call), bench().complete({ ...call, secret })]);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: undefined, replayed: false });
    expect(await billedCallsOf(call.requestId)).toBe(2);
  });

  it("of one method is another call's to the other method", async () => {
    const call = callOf({ kind: "unary" });
    await bench().complete(call);
    const outcome = await bench().complete({ ...call, kind: "stream" });
    expect(outcome.reason).toBe("REQUEST_ID_REUSED");
  });

  it("has at most a hundred repetitions waiting for its end; more are told to come again", async () => {
    const call = callOf({ scripts: { openai: { latencyMs: 1_000 } } });
    const outcomes = await again(call, 111);
    const refused = outcomes.filter(({ reason }) => reason === "OVERLOADED");
    expect(refused).toHaveLength(10);
    expect(outcomes.filter(({ replayed }) => replayed)).toHaveLength(100);
    expect(await billedCallsOf(call.requestId)).toBe(1);
  });

  it("of 40 requests, each made five times over all at once, stands for one charge each", async () => {
    const model = bench().candidate();
    const calls = Array.from({ length: 40 }, (_, index) =>
      callOf({ kind: CALL_KINDS[index % 2] ?? "unary", model, scripts: { openai: { latencyMs: 20 } } }),
    );
    const outcomes = (await inParallel(calls, (call) => again(call, 5))).flat();
    expect(outcomes.filter(({ reason }) => reason !== undefined)).toEqual([]);
    expect(outcomes.filter(({ replayed }) => !replayed)).toHaveLength(calls.length);
    const counts = await Promise.all(calls.map(({ requestId }) => billedCallsOf(requestId)));
    expect(new Set(counts)).toEqual(new Set([1]));
  });

  it("is the same in every protocol", async () => {
    const { url } = bench().gateway;
    const grpc = createGrpcTransport({ baseUrl: url });
    const connect = createConnectTransport({ baseUrl: url, httpVersion: "1.1" });
    const clients = [
      createConnectClient(grpc, { timeoutHeader: "grpc-timeout" }),
      createConnectClient(connect, { timeoutHeader: "connect-timeout-ms" }),
      createFetchClient(url),
    ];
    const everyone = [...clients, ...clients, ...clients];
    const [once, streamedOnce] = [randomUUID(), randomUUID()];
    const model = bench().candidate();
    const key = bench().secret;
    const replies = await Promise.all(
      everyone.map((client) =>
        client.unary(
          CompletionService.method.complete,
          requestOf({ requestId: once, model, text: `request=${once}` }),
          { key },
        ),
      ),
    );
    const messages = replies.map(({ message }) => message);
    expect(messages.filter(({ replayed }) => !replayed)).toHaveLength(1);
    for (const message of messages) expect(message.choices).toEqual(messages[0]?.choices);

    const request = requestOf({ requestId: streamedOnce, model, text: `request=${streamedOnce}` });
    const streams = await Promise.all(
      everyone.map((client) =>
        drain(client.stream(CompletionService.method.streamComplete, { request }, { key })),
      ),
    );
    const ends = streams.map((stream) => stream.messages.at(-1)?.event);
    expect(ends.filter((end) => end?.case === "finished" && !end.value.replayed)).toHaveLength(1);
    expect([await billedCallsOf(once), await billedCallsOf(streamedOnce)]).toEqual([1, 1]);
  });
});

function requestOf({ text, ...request }: { requestId: string; model: string; text: string }) {
  return {
    ...request,
    messages: [{ role: Role.USER, parts: [{ content: { case: "text" as const, value: text } }] }],
  };
}
