import { readFileSync } from "node:fs";
import type {
  CompletionInput,
  Message,
  NativeRequest,
  StreamDelta,
  StreamSink,
} from "../../src/core/completion.ts";
import type { EmbeddingInput } from "../../src/core/embedding.ts";
import type { CallTimeouts, EmbeddingProviderCall, ProviderCall } from "../../src/core/provider.ts";
import { ProviderError } from "../../src/core/provider-error.ts";
import { awsStreamOf } from "./aws-frames.ts";
import type { Script } from "./scripted-provider.ts";

const GENEROUS: CallTimeouts = { totalMs: 10_000, firstTokenMs: 10_000, idleMs: 10_000 };

export interface CallOverrides {
  readonly model?: string;
  readonly input?: Partial<CompletionInput>;
  readonly timeouts?: Partial<CallTimeouts>;
  readonly signal?: AbortSignal;
  readonly onSent?: () => void;
  readonly traceHeaders?: Readonly<Record<string, string>>;
}

/** A call with one user message, which takes its time unless told otherwise. */
export function callOf(overrides: CallOverrides = {}): ProviderCall {
  return {
    model: overrides.model ?? "some-model",
    input: { ...inputOf([userMessage("Hello")]), ...overrides.input },
    timeouts: { ...GENEROUS, ...overrides.timeouts },
    signal: overrides.signal ?? new AbortController().signal,
    onSent: overrides.onSent,
    traceHeaders: overrides.traceHeaders ?? {},
  };
}

export function inputOf(messages: readonly Message[]): CompletionInput {
  return {
    messages,
    tools: [],
    toolChoice: undefined,
    parallelToolCalls: undefined,
    responseFormat: undefined,
    maxOutputTokens: undefined,
    temperature: undefined,
    topP: undefined,
    stop: [],
    seed: undefined,
    endUser: undefined,
  };
}

/** A call for embeddings, which takes its time. */
export function embeddingCallOf(call: {
  readonly model: string;
  readonly input: EmbeddingInput;
  readonly native?: NativeRequest;
}): EmbeddingProviderCall {
  const { signal } = new AbortController();
  return { timeouts: GENEROUS, signal, onSent: undefined, traceHeaders: {}, ...call };
}

export function embeddingOf(texts: readonly string[], more: Partial<EmbeddingInput> = {}): EmbeddingInput {
  const embedded = { kind: "texts", texts } as const;
  return { embedded, dimensions: undefined, purpose: undefined, endUser: undefined, ...more };
}

export function userMessage(text: string): Message {
  return { role: "user", name: undefined, parts: [{ kind: "text", text }] };
}

export function messageOf(role: Message["role"], ...parts: Message["parts"]): Message {
  return { role, name: undefined, parts };
}

/** The ProviderError that making a request fails with. */
export function refusalOf(makeRequest: () => unknown): ProviderError {
  try {
    makeRequest();
  } catch (error) {
    if (error instanceof ProviderError) return error;
    throw error;
  }
  throw new Error("expected a refusal");
}

/** A sink that keeps the batches it was given. */
export class CollectingSink {
  readonly batches: (readonly StreamDelta[])[] = [];
  readonly push: StreamSink = (deltas) => {
    this.batches.push(deltas);
    return undefined;
  };

  get deltas(): readonly StreamDelta[] {
    return this.batches.flat();
  }

  get text(): string {
    return this.deltas.map((delta) => (delta.kind === "text" ? delta.text : "")).join("");
  }
}

/** The ProviderError that a call fails with; anything else fails the test. */
export async function failureOf(call: Promise<unknown>): Promise<ProviderError> {
  const outcome = await call.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (!("error" in outcome)) throw new Error(`expected a failure, got ${JSON.stringify(outcome.value)}`);
  if (!(outcome.error instanceof ProviderError)) throw outcome.error;
  return outcome.error;
}

interface ResponseFixture {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

function readFixture(path: string): string {
  return readFileSync(new URL(`../fixtures/${path}`, import.meta.url), "utf8");
}

export function readResponse(path: string): ResponseFixture {
  return JSON.parse(readFixture(path)) as ResponseFixture;
}

/**
 * Answers with a fixture: `.json` holds status, headers and body; `.sse` is the text of a stream, which has the
 * headers of `completion.json` in the same folder; `.events` is one event of an AWS event stream a line.
 */
export function answersWith(path: string): Script {
  if (!path.endsWith(".json")) {
    const { headers } = readResponse(path.replace(/[^/]+$/, "completion.json"));
    const text = readFixture(path);
    return path.endsWith(".events")
      ? streams([awsStreamOf(text)], headers, "latin1")
      : streams([text], headers);
  }
  const { status, headers, body } = readResponse(path);
  return (response) => void response.writeHead(status, headers).end(JSON.stringify(body));
}

/** Sends the pieces as one event stream, each in a write of its own, and ends it. */
export function streams(
  pieces: readonly (string | Buffer)[],
  headers: Readonly<Record<string, string>> = {},
  encoding: BufferEncoding = "utf8",
): Script {
  return (response) => {
    response.writeHead(200, { ...headers, "content-type": "text/event-stream" });
    for (const piece of pieces) {
      if (typeof piece === "string") response.write(piece, encoding);
      else response.write(piece);
    }
    response.end();
  };
}

/** Answers 200 with JSON. */
export function answersJson(body: unknown): Script {
  return (response) =>
    void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** One `data:` event. */
export function event(data: unknown): string {
  return `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
}

/** A chunk of a stream in the OpenAI-chat dialect with one choice. */
export function chunk(delta: unknown, finishReason: string | null = null): string {
  return event({
    model: "some-model",
    choices: [{ index: 0, delta, finish_reason: finishReason }],
    usage: null,
  });
}

/** The chunk that states the usage. */
export function usageChunk(tokensIn: unknown, tokensOut: unknown): string {
  return event({ choices: [], usage: { prompt_tokens: tokensIn, completion_tokens: tokensOut } });
}

export const DONE: string = event("[DONE]");
