import type {
  NativeDialect,
  ProviderAnswer,
  StreamDelta,
  StreamEnd,
  StreamSink,
} from "../../src/core/completion.ts";
import { countEmbedded, type EmbeddingAbilities, type EmbeddingAnswer } from "../../src/core/embedding.ts";
import type {
  Embedder,
  EmbeddingProviderCall,
  Provider,
  ProviderCall,
  ProviderCallFrame,
} from "../../src/core/provider.ts";
import {
  ProviderError,
  type ProviderErrorOptions,
  type ProviderErrorReason,
} from "../../src/core/provider-error.ts";
import { parseUsage, type UsageReport } from "../../src/core/usage.ts";
import { mapAbort, type SeenSoFar } from "../../src/providers/map-error.ts";

/** What the stand-in does with one call. */
export type Step =
  | {
      readonly kind: "answer";
      readonly afterMs: number;
      readonly usage: UsageReport;
      readonly outputBytes: number;
    }
  | { readonly kind: "fail"; readonly afterMs: number; readonly error: unknown }
  | { readonly kind: "stream"; readonly batches: readonly Batch[]; readonly end: StreamStepEnd };

/** Text deltas that arrive together, so long after those before. */
export interface Batch {
  readonly afterMs: number;
  readonly texts: readonly string[];
}

type StreamStepEnd =
  | { readonly kind: "finished"; readonly usage: UsageReport }
  | {
      readonly kind: "failed";
      readonly reason: ProviderErrorReason;
      readonly options?: Partial<ProviderErrorOptions>;
    };

export const NEVER_MS = 2_000_000_000;

export const usageOf = (tokensIn: number, tokensOut: number): UsageReport =>
  parseUsage({ tokensIn, tokensOut });

export function answers(changes: Partial<Omit<Extract<Step, { kind: "answer" }>, "kind">> = {}): Step {
  return { kind: "answer", afterMs: 0, usage: usageOf(10, 5), outputBytes: 20, ...changes };
}

export function fails(
  reason: ProviderErrorReason,
  options: Partial<ProviderErrorOptions> & { readonly afterMs?: number } = {},
): Step {
  const { afterMs = 0, ...rest } = options;
  const error = new ProviderError(reason, `scripted ${reason}`, { billing: "not_billed", ...rest });
  return { kind: "fail", afterMs, error };
}

/** A defect of an adapter: it throws something that is no ProviderError. */
export const throws = (error: unknown): Step => ({ kind: "fail", afterMs: 0, error });

/** Silent until its limit or the caller ends it. */
export const hangs = (): Step => answers({ afterMs: NEVER_MS });

/** A stream of batches that ends well, with a usage of 10 and 5 tokens unless told otherwise. */
export function streams(
  texts: readonly (string | Batch)[],
  end: StreamStepEnd = { kind: "finished", usage: usageOf(10, 5) },
): Step {
  const batches = texts.map((text) => (typeof text === "string" ? { afterMs: 0, texts: [text] } : text));
  return { kind: "stream", batches, end };
}

/** One call as the stand-in saw it. */
export interface SeenCall {
  readonly call: ProviderCall | EmbeddingProviderCall;
  readonly atMs: number;
  /** When the stand-in was aborted. */
  abortedAtMs: number | undefined;
  /** When it answered or failed. */
  endedAtMs: number | undefined;
}

/**
 * A provider inside the process that plays one step a call, and answers when it has none left. It keeps the limits of a
 * call and its signal as the real adapters do.
 */
export class FakeProvider implements Provider {
  readonly name: string;
  readonly dialects: Set<NativeDialect> = new Set();
  readonly calls: SeenCall[] = [];
  embedder: Embedder | undefined;
  readonly #timeline: string[];
  #steps: Step[] = [];

  constructor(name: string, timeline: string[] = []) {
    this.name = name;
    this.#timeline = timeline;
  }

  /** What the next calls get, one each. */
  plays(...steps: readonly Step[]): this {
    this.#steps = [...steps];
    return this;
  }

  /** It makes embeddings from now on: vectors of two dimensions that begin with the place of what was embedded. */
  embeds(abilities: EmbeddingAbilities = { tokens: true, dimensions: true, purpose: true }): this {
    this.embedder = {
      abilities,
      embed: (call) => this.#play(call, (step) => this.#embed(call, step)),
    };
    return this;
  }

