import type { Plan } from "./plan.ts";

/** One streamed delta and how many tokens it carries (0 for the opening of a tool call). */
export interface Step {
  /** JSON text of `delta`. */
  readonly delta: string;
  readonly tokens: 0 | 1;
}

const DONE = "data: [DONE]\n\n";

function toolCallsJson(plan: Plan): string {
  return JSON.stringify(
    plan.toolCalls.map(({ id, name, argumentPieces }) => ({
      id,
      type: "function",
      function: { name, arguments: argumentPieces.join("") },
    })),
  );
}

function messageJson(plan: Plan): string {
  const hasTools = plan.toolCalls.length > 0;
  const content = hasTools ? "null" : JSON.stringify(plan.content.join(""));
  const reasoning =
    plan.reasoning.length > 0 ? `,"reasoning_content":${JSON.stringify(plan.reasoning.join(""))}` : "";
  const toolCalls = hasTools ? `,"tool_calls":${toolCallsJson(plan)}` : "";
  return `{"role":"assistant","content":${content}${reasoning}${toolCalls},"refusal":null}`;
}

/** What every object of an answer begins with, up to `choices`. */
function prefix(plan: Plan, object: string, createdAt: number): string {
  return (
    `{"id":"chatcmpl-${plan.callId}","object":"${object}","created":${Math.floor(createdAt / 1000)},` +
    `"model":${JSON.stringify(plan.model)},`
  );
}

/** The body of a unary answer. `extra` goes in as further members, such as `"padding":"…"`. */
export function renderUnary(
  plan: Plan,
  createdAt: number,
  { emptyChoices = false, extra = "" } = {},
): string {
  const choices = emptyChoices
    ? "[]"
    : `[{"index":0,"message":${messageJson(plan)},"logprobs":null,"finish_reason":"${plan.finishReason}"}]`;
  const usage = plan.usageJson === undefined ? "" : `,"usage":${plan.usageJson}`;
  return `${prefix(plan, "chat.completion", createdAt)}"choices":${choices}${usage}${extra === "" ? "" : `,${extra}`}}`;
}

/** The deltas of a streamed answer, in order, one token each. */
export function stepsOf(plan: Plan): readonly Step[] {
  const steps: Step[] = [];
  for (const piece of plan.reasoning)
    steps.push({ delta: `{"reasoning_content":${JSON.stringify(piece)}}`, tokens: 1 });
  for (const piece of plan.content) steps.push({ delta: `{"content":${JSON.stringify(piece)}}`, tokens: 1 });
  plan.toolCalls.forEach(({ id, name, argumentPieces }, index) => {
    const opening = { index, id, type: "function", function: { name, arguments: "" } };
    steps.push({ delta: JSON.stringify({ tool_calls: [opening] }), tokens: 0 });
    for (const piece of argumentPieces) {
      steps.push({
        delta: `{"tool_calls":[{"index":${index},"function":{"arguments":${JSON.stringify(piece)}}}]}`,
        tokens: 1,
      });
    }
  });
  return steps;
}

/** Renders the events of one stream; what they have in common is made once. */
export class StreamRenderer {
  readonly #plan: Plan;
  readonly #prefix: string;
  readonly #deltaPrefix: string;

  constructor(plan: Plan, createdAt: number) {
    this.#plan = plan;
    this.#prefix = `data: ${prefix(plan, "chat.completion.chunk", createdAt)}`;
    this.#deltaPrefix = `${this.#prefix}"choices":[{"index":0,"delta":`;
  }

  /** An event with one delta, given as JSON text. */
  delta(deltaJson: string): string {
    return `${this.#deltaPrefix}${deltaJson},"logprobs":null,"finish_reason":null}],"usage":null}\n\n`;
  }

  role(): string {
    return this.delta(`{"role":"assistant","content":${this.#plan.toolCalls.length > 0 ? "null" : '""'}}`);
  }

  /** An event without choices and, like every event but the last, without usage. */
  withoutChoices(): string {
    return `${this.#prefix}"choices":[],"usage":null}\n\n`;
  }

  /** A complete event of `bytes` bytes and more on one line, with an empty delta. */
  huge(bytes: number): string {
    return `${this.#deltaPrefix}{},"finish_reason":null}],"usage":null,"obfuscation":"${"x".repeat(bytes)}"}\n\n`;
  }

  finish(): string {
    return `${this.#deltaPrefix}{},"logprobs":null,"finish_reason":"${this.#plan.finishReason}"}],"usage":null}\n\n`;
  }

  /** What follows the finish reason: usage if it was asked for, and `[DONE]`. */
  end({ done = true } = {}): string {
    const { includeUsage, usageJson } = this.#plan;
    const usage =
      includeUsage && usageJson !== undefined ? `${this.#prefix}"choices":[],"usage":${usageJson}}\n\n` : "";
    return done ? usage + DONE : usage;
  }
}
