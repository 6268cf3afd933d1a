import { parseAnthropicRequest } from "./anthropic-request.ts";
import type { Plan } from "./plan.ts";
import type { ErrorFields, Step, StreamWriter, Wire } from "./wire.ts";

type Block = "thinking" | "text" | "tool_use";

/** Of thinking; nobody checks it here. */
const SIGNATURE = "c2lt";

const STOP_REASONS: Readonly<Record<string, string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
  content_filter: "refusal",
};

/** A finish reason that a script states in the dialect's own words stays as it is. */
const stopReasonOf = ({ finishReason }: Plan) => STOP_REASONS[finishReason] ?? finishReason;

function parseArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Cut by the request's maximum: the API then gives what it has, which is no object here.
    return {};
  }
}

function contentOf(plan: Plan): readonly unknown[] {
  const content: unknown[] = [];
  if (plan.reasoning.length > 0) {
    content.push({ type: "thinking", thinking: plan.reasoning.join(""), signature: SIGNATURE });
  }
  if (plan.content.length > 0) content.push({ type: "text", text: plan.content.join("") });
  for (const { id, name, argumentPieces } of plan.toolCalls) {
    content.push({ type: "tool_use", id, name, input: parseArguments(argumentPieces.join("")) });
  }
  return content;
}

/** The members of a message that do not depend on the answer. */
function messageOf(plan: Plan) {
  return { id: `msg_${plan.callId}`, type: "message", role: "assistant", model: plan.model };
}

/** With `emptyChoices` the member `content` is missing: this dialect has no list of choices to be empty. */
function renderUnary(plan: Plan, _createdAt: number, { emptyChoices = false, extra = "" } = {}): string {
  const answered = {
    ...messageOf(plan),
    ...(emptyChoices ? {} : { content: contentOf(plan) }),
    stop_reason: stopReasonOf(plan),
    stop_sequence: null,
  };
  const usage = plan.usageJson === undefined ? "" : `,"usage":${plan.usageJson}`;
  return `${JSON.stringify(answered).slice(0, -1)}${usage}${extra === "" ? "" : `,${extra}`}}`;
}

function event(type: string, members: string): string {
  return `event: ${type}\ndata: {"type":"${type}"${members}}\n\n`;
}

/** Opens and closes the blocks that the steps belong to. */
class MessageWriter implements StreamWriter {
  readonly #plan: Plan;
  #openBlock: Block | undefined;
  #blockIndex = -1;
  #begun = false;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** The usage at the start: the input is final, one output token has been made. */
  begin(): string {
    this.#begun = true;
    const { usageJson } = this.#plan;
    const usage =
      usageJson === undefined ? {} : { usage: { ...(JSON.parse(usageJson) as object), output_tokens: 1 } };
    const message = {
      ...messageOf(this.#plan),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      ...usage,
    };
    return event("message_start", `,"message":${JSON.stringify(message)}`);
  }

  step(step: Step): string {
    switch (step.kind) {
      case "reasoning":
        return (
          this.#enter("thinking", { type: "thinking", thinking: "", signature: "" }) +
          this.#delta({ type: "thinking_delta", thinking: step.text })
        );
      case "text":
        return (
          this.#enter("text", { type: "text", text: "" }) +
          this.#delta({ type: "text_delta", text: step.text })
        );
      case "tool_open":
        return (
          this.#close() +
          this.#enter("tool_use", { type: "tool_use", id: step.id, name: step.name, input: {} })
        );
      case "tool_arguments":
        return this.#delta({ type: "input_json_delta", partial_json: step.text });
      default:
        return step satisfies never;
    }
  }

  withoutChoices(): string {
    return event("ping", "");
  }

  huge(bytes: number): string {
    return event("ping", `,"padding":"${"x".repeat(bytes)}"`);
  }

  /** The finish reason and the usage are one event here: `end` brings both. */
  finish(): string {
    return this.#close();
  }

  end({ done = true } = {}): string {
    const { usageJson } = this.#plan;
    // A message that never began has no reason to stop.
    const stopReason = this.#begun ? stopReasonOf(this.#plan) : null;
    const delta = JSON.stringify({ stop_reason: stopReason, stop_sequence: null });
    const usage = usageJson === undefined ? "" : `,"usage":${usageJson}`;
    const last = event("message_delta", `,"delta":${delta}${usage}`);
    return done ? last + event("message_stop", "") : last;
  }

  #enter(block: Block, opening: object): string {
    if (this.#openBlock === block) return "";
    const closing = this.#close();
    this.#openBlock = block;
    this.#blockIndex += 1;
    return (
      closing +
      event("content_block_start", `,"index":${this.#blockIndex},"content_block":${JSON.stringify(opening)}`)
    );
  }

  #close(): string {
    if (this.#openBlock === undefined) return "";
    const signature =
      this.#openBlock === "thinking" ? this.#delta({ type: "signature_delta", signature: SIGNATURE }) : "";
    this.#openBlock = undefined;
    return signature + event("content_block_stop", `,"index":${this.#blockIndex}`);
  }

  #delta(delta: object): string {
    return event("content_block_delta", `,"index":${this.#blockIndex},"delta":${JSON.stringify(delta)}`);
  }
}

const ERROR_TYPES: ReadonlyMap<number, string> = new Map([
  [400, "invalid_request_error"],
  [401, "authentication_error"],
  [402, "billing_error"],
  [403, "permission_error"],
  [404, "not_found_error"],
  [413, "request_too_large"],
  [429, "rate_limit_error"],
  [504, "timeout_error"],
  [529, "overloaded_error"],
]);

function errorBody({ status, message, type, code }: ErrorFields): string {
  const usualType = ERROR_TYPES.get(status) ?? "api_error";
  const details = code === undefined ? {} : { details: { error_code: code } };
  return JSON.stringify({
    type: "error",
    error: { type: type ?? usualType, message: message ?? `Simulated status ${status}.`, ...details },
  });
}

/** The versions of the API; both answer alike. */
const VERSIONS: ReadonlySet<unknown> = new Set(["2023-06-01", "2026-10-21"]);

/** Anthropic's Messages API. Any key will do. */
export const anthropicWire: Wire = {
  requestIdHeader: "request-id",
  isAuthorized: (headers) => Boolean(headers["x-api-key"]) && VERSIONS.has(headers["anthropic-version"]),
  parseRequest: parseAnthropicRequest,
  renderUnary,
  createWriter: (plan) => new MessageWriter(plan),
  errorBody,
  errorEvent: (body) => `event: error\ndata: ${body}\n\n`,
};