  async #embed(call: EmbeddingProviderCall, step: Step): Promise<EmbeddingAnswer> {
    if (step.kind === "stream") throw new Error("a stream step was given to a call for embeddings");
    await within(call, { afterMs: step.afterMs, limitMs: call.timeouts.totalMs });
    if (step.kind === "fail") throw step.error;
    const vectors = Array.from({ length: countEmbedded(call.input.embedded) }, (_, index) =>
      Float32Array.of(index, 0.5),
    );
    const providerRequestId = `${this.name}-${this.calls.length}`;
    return { vectors, responseModel: undefined, usage: step.usage, providerRequestId, outputBytes: 0 };
  }

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    return await this.#play(call, (step) => this.#answer(call, step));
  }

  async #answer(call: ProviderCall, step: Step): Promise<ProviderAnswer> {
    if (step.kind === "stream") throw new Error("a stream step was given to a unary call");
    await within(call, { afterMs: step.afterMs, limitMs: call.timeouts.totalMs });
    if (step.kind === "fail") throw step.error;
    return {
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            name: undefined,
            parts: [{ kind: "text", text: `from ${this.name}` }],
          },
          finishReason: "stop",
        },
      ],
      responseModel: undefined,
      usage: step.usage,
      providerRequestId: `${this.name}-${this.calls.length}`,
      outputBytes: step.outputBytes,
    };
  }

  async stream(call: ProviderCall, sink: StreamSink): Promise<StreamEnd> {
    return await this.#play(call, (step) => this.#stream(call, sink, step));
  }

  async #stream(call: ProviderCall, sink: StreamSink, step: Step): Promise<StreamEnd> {
    const asStream: Step =
      step.kind === "answer" ? streams([{ afterMs: step.afterMs, texts: ["hello"] }]) : step;
    if (asStream.kind === "fail") {
      await within(call, { afterMs: asStream.afterMs, limitMs: call.timeouts.firstTokenMs });
      throw asStream.error;
    }
    if (asStream.kind === "answer") throw new Error("unreachable");
    return await playStream(call, sink, asStream);
  }

  async close(): Promise<void> {}

  async #play<T>(call: ProviderCall | EmbeddingProviderCall, play: (step: Step) => Promise<T>): Promise<T> {
    const seen: SeenCall = { call, atMs: performance.now(), abortedAtMs: undefined, endedAtMs: undefined };
    this.calls.push(seen);
    this.#timeline.push(`call ${this.name}`);
    call.onSent?.();
    call.signal.addEventListener("abort", () => {
      seen.abortedAtMs = performance.now();
    });
    try {
      return await play(this.#steps.shift() ?? answers());
    } finally {
      seen.endedAtMs = performance.now();
    }
  }
}

async function playStream(
  call: ProviderCall,
  sink: StreamSink,
  step: Extract<Step, { kind: "stream" }>,
): Promise<StreamEnd> {
  let outputBytes = 0;
  let count = 0;
  const seen = (): SeenSoFar => ({ received: { outputBytes, deltas: count } });
  for (const { afterMs, texts } of step.batches) {
    const limitMs = count === 0 ? call.timeouts.firstTokenMs : call.timeouts.idleMs;
    await within(call, { afterMs, limitMs, seen });
    const deltas: readonly StreamDelta[] = texts.map((text) => ({ kind: "text", choiceIndex: 0, text }));
    count += deltas.length;
    outputBytes += Buffer.byteLength(texts.join(""));
    const taken = sink(deltas);
    if (taken) await taken.catch((error: unknown) => Promise.reject(mapAbort(error, failure(seen()))));
    if (call.signal.aborted) throw mapAbort(call.signal.reason, failure(seen()));
  }
  if (step.end.kind === "failed") {
    const { reason, options = {} } = step.end;
    throw new ProviderError(reason, `scripted ${reason}`, { ...failure(seen()), ...options });
  }
  return {
    finishReasons: [{ choiceIndex: 0, finishReason: "stop" }],
    responseModel: undefined,
    usage: step.end.usage,
    providerRequestId: undefined,
    outputBytes,
    deltas: count,
  };
}

const failure = (seen: SeenSoFar): ProviderErrorOptions => ({ ...seen, billing: "maybe_billed" });

/** Waits, but no longer than the limit and the signal allow. */
async function within(
  call: ProviderCallFrame,
  wait: { readonly afterMs: number; readonly limitMs: number; readonly seen?: () => SeenSoFar },
): Promise<void> {
  const { afterMs, limitMs, seen = () => ({}) } = wait;
  if (call.signal.aborted) throw mapAbort(call.signal.reason, { billing: "not_billed" });
  if (afterMs === 0) return;
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(mapAbort(call.signal.reason, failure(seen())));
    };
    const timer = setTimeout(
      () => {
        call.signal.removeEventListener("abort", onAbort);
        if (afterMs <= limitMs) resolve();
        else reject(new ProviderError("PROVIDER_TIMEOUT", "scripted timeout", failure(seen())));
      },
      Math.min(afterMs, limitMs),
    );
    call.signal.addEventListener("abort", onAbort, { once: true });
  });
}
