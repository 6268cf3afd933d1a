import { AsyncLocalStorage } from "node:async_hooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FinishReason, MessagePart, StreamDelta } from "../../src/core/completion.ts";
import type { Provider } from "../../src/core/provider.ts";
import type { ProviderErrorReason } from "../../src/core/provider-error.ts";
import type { ProviderTypeName } from "../../src/core/provider-types.ts";
import type { Usage } from "../../src/core/usage.ts";
import { createProvider, type ProviderOptions } from "../../src/providers/create-provider.ts";
import { answersJson, answersWith, CollectingSink, callOf, failureOf } from "../support/provider-calls.ts";
import { ScriptedProvider } from "../support/scripted-provider.ts";
import type { WireFormat } from "../support/wire-format.ts";
import { openAiChatWire } from "../support/wires/openai-chat-wire.ts";
import { describeProviderFaults } from "./provider-fault-suite.ts";
import { describeProviderLimits } from "./provider-limit-suite.ts";

/** What the suite has to know of a provider; all the rest must be the same with every one. */
export interface ProviderUnderTest {
  readonly profile: ProviderTypeName;
  /** Default: OpenAI's. */
  readonly wire?: WireFormat;
  /** Folder of the fixtures; default the profile's. */
  readonly fixtures?: string;
  /** How it is asked in a dialect that is not its first one. */
  readonly speaking?: (provider: Provider) => Provider;
  /** Headers that carry the key; default a bearer token. */
  readonly keyHeaders?: Readonly<Record<string, string>>;
  /** Path of the base URL: `/v1`, or empty. */
  readonly basePath: string;
  readonly model: string;
  /** Undefined where answers do not name it. */
  readonly responseModel: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly requestId: string | undefined;
  /** Of the fixtures of errors; default the same. Undefined where only answers have one. */
  readonly errorRequestId?: string | undefined;
  /** Usage that the fixtures of a completion and a stream state. */
  readonly usage: Usage;
  /** Cost that the fixtures of a completion and a stream state. */
  readonly providerCostPicoUsd?: bigint;
  /** Whether the usage of a stream must be asked for; default true in OpenAI's dialect. */
  readonly asksForUsage?: boolean;
  /** Reasoning that comes before the text in the fixtures, if the provider sends any. */
  readonly reasoning: string | undefined;
  /** Fixtures of the errors: file name without `.json` → what it must become. */
  readonly errors: Readonly<Record<string, { reason: ProviderErrorReason; retryAfterMs?: number }>>;
}

const TEXT = "Guten Tag, wie geht’s? 👋";
export const API_KEY = "sk-test-canary-0123456789";

/** Starts the provider against the stand-in. */
export function providerAt(
  standIn: ScriptedProvider,
  subject: ProviderUnderTest,
  options?: Partial<ProviderOptions>,
): Provider {
  const { speaking = (provider) => provider } = subject;
  const provider = createProvider({
    name: subject.profile,
    profile: subject.profile,
    baseUrl: `${standIn.origin}${subject.basePath}`,
    apiKey: API_KEY,
    headers: subject.headers,
    connectTimeoutMs: 2_000,
    ...options,
  });
  return speaking(provider);
}

const fixturesOf = ({ fixtures, profile }: ProviderUnderTest): string => fixtures ?? profile;

/** The suite that every provider adapter must pass. */
export function describeProvider(subject: ProviderUnderTest): void {
  describe(`provider ${fixturesOf(subject)}`, () => {
    let standIn: ScriptedProvider;
    let provider: Provider;
    beforeAll(async () => {
      standIn = await ScriptedProvider.start();
      provider = providerAt(standIn, subject);
    });
    afterAll(async () => {
      await provider.close();
      await standIn[Symbol.asyncDispose]();
    });
    const wire = subject.wire ?? openAiChatWire;
    const streamFixture = (name: string) =>
      `${fixturesOf(subject)}/${name}.${wire.encoding === "latin1" ? "events" : "sse"}`;
    const context = { subject, wire, streamFixture, standIn: () => standIn, provider: () => provider };
    describeRequests(context);
    describeAnswers(context);
    describeStreams(context);
    describeErrors(context);
    describeProviderFaults(context);
    describeProviderLimits(context);
  });
}

