import type { EmbeddingAnswer } from "../core/embedding.ts";
import type { EmbeddingCall, EmbeddingResult } from "../core/gateway.ts";
import type { Executed, Execution } from "./execute-call.ts";
import { type CallRecord, otherMethod, type RepeatableCall } from "./repeatable-calls.ts";
import type { Invoke } from "./run-attempt.ts";
import { suitableForEmbedding } from "./suitability.ts";

/** What distinguishes a call for embeddings from the others. */
export function embeddingExecution(
  call: EmbeddingCall,
  record: CallRecord<EmbeddingAnswer> | undefined,
): Execution<EmbeddingAnswer> {
  return {
    method: "Embed",
    call,
    streamed: false,
    suitable: suitableForEmbedding(call),
    invoke: invokeEmbed(call),
    record,
  };
}

/** How embeddings are made once and told again. */
export function repeatableEmbedding(
  call: EmbeddingCall,
  options: {
    readonly execute: (record: CallRecord<EmbeddingAnswer>) => Promise<EmbeddingResult>;
    /** Of vectors that are remembered at most. */
    readonly maxReplayBytes: number;
  },
): RepeatableCall<EmbeddingAnswer, EmbeddingResult> {
  return {
    call,
    method: "Embed",
    execute: options.execute,
    conclusionOf(end) {
      // Before they are encoded for nothing.
      const bytes = end.answer.vectors.reduce((sum, { byteLength }) => sum + byteLength, 0);
      return bytes > options.maxReplayBytes ? "not_kept" : { kind: "embedded", result: embeddingResult(end) };
    },
    delivered: () => undefined,
    redeliver: () => Promise.resolve(),
    replay(conclusion) {
      if (conclusion.kind !== "embedded") throw otherMethod();
      return { ...conclusion.result, replayed: true };
    },
  };
}

/** Without the provider's own text: what is remembered is what it means. */
export function embeddingResult({ answer, candidate, attempts }: Executed<EmbeddingAnswer>): EmbeddingResult {
  return { ...candidate, vectors: answer.vectors, attempts, replayed: false };
}

const invokeEmbed =
  ({ input, native }: EmbeddingCall): Invoke<EmbeddingAnswer> =>
  async ({ embedder, name }, frame) => {
    if (!embedder) throw new TypeError(`provider ${name} makes no embeddings`);
    const answer = await embedder.embed({ ...frame, input, native });
    return { answer, received: { outputBytes: 0, deltas: 0 } };
  };
