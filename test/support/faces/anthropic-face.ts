import { createParser } from "eventsource-parser";
import type { Face, FaceCall, FaceOutcome } from "./face.ts";

/** What is looked at of an answer, of an event of a stream, and of an error. */
interface Body {
  readonly type?: string;
  readonly content?: readonly { readonly text?: string }[];
  readonly stop_reason?: string | null;
  readonly delta?: { readonly text?: string; readonly stop_reason?: string | null };
  readonly error?: { readonly message?: string };
  readonly llm_gateway?: {
    readonly provider?: string;
    readonly error_reason?: string;
    readonly attempts?: readonly unknown[];
  };
}

/** Anthropic's stop reasons by ours. */
const FINISH_REASONS: Readonly<Record<string, string>> = {
  ...{ end_turn: "STOP", max_tokens: "LENGTH", tool_use: "TOOL_CALLS", refusal: "CONTENT_FILTER" },
};

type Told = Omit<FaceOutcome, "elapsedMs" | "status">;

/** `POST /v1/messages`, in the bytes that Anthropic's clients send and read. */
export function createAnthropicFace(): Face {
  return {
    name: "Anthropic",
    success: "200",
    // The status of a stream goes out with its first event.
    statusOf: ({ anthropic }, { begun }) => (begun ? "200" : String(anthropic)),
    async complete(call) {
      const startedMs = performance.now();
      const response = await post(call);
      const text = await response.text();
      const elapsedMs = performance.now() - startedMs;
      const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
      const told = isStream ? ofStream(text) : ofBody(JSON.parse(text) as Body, response.headers);
      return { ...told, elapsedMs, status: String(response.status) };
    },
  };
}

function post(call: FaceCall): Promise<Response> {
  return fetch(`${call.url}/v1/messages`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "anthropic-version": "2023-06-01",
      "x-api-key": call.secret,
      "idempotency-key": call.requestId,
      ...(call.timeoutMs === undefined ? {} : { "x-llm-gateway-timeout-ms": String(call.timeoutMs) }),
    },
    body: JSON.stringify({
      model: call.model,
      fallback_models: call.fallbackModels ?? [],
      max_tokens: 1_000,
      messages: [{ role: "user", content: call.text }],
      stream: call.kind === "stream",
    }),
  });
}

function ofBody({ content = [], stop_reason, error }: Body, headers: Headers): Told {
  const wait = headers.get("retry-after-ms");
  return {
    reason: error ? (headers.get("x-llm-gateway-error-reason") ?? "without a reason") : undefined,
    message: error?.message ?? "",
    text: content.map(({ text }) => text ?? "").join(""),
    finishReason: finishReasonOf(stop_reason),
    provider: headers.get("x-llm-gateway-provider") ?? "",
    attemptsTold: Number(headers.get("x-llm-gateway-attempts") ?? 0),
    attempts: [],
    retryAfterMs: wait === null ? undefined : Number(wait),
  };
}

/** The last event is `message_stop` or an error, and has the gateway's facts. */
function ofStream(text: string): Told {
  const events: Body[] = [];
  const parser = createParser({ onEvent: ({ data }) => events.push(JSON.parse(data) as Body) });
  parser.feed(text);
  const last = events.at(-1);
  const reason =
    last?.type === "error" ? last.llm_gateway?.error_reason : last?.type === "message_stop" ? undefined : "";
  return {
    reason: reason === "" ? "without an end" : reason,
    message: last?.error?.message ?? "",
    text: events.map(({ delta }) => delta?.text ?? "").join(""),
    finishReason: finishReasonOf(events.findLast(({ delta }) => delta?.stop_reason)?.delta?.stop_reason),
    provider: last?.llm_gateway?.provider ?? "",
    attemptsTold: last?.llm_gateway?.attempts?.length ?? 0,
    attempts: [],
    retryAfterMs: undefined,
  };
}

function finishReasonOf(stopReason: string | null | undefined): string | undefined {
  return stopReason ? (FINISH_REASONS[stopReason] ?? stopReason.toUpperCase()) : undefined;
}
