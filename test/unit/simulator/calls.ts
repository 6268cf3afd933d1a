import { onTestFinished } from "vitest";
import { type Simulator, type SimulatorOptions, startSimulator } from "../../../simulator/simulator.ts";

/** A simulator on a free port that is closed after the test. */
export async function openSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = await startSimulator(options);
  onTestFinished(() => simulator.close());
  return simulator;
}

export type Json = Readonly<Record<string, unknown>>;

export interface CallOptions {
  readonly path?: string;
  readonly script?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly redirect?: "follow" | "manual";
}

/** Posts a chat completion; the script goes as a header. `body` is added to a small valid request. */
export function call(simulator: Simulator, body: Json = {}, options: CallOptions = {}): Promise<Response> {
  return fetch(`${simulator.url}${options.path ?? "/openai/v1/chat/completions"}`, {
    method: "POST",
    headers: {
      authorization: "Bearer test-key",
      "content-type": "application/json",
      ...(options.script === undefined
        ? undefined
        : { "x-simulator-script": JSON.stringify(options.script) }),
      ...options.headers,
    },
    body: JSON.stringify({
      model: "sim-model",
      messages: [{ role: "user", content: "hello there" }],
      ...body,
    }),
    signal: options.signal ?? null,
    redirect: options.redirect ?? "follow",
  });
}

export interface Answer {
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly message: {
      readonly content: string | null;
      readonly reasoning_content?: string;
      readonly tool_calls?: readonly {
        readonly function: { readonly name: string; readonly arguments: string };
      }[];
    };
    readonly finish_reason: string;
  }[];
  readonly usage?: Json;
}

export interface Chunk {
  readonly choices: readonly {
    readonly delta: {
      readonly role?: string;
      readonly content?: string | null;
      readonly reasoning_content?: string;
      readonly tool_calls?: readonly {
        readonly function: { readonly name?: string; readonly arguments: string };
      }[];
    };
    readonly finish_reason: string | null;
  }[];
  readonly usage: Json | null;
}

export async function readAnswer(response: Response): Promise<Answer> {
  return JSON.parse(await response.text());
}

export interface ErrorAnswer {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

export async function readError(response: Response): Promise<ErrorAnswer> {
  return JSON.parse(await response.text());
}

/** The payloads of the `data:` lines of a stream's text. */
export function dataLines(text: string): readonly string[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => line.slice("data: ".length));
}

/** The chunks of a whole stream, without `[DONE]`. */
export function chunksOf(text: string): readonly Chunk[] {
  return dataLines(text)
    .filter((data) => data !== "[DONE]")
    .map((data) => JSON.parse(data));
}

/** All text of a stream's deltas. */
export function contentOf(chunks: readonly Chunk[]): string {
  return chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
}

/** Reads a body until it ends or breaks. */
export async function readUntilBroken(
  response: Response,
): Promise<{ readonly text: string; readonly broken: boolean }> {
  let text = "";
  const decoder = new TextDecoder();
  try {
    for await (const part of response.body ?? []) text += decoder.decode(part, { stream: true });
  } catch {
    return { text, broken: true };
  }
  return { text, broken: false };
}

/** Reads until the text so far satisfies the condition; the body stays open. */
export async function readUntil(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  isEnough: (text: string) => boolean,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  while (!isEnough(text)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`the body ended after ${JSON.stringify(text)}`);
    text += decoder.decode(value, { stream: true });
  }
  return text;
}
