import { parseChatRequest } from "./chat-request.ts";
import type { Plan } from "./plan.ts";
import type { ErrorFields, Step, StreamWriter, Wire } from "./wire.ts";

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

function renderUnary(plan: Plan, createdAt: number, { emptyChoices = false, extra = "" } = {}): string {
  const choices = emptyChoices
    ? "[]"
    : `[{"index":0,"message":${messageJson(plan)},"logprobs":null,"finish_reason":"${plan.finishReason}"}]`;
  const usage = plan.usageJson === undefined ? "" : `,"usage":${plan.usageJson}`;
  return `${prefix(plan, "chat.completion", createdAt)}"choices":${choices}${usage}${extra === "" ? "" : `,${extra}`}}`;
}

/** JSON text of the `delta` of a step. */
function deltaJson(step: Step): string {
  switch (step.kind) {
    case "reasoning":
      return `{"reasoning_content":${JSON.stringify(step.text)}}`;
    case "text":
      return `{"content":${JSON.stringify(step.text)}}`;
    case "tool_open": {
      const { index, id, name } = step;
      return JSON.stringify({
        tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }],
      });
    }
    case "tool_arguments":
      return `{"tool_calls":[{"index":${step.index},"function":{"arguments":${JSON.stringify(step.text)}}}]}`;
    default:
      return step satisfies never;
  }
}

/** What the events have in common is made once. */
class ChunkWriter implements StreamWriter {
  readonly #plan: Plan;
  readonly #prefix: string;
  readonly #deltaPrefix: string;

  constructor(plan: Plan, createdAt: number) {
    this.#plan = plan;
    this.#prefix = `data: ${prefix(plan, "chat.completion.chunk", createdAt)}`;
    this.#deltaPrefix = `${this.#prefix}"choices":[{"index":0,"delta":`;
  }

  step(step: Step): string {
    return this.#delta(deltaJson(step));
  }

  /** An event with one delta, given as JSON text. */
  #delta(json: string): string {
    return `${this.#deltaPrefix}${json},"logprobs":null,"finish_reason":null}],"usage":null}\n\n`;
  }

  begin(): string {
    return this.#delta(`{"role":"assistant","content":${this.#plan.toolCalls.length > 0 ? "null" : '""'}}`);
  }

  /** An event without choices and, like every event but the last, without usage. */
  withoutChoices(): string {
    return `${this.#prefix}"choices":[],"usage":null}\n\n`;
  }

  huge(bytes: number): string {
    return `${this.#deltaPrefix}{},"finish_reason":null}],"usage":null,"obfuscation":"${"x".repeat(bytes)}"}\n\n`;
  }

  finish(): string {
    return `${this.#deltaPrefix}{},"logprobs":null,"finish_reason":"${this.#plan.finishReason}"}],"usage":null}\n\n`;
  }

  end({ done = true } = {}): string {
    const { includeUsage, usageJson } = this.#plan;
    const usage =
      includeUsage && usageJson !== undefined ? `${this.#prefix}"choices":[],"usage":${usageJson}}\n\n` : "";
    return done ? usage + DONE : usage;
  }
}

type UsualError = Pick<ErrorFields, "type" | "code"> & { readonly message: string };

const ERRORS_BY_STATUS: ReadonlyMap<number, UsualError> = new Map(
  Object.entries({
    400: { message: "Invalid request.", type: "invalid_request_error", code: undefined },
    401: { message: "Incorrect API key provided.", type: "invalid_request_error", code: "invalid_api_key" },
    402: { message: "Insufficient Balance", type: "unknown_error", code: "invalid_request_error" },
    403: {
      message: "You are not allowed to use this model.",
      type: "invalid_request_error",
      code: undefined,
    },
    404: { message: "The model does not exist.", type: "invalid_request_error", code: "model_not_found" },
    422: { message: "Invalid parameters.", type: "invalid_request_error", code: undefined },
    429: { message: "Rate limit reached.", type: "rate_limit_error", code: "rate_limit_exceeded" },
    500: { message: "The server had an error.", type: "server_error", code: undefined },
    503: {
      message: "The server is overloaded.",
      type: "service_unavailable_error",
      code: "server_is_overloaded",
    },
  }).map(([status, fields]) => [Number(status), fields]),
);

function usualError(status: number): UsualError {
  const message = `Simulated status ${status}.`;
  return ERRORS_BY_STATUS.get(status) ?? { message, type: "server_error", code: undefined };
}

function errorBody({ status, param, ...fields }: ErrorFields): string {
  const usual = usualError(status);
  return JSON.stringify({
    error: {
      message: fields.message ?? usual.message,
      type: fields.type ?? usual.type,
      param: param ?? null,
      code: fields.code ?? usual.code ?? null,
    },
  });
}

/** OpenAI's chat completions. Any bearer token will do. */
export const openaiWire: Wire = {
  requestIdHeader: "x-request-id",
  isAuthorized: ({ authorization }) => /^Bearer \S+$/.test(authorization ?? ""),
  parseRequest: parseChatRequest,
  renderUnary,
  createWriter: (plan, createdAt) => new ChunkWriter(plan, createdAt),
  errorBody,
  errorEvent: (body) => `data: ${body}\n\n`,
};

/**
 * HuggingFace words errors as `{"error":"…"}`, unless a code or type is stated, which asks for the object form that
 * some of its partners use.
 */
export const huggingfaceWire: Wire = {
  ...openaiWire,
  errorBody: (fields) =>
    fields.code === undefined && fields.type === undefined
      ? JSON.stringify({ error: fields.message ?? usualError(fields.status).message })
      : errorBody(fields),
};
