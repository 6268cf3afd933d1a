import { createParser } from "eventsource-parser";
import {
  type CompatibleTold,
  createCompatibleFace,
  reasonInHeaders,
  toldInHeaders,
} from "./compatible-face.ts";
import type { Face } from "./face.ts";

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

/** `POST /v1/messages`. */
export function createAnthropicFace(): Face {
  return createCompatibleFace<Body>({
    name: "Anthropic",
    statusOf: ({ anthropic }) => anthropic,
    path: "/v1/messages",
    headersOf: (secret) => ({ "anthropic-version": "2023-06-01", "x-api-key": secret }),
    bodyOf: ({ kind, text }) => ({
      max_tokens: 1_000,
      messages: [{ role: "user", content: text }],
      stream: kind === "stream",
    }),
    ofBody: ({ content = [], stop_reason, error }, headers) => ({
      reason: error && reasonInHeaders(headers),
      message: error?.message ?? "",
      text: content.map(({ text }) => text ?? "").join(""),
      finishReason: finishReasonOf(stop_reason),
      ...toldInHeaders(headers),
    }),
    ofStream,
  });
}

/** The last event is `message_stop` or an error, and has the gateway's facts. */
function ofStream(text: string): CompatibleTold {
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
