import type { Face, FaceCall, FaceOutcome, FailureWords } from "./face.ts";

/** What an answer, or a stream, tells of a call. */
export type CompatibleTold = Omit<FaceOutcome, "elapsedMs" | "status">;

/** An API that is compatible with a provider's, in the bytes that its clients send and read. */
export interface CompatibleWords<Body> {
  readonly name: string;
  statusOf(words: FailureWords): number;
  readonly path: string;
  headersOf(secret: string): Readonly<Record<string, string>>;
  /** The members besides model and fallbacks. */
  bodyOf(call: FaceCall): object;
  ofBody(body: Body, headers: Headers): CompatibleTold;
  ofStream(text: string): CompatibleTold;
}

export function createCompatibleFace<Body>(words: CompatibleWords<Body>): Face {
  return {
    name: words.name,
    success: "200",
    // The status of a stream goes out with its first event.
    statusOf: (failure, { begun }) => (begun ? "200" : String(words.statusOf(failure))),
    async complete(call) {
      const startedMs = performance.now();
      const response = await fetch(`${call.url}${words.path}`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "idempotency-key": call.requestId,
          ...(call.timeoutMs === undefined ? {} : { "x-llm-gateway-timeout-ms": String(call.timeoutMs) }),
          ...words.headersOf(call.secret),
        },
        body: JSON.stringify({
          model: call.model,
          fallback_models: call.fallbackModels ?? [],
          ...words.bodyOf(call),
        }),
      });
      const text = await response.text();
      const elapsedMs = performance.now() - startedMs;
      const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
      const told = isStream ? words.ofStream(text) : words.ofBody(JSON.parse(text) as Body, response.headers);
      return { ...told, elapsedMs, status: String(response.status) };
    },
  };
}

/** What the headers of an answer, or of an error, say of the call. */
export function toldInHeaders(
  headers: Headers,
): Pick<CompatibleTold, "provider" | "attemptsTold" | "attempts" | "retryAfterMs"> {
  const wait = headers.get("retry-after-ms");
  return {
    provider: headers.get("x-llm-gateway-provider") ?? "",
    attemptsTold: Number(headers.get("x-llm-gateway-attempts") ?? 0),
    attempts: [],
    retryAfterMs: wait === null ? undefined : Number(wait),
  };
}

/** The reason of an error that was answered. */
export function reasonInHeaders(headers: Headers): string {
  return headers.get("x-llm-gateway-error-reason") ?? "without a reason";
}