export interface SuiteContext {
  readonly subject: ProviderUnderTest;
  readonly wire: WireFormat;
  /** Path of the fixture of a stream. */
  readonly streamFixture: (name: string) => string;
  readonly standIn: () => ScriptedProvider;
  readonly provider: () => Provider;
}

function describeRequests({ subject, wire, streamFixture, standIn, provider }: SuiteContext): void {
  it("sends one POST to the path of its dialect with the key, the configured headers and the trace", async () => {
    standIn().does(answersWith(`${fixturesOf(subject)}/completion.json`));
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await provider().complete(callOf({ model: subject.model, traceHeaders: { traceparent } }));
    const request = standIn().onlyRequest;
    expect(request.method).toBe("POST");
    expect(request.path).toBe(`${subject.basePath}${wire.path(subject.model, false)}`);
    expect(request.headers).toMatchObject({
      ...(subject.keyHeaders ?? { authorization: `Bearer ${API_KEY}` }),
      "content-type": "application/json",
      traceparent,
      ...Object.fromEntries(
        Object.entries(subject.headers).map(([name, value]) => [name.toLowerCase(), value]),
      ),
    });
    expect(JSON.parse(request.body)).toEqual(wire.helloBody(subject.model));
  });

  it("asks for a stream, and for its usage where that must be asked for", async () => {
    standIn().does(answersWith(streamFixture("stream")));
    await provider().stream(callOf({ model: subject.model }), new CollectingSink().push);
    const { path, body } = standIn().onlyRequest;
    expect(path).toBe(`${subject.basePath}${wire.path(subject.model, true)}`);
    const asks = subject.asksForUsage ?? wire === openAiChatWire;
    const sent: { stream_options?: { include_usage?: boolean } } = JSON.parse(body);
    expect(sent).toMatchObject(wire.streamBody);
    expect(sent.stream_options?.include_usage ?? false).toBe(asks);
  });

  it("reuses the sockets of calls that are over", async () => {
    const own = providerAt(standIn(), subject);
    const before = standIn().connections;
    standIn().does(answersWith(`${fixturesOf(subject)}/completion.json`));
    for (let i = 0; i < 5; i += 1) await own.complete(callOf());
    standIn().does(answersWith(streamFixture("stream")));
    for (let i = 0; i < 5; i += 1) await own.stream(callOf(), new CollectingSink().push);
    // Two and not one: undici frees a socket one turn of the event loop after the answer; the next call comes sooner.
    expect(standIn().connections - before).toBeLessThanOrEqual(2);
    await own.close();
  });
}

