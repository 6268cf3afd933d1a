import { EnvelopeCounter } from "./envelope-counter.ts";
import type { AnswerReader } from "./http-target.ts";

/** Flag of the last envelope of a Connect stream, which holds the status. */
const END_STREAM_FLAG = 2;

const CLOSING_BRACE = "}".charCodeAt(0);
const SSE_END = Buffer.from("data: [DONE]\n\n");

/** One JSON object. */
export function createJsonReader(): AnswerReader {
  let last = 0;
  return {
    messages: 1,
    push(chunk) {
      last = chunk[chunk.length - 1] ?? last;
    },
    failure: () => (last === CLOSING_BRACE ? undefined : "incomplete JSON"),
  };
}

/** A Connect stream of JSON messages; the envelope with the status is not counted. */
export function createConnectStreamReader(): AnswerReader {
  const counter = new EnvelopeCounter();
  return {
    get messages() {
      return Math.max(0, counter.messages - 1);
    },
    push: (chunk) => counter.push(chunk),
    failure() {
      const last = counter.end();
      if (last?.flags !== END_STREAM_FLAG) return "incomplete stream";
      const text = last.bytes.toString("utf8");
      return text.includes('"error"') ? text : undefined;
    },
  };
}

/** Server-sent events as providers send them; they are not counted. */
export function createSseReader(): AnswerReader {
  let tail: Buffer = Buffer.alloc(0);
  return {
    messages: 0,
    push(chunk) {
      tail =
        chunk.length >= SSE_END.length
          ? chunk.subarray(-SSE_END.length)
          : Buffer.concat([tail, chunk]).subarray(-SSE_END.length);
    },
    failure: () => (tail.equals(SSE_END) ? undefined : "the stream lacks its end"),
  };
}
