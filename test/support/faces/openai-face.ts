import { createParser } from "eventsource-parser";
import type { Face, FaceCall, FaceOutcome } from "./face.ts";

interface Facts {
  readonly provider?: string;
  readonly attempts?: readonly unknown[];
}

/** What is looked at of an answer, of a chunk of a stream, and of an error. */
interface Body {
  readonly choices?: readonly {
    readonly message?: { readonly content?: string | null };
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly error?: { readonly code?: string | null; readonly message?: string };
  readonly llm_gateway?: Facts;
}

type Told = Omit<FaceOutcome, "elapsedMs">;

/** `POST /v1/chat/completions`, in the bytes that OpenAI's clients send and read. */
export function createOpenAiFace(): Face {
  return {
    name: "OpenAI",
    success: "200",
    // The status of a stream goes out with its first event.
    statusOf: ({ openAi }, { begun }) => (begun ? "200" : String(openAi)),
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
  const isStream = call.kind === "stream";
  return fetch(`${call.url}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${call.secret}`,
      "idempotency-key": call.requestId,
      ...(call.timeoutMs === undefined ? {} : { "x-llm-gateway-timeout-ms": String(call.timeoutMs) }),
    },
    body: JSON.stringify({
      model: call.model,
      fallback_models: call.fallbackModels ?? [],
      messages: [{ role: "user", content: call.text }],
      ...(isStream ? { stream: true, stream_options: { include_usage: true } } : {}),
    }),
  });
}

function ofBody(body: Body, headers: Headers): Omit<Told, "status"> {
  const wait = headers.get("retry-after-ms");
  const [choice] = body.choices ?? [];
  return {
    reason: body.error ? (headers.get("x-llm-gateway-error-reason") ?? "without a reason") : undefined,
    message: body.error?.message ?? "",
    text: choice?.message?.content ?? "",
    finishReason: choice?.finish_reason?.toUpperCase(),
    provider: headers.get("x-llm-gateway-provider") ?? "",
    attemptsTold: Number(headers.get("x-llm-gateway-attempts") ?? 0),
    attempts: [],
    retryAfterMs: wait === null ? undefined : Number(wait),
  };
}

/** An error is the last event; its code is the reason in lower case, but for those that OpenAI has a word for. */
function ofStream(text: string): Omit<Told, "status"> {
  const datas: string[] = [];
  const comments: string[] = [];
  const parser = createParser({
    onEvent: ({ data }) => datas.push(data),
    onComment: (comment) => comments.push(comment),
  });
  parser.feed(text);
  const isDone = datas.at(-1) === "[DONE]";
  const chunks = datas.filter((data) => data !== "[DONE]").map((data) => JSON.parse(data) as Body);
  // What follows an error is not looked for: an end behind it would be a false one.
  const error = isDone ? undefined : chunks.at(-1)?.error;
  const choices = chunks.flatMap((chunk) => chunk.choices ?? []);
  const facts = chunks.findLast(({ llm_gateway }) => llm_gateway)?.llm_gateway ?? factsIn(comments);
  return {
    reason: error ? (error.code ?? "").toUpperCase() : isDone ? undefined : "without an end",
    message: error?.message ?? "",
    text: choices.map(({ delta }) => delta?.content ?? "").join(""),
    finishReason: choices.findLast(({ finish_reason }) => finish_reason)?.finish_reason?.toUpperCase(),
    provider: facts?.provider ?? "",
    attemptsTold: facts?.attempts?.length ?? 0,
    attempts: [],
    retryAfterMs: undefined,
  };
}

/** Where the provider stated no usage, they are a comment. */
function factsIn(comments: readonly string[]): Facts | undefined {
  const [, json] = /^ ?llm_gateway (.*)$/.exec(comments.at(-1) ?? "") ?? [];
  return json === undefined ? undefined : (JSON.parse(json) as Facts);
}