function describeAnswers({ subject, wire, standIn, provider }: SuiteContext): void {
  const reasoningParts: readonly MessagePart[] = subject.reasoning
    ? [{ kind: "reasoning", text: subject.reasoning }]
    : [];

  it("reads a completion: parts, finish reason, usage, model and request id", async () => {
    standIn().does(answersWith(`${fixturesOf(subject)}/completion.json`));
    expect(await provider().complete(callOf())).toEqual({
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            name: undefined,
            parts: [...reasoningParts, { kind: "text", text: TEXT }],
          },
          finishReason: "stop",
        },
      ],
      responseModel: subject.responseModel,
      usage: { kind: "reported", usage: subject.usage },
      providerRequestId: subject.requestId,
      providerCostPicoUsd: subject.providerCostPicoUsd,
      outputBytes: Buffer.byteLength(TEXT) + Buffer.byteLength(subject.reasoning ?? ""),
    });
  });

  it("reads parallel tool calls", async () => {
    standIn().does(answersWith(`${fixturesOf(subject)}/completion-tools.json`));
    const answer = await provider().complete(callOf());
    const [choice] = answer.choices;
    expect(choice?.finishReason).toBe("tool_calls");
    expect(choice?.message.parts.filter((part) => part.kind === "tool_call")).toEqual([
      { kind: "tool_call", id: "call_1", name: "get_weather", argumentsJson: '{"city":"Paris"}' },
      { kind: "tool_call", id: "call_2", name: "get_weather", argumentsJson: '{"city":"Rome"}' },
    ]);
  });

  it.runIf(wire.severalChoices)("reads several choices", async () => {
    const { stop, length } = wire.finishReasons;
    standIn().does(answersJson(wire.answer([wire.choice("a", stop, 0), wire.choice("b", length, 1)])));
    const answer = await provider().complete(callOf());
    expect(answer.choices.map(({ index, finishReason }) => [index, finishReason])).toEqual([
      [0, "stop"],
      [1, "length"],
    ]);
    expect(answer.usage).toEqual({ kind: "absent" });
  });

  const wireReasons = Object.entries(wire.finishReasons) as [FinishReason, string][];
  // A dialect that has no reason for tool calls says it by the calls: its fixtures show that.
  const distinct = wireReasons.filter(
    ([ours, theirs]) => ours === "stop" || theirs !== wire.finishReasons.stop,
  );
  it.each(distinct)("passes the finish reason %s on", async (finishReason, wireReason) => {
    standIn().does(answersJson(wire.answer([wire.choice("x", wireReason)])));
    const answer = await provider().complete(callOf());
    expect(answer.choices[0]?.finishReason).toBe(finishReason);
  });

  it.each<[string, unknown, string]>([
    ["negative", wire.usage(-1, 5), "NEGATIVE"],
    ["above 2^53", wire.usage(1, 2 ** 60), "TOO_LARGE"],
    ["a string", wire.usage("7", 5), "NOT_AN_INTEGER"],
    ["a fraction", wire.usage(7, 0.5), "NOT_AN_INTEGER"],
    ["no object", 17, "NOT_AN_INTEGER"],
  ])("flags usage that is %s, and keeps the answer", async (_name, usage, anomaly) => {
    standIn().does(answersJson(wire.answer([wire.choice("x", wire.finishReasons.stop)], usage)));
    const answer = await provider().complete(callOf());
    expect(answer.usage).toEqual({ kind: "invalid", anomaly });
    expect(answer.choices).toHaveLength(1);
  });

  it.runIf(wire.tooManyCachedTokens)("flags more cached tokens than there was input", async () => {
    const choices = [wire.choice("x", wire.finishReasons.stop)];
    standIn().does(answersJson(wire.answer(choices, wire.tooManyCachedTokens)));
    const answer = await provider().complete(callOf());
    expect(answer.usage).toEqual({ kind: "invalid", anomaly: "CACHE_EXCEEDS_INPUT" });
  });
}

