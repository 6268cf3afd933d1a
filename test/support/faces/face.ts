import type { Attempt } from "../../../gen/es/llmgateway/v1/usage_pb.ts";
import type { CallKind } from "../completion-client.ts";

/** One question, in no protocol yet. */
export interface FaceCall {
  readonly kind: CallKind;
  readonly url: string;
  readonly secret: string;
  readonly requestId: string;
  readonly model: string;
  readonly fallbackModels?: readonly string[];
  readonly text: string;
  /** The caller's deadline, sent as a header: what is measured is the gateway's timer. */
  readonly timeoutMs?: number | undefined;
}

/** How a call ended for its caller, the same for every face. */
export interface FaceOutcome {
  readonly elapsedMs: number;
  /** The reason of the gateway's error; undefined when the call succeeded. */
  readonly reason: string | undefined;
  /** What the error says; empty when the call succeeded. */
  readonly message: string;
  /** What the protocol itself says: a code of gRPC such as `UNAVAILABLE` (`OK`), or an HTTP status. */
  readonly status: string;
  /** All that was delivered of the answer's text. */
  readonly text: string;
  /** In upper case, such as `STOP` or `CONTENT_FILTER`; undefined when none came. */
  readonly finishReason: string | undefined;
  /** Who answered, or was asked last. */
  readonly provider: string;
  /** How many attempts the caller is told of. */
  readonly attemptsTold: number;
  /** The attempts, where the face tells them in full. */
  readonly attempts: readonly Attempt[];
  /** How long the caller is told to wait before another try. */
  readonly retryAfterMs: number | undefined;
}

/** How a failure reads in the faces. */
export interface FailureWords {
  /** Of gRPC. */
  readonly code: string;
  /** Of HTTP/JSON. */
  readonly http: number;
  /** Of the OpenAI-compatible API. */
  readonly openAi: number;
  /** Of the Anthropic-compatible API. */
  readonly anthropic: number;
}

/** A protocol in which completions are asked for. A face is used for any number of gateways and calls. */
export interface Face {
  readonly name: string;
  complete(call: FaceCall): Promise<FaceOutcome>;
  /** The `status` of a failure; `begun` when a part of the answer had been delivered. */
  statusOf(words: FailureWords, how: { readonly kind: CallKind; readonly begun: boolean }): string;
  /** The `status` of an answer. */
  readonly success: string;
}
