import { type Dispatcher, Pool } from "undici";
import type { Done, Target } from "./target.ts";

/** Looks at one answer as it comes in. */
export interface AnswerReader {
  push(chunk: Buffer): void;
  /** Why the answer is not complete, if it is not. */
  failure(): string | undefined;
  readonly messages: number;
}

export interface HttpTargetOptions {
  readonly origin: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly connections: number;
  readonly createReader: () => AnswerReader;
}

const MAX_FAILURE_CHARACTERS = 300;

/** POSTs the same bytes over HTTP/1.1 connections that are kept open, through undici's lowest layer. */
export function createHttpTarget(options: HttpTargetOptions): Target {
  const pool = new Pool(options.origin, { connections: options.connections, pipelining: 1 });
  const request: Dispatcher.DispatchOptions = {
    method: "POST",
    path: options.path,
    headers: options.headers,
    body: Buffer.from(options.body),
  };
  return {
    send(done) {
      pool.dispatch(request, createHandler(options.createReader(), done));
    },
    close: () => pool.close(),
  };
}

function createHandler(reader: AnswerReader, done: Done): Dispatcher.DispatchHandler {
  let status = 0;
  let errorText = "";
  return {
    onRequestStart() {},
    onResponseStart(_controller, statusCode) {
      status = statusCode;
    },
    onResponseData(_controller, chunk) {
      if (status === 200) reader.push(chunk);
      else errorText += chunk.toString("utf8").slice(0, MAX_FAILURE_CHARACTERS);
    },
    onResponseEnd() {
      done(
        status === 200 ? reader.failure() : `HTTP ${status}: ${errorText.slice(0, MAX_FAILURE_CHARACTERS)}`,
        reader.messages,
      );
    },
    onResponseError(_controller, error) {
      done(error.message, reader.messages);
    },
  };
}