function describeStreams({ subject, streamFixture, standIn, provider }: SuiteContext): void {
  it("streams text as deltas and ends with finish reason, usage, model and request id", async () => {
    standIn().does(answersWith(streamFixture("stream")));
    const sink = new CollectingSink();
    const end = await provider().stream(callOf(), sink.push);
    expect(sink.text).toBe(TEXT);
    expect(sink.deltas.filter(({ kind }) => kind === "reasoning")).toEqual(
      subject.reasoning ? [{ kind: "reasoning", choiceIndex: 0, text: subject.reasoning }] : [],
    );
    expect(end).toEqual({
      finishReasons: [{ choiceIndex: 0, finishReason: "stop" }],
      responseModel: subject.responseModel,
      usage: { kind: "reported", usage: subject.usage },
      providerRequestId: subject.requestId,
      providerCostPicoUsd: subject.providerCostPicoUsd,
      outputBytes: Buffer.byteLength(TEXT) + Buffer.byteLength(subject.reasoning ?? ""),
      deltas: subject.reasoning ? 4 : 3,
    });
  });

  it("calls the sink in the async context of its own caller, also on a socket that another call opened", async () => {
    standIn().does(answersWith(streamFixture("stream")));
    const storage = new AsyncLocalStorage<number>();
    const own = providerAt(standIn(), subject, { maxSockets: 1 });
    const contexts = await Promise.all(
      [1, 2, 3].map((caller) =>
        storage.run(caller, async () => {
          const seen = new Set<number | undefined>();
          await own.stream(callOf(), () => void seen.add(storage.getStore()));
          return [...seen];
        }),
      ),
    );
    expect(contexts).toEqual([[1], [2], [3]]);
    await own.close();
  });

  it("streams parallel tool calls; the first delta of each carries id and name", async () => {
    standIn().does(answersWith(streamFixture("stream-tools")));
    const sink = new CollectingSink();
    const end = await provider().stream(callOf(), sink.push);
    expect(end.finishReasons).toEqual([{ choiceIndex: 0, finishReason: "tool_calls" }]);
    const calls = new Map<
      number,
      { id?: string | undefined; name?: string | undefined; arguments: string }
    >();
    for (const delta of sink.deltas as readonly Extract<StreamDelta, { kind: "tool_call" }>[]) {
      const call = calls.get(delta.toolIndex) ?? { id: delta.id, name: delta.name, arguments: "" };
      calls.set(delta.toolIndex, { ...call, arguments: call.arguments + delta.argumentsDelta });
    }
    expect([...calls.values()]).toEqual([
      { id: "call_1", name: "get_weather", arguments: '{"city":"Paris"}' },
      { id: "call_2", name: "get_weather", arguments: '{"city":"Rome"}' },
    ]);
  });
}

function describeErrors({ subject, streamFixture, standIn, provider }: SuiteContext): void {
  const cases = Object.entries(subject.errors);
  const requestId = "errorRequestId" in subject ? subject.errorRequestId : subject.requestId;

  it.each(cases)(
    "maps the documented body of %s for unary calls and streams alike",
    async (name, expected) => {
      standIn().does(answersWith(`${fixturesOf(subject)}/${name}.json`));
      for (const call of [
        () => provider().complete(callOf()),
        () => provider().stream(callOf(), new CollectingSink().push),
      ]) {
        const error = await failureOf(call());
        expect(error.reason).toBe(expected.reason);
        expect(error.retryAfterMs).toBe(expected.retryAfterMs);
        expect(error.billing).toBe("not_billed");
        expect(error.usage).toEqual({ kind: "absent" });
        expect(error.providerRequestId).toBe(requestId);
        expect(error.message.length).toBeLessThan(400);
        // Fixtures quote keys, whole or masked, as providers do.
        expect(`${error.message} ${String(error.cause)}`).not.toMatch(/sk-|hf_|gsk_|xai-|AIza/);
      }
      expect(standIn().requests).toHaveLength(2);
    },
  );

  it("quotes the provider only where the caller must change the request", async () => {
    for (const [name, { reason }] of cases) {
      standIn().does(answersWith(`${fixturesOf(subject)}/${name}.json`));
      const { message } = await failureOf(provider().complete(callOf()));
      const quotes = reason === "PROVIDER_INVALID_REQUEST" || reason === "CONTEXT_TOO_LONG";
      expect([name, /\(HTTP \d+\): ./.test(message)]).toEqual([name, quotes]);
    }
  });

  it("maps an error in the middle of a stream", async () => {
    standIn().does(answersWith(streamFixture("stream-error")));
    const error = await failureOf(provider().stream(callOf(), new CollectingSink().push));
    expect(error.reason).toBe("PROVIDER_ERROR");
    expect(error.billing).toBe("maybe_billed");
    expect(error.received).toEqual({ outputBytes: 6, deltas: 1 });
  });
}
