import { createParser } from "eventsource-parser";
import {
  type CompatibleTold,
  createCompatibleFace,
  reasonInHeaders,
  toldInHeaders,
} from "./compatible-face.ts";
import type { Face } from "./face.ts";

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

/** `POST /v1/chat/completions`. */
export function createOpenAiFace(): Face {
  return createCompatibleFace<Body>({
    name: "OpenAI",
    statusOf: ({ openAi }) => openAi,
    path: "/v1/chat/completions",
    headersOf: (secret) => ({ authorization: `Bearer ${secret}` }),
    bodyOf: ({ kind, text }) => ({
      messages: [{ role: "user", content: text }],
      ...(kind === "stream" ? { stream: true, stream_options: { include_usage: true } } : {}),
    }),
    ofBody: ({ choices = [], error }, headers) => ({
      reason: error && reasonInHeaders(headers),
      message: error?.message ?? "",
      text: choices[0]?.message?.content ?? "",
      finishReason: choices[0]?.finish_reason?.toUpperCase(),
      ...toldInHeaders(headers),
    }),
    ofStream,
  });
}

/** An error is the last event; its code is the reason in lower case, but for those that OpenAI has a word for. */
function ofStream(text: string): CompatibleTold {
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
