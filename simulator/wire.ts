import type { IncomingHttpHeaders } from "node:http";
import type { ChatRequest } from "./chat-request.ts";
import type { Plan } from "./plan.ts";

/** One step of a streamed answer and how many tokens it carries (0 for the opening of a tool call). */
export type Step =
  | { readonly kind: "reasoning" | "text"; readonly text: string; readonly tokens: 1 }
  | {
      readonly kind: "tool_open";
      readonly index: number;
      readonly id: string;
      readonly name: string;
      /** All of the arguments, which follow piece by piece. */
      readonly argumentsText: string;
      readonly tokens: 0;
    }
  | { readonly kind: "tool_arguments"; readonly index: number; readonly text: string; readonly tokens: 1 };

/** Renders the events of one stream, in their order. */
export interface StreamWriter {
  /** What comes before the first step. */
  begin(): string;
  step(step: Step): string;
  /** An event with nothing of an answer. */
  withoutChoices(): string;
  /** A complete event of `bytes` bytes and more on one line, with nothing in it. */
  huge(bytes: number): string;
  finish(): string;
  /** What follows the finish reason: usage, and the terminal event unless `done` is false. */
  end(options?: { readonly done?: boolean }): string;
}

/** An error to be worded. */
export interface ErrorFields {
  readonly status: number;
  readonly message: string | undefined;
  readonly type: string | undefined;
  readonly code: string | undefined;
  readonly param?: string | undefined;
}

/** A dialect: how requests are read and answers are written. */
export interface Wire {
  readonly requestIdHeader: string;
  isAuthorized(headers: IncomingHttpHeaders): boolean;
  /** @throws InvalidChatRequest for what a provider would answer with 400 */
  parseRequest(body: unknown, path: string): ChatRequest;
  /** The body of a unary answer. `extra` goes in as further members, such as `"padding":"…"`. */
  renderUnary(
    plan: Plan,
    createdAt: number,
    options?: { readonly emptyChoices?: boolean; readonly extra?: string },
  ): string;
  createWriter(plan: Plan, createdAt: number): StreamWriter;
  /** An error body; what is not given is what the status usually says. */
  errorBody(fields: ErrorFields): string;
  /** An event of a stream that is an error. */
  errorEvent(errorBody: string): string;
}

/** The steps of a streamed answer, in order, one token each. */
export function stepsOf(plan: Plan): readonly Step[] {
  const steps: Step[] = [];
  for (const text of plan.reasoning) steps.push({ kind: "reasoning", text, tokens: 1 });
  for (const text of plan.content) steps.push({ kind: "text", text, tokens: 1 });
  plan.toolCalls.forEach(({ id, name, argumentPieces }, index) => {
    const argumentsText = argumentPieces.join("");
    steps.push({ kind: "tool_open", index, id, name, argumentsText, tokens: 0 });
    for (const text of argumentPieces) steps.push({ kind: "tool_arguments", index, text, tokens: 1 });
  });
  return steps;
}
