import { parseGeminiRequest } from "./gemini-request.ts";
import type { Plan } from "./plan.ts";
import type { ErrorFields, Step, StreamWriter, Wire } from "./wire.ts";

const FINISH_REASONS: Readonly<Record<string, string>> = {
  stop: "STOP",
  tool_calls: "STOP",
  length: "MAX_TOKENS",
  content_filter: "SAFETY",
};

/** A finish reason that a script states in the dialect's own words stays as it is. */
const finishReasonOf = ({ finishReason }: Plan) => FINISH_REASONS[finishReason] ?? finishReason;

function functionCall(name: string, argumentsText: string): object {
  try {
    return { functionCall: { name, args: JSON.parse(argumentsText) } };
  } catch {
    // Cut by the request's maximum.
    return { functionCall: { name, args: {} } };
  }
}

function partsOf(plan: Plan): readonly object[] {
  const parts: object[] = [];
  if (plan.reasoning.length > 0) parts.push({ text: plan.reasoning.join(""), thought: true });
  if (plan.content.length > 0) parts.push({ text: plan.content.join("") });
  for (const { name, argumentPieces } of plan.toolCalls)
    parts.push(functionCall(name, argumentPieces.join("")));
  return parts;
}

function bodyOf(plan: Plan, candidates: readonly object[], usageJson: string | undefined): string {
  const usage = usageJson === undefined ? "" : `"usageMetadata":${usageJson},`;
  return (
    `{"candidates":${JSON.stringify(candidates)},${usage}` +
    `"modelVersion":${JSON.stringify(plan.model)},"responseId":"${plan.callId}"}`
  );
}

function renderUnary(plan: Plan, _createdAt: number, { emptyChoices = false, extra = "" } = {}): string {
  const content = { parts: partsOf(plan), role: "model" };
  const candidates = emptyChoices ? [] : [{ content, finishReason: finishReasonOf(plan), index: 0 }];
  const body = bodyOf(plan, candidates, plan.usageJson);
  return extra === "" ? body : `${body.slice(0, -1)},${extra}}`;
}

/** Every chunk looks like a whole response, and states what was counted until then. */
class ChunkWriter implements StreamWriter {
  readonly #plan: Plan;
  #tokens = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  begin(): string {
    return "";
  }

  step(step: Step): string {
    this.#tokens += step.tokens;
    switch (step.kind) {
      case "reasoning":
        return this.#chunk({ text: step.text, thought: true });
      case "text":
        return this.#chunk({ text: step.text });
      case "tool_open":
        return this.#chunk(functionCall(step.name, step.argumentsText));
      case "tool_arguments":
        // A call came whole.
        return "";
      default:
        return step satisfies never;
    }
  }

  withoutChoices(): string {
    return `data: ${bodyOf(this.#plan, [], this.#plan.usageJson)}\n\n`;
  }

  huge(bytes: number): string {
    return `data: ${bodyOf(this.#plan, [], undefined).slice(0, -1)},"padding":"${"x".repeat(bytes)}"}\n\n`;
  }

  finish(): string {
    const candidate = {
      content: { parts: [{ text: "" }], role: "model" },
      finishReason: finishReasonOf(this.#plan),
      index: 0,
    };
    return `data: ${bodyOf(this.#plan, [candidate], this.#plan.usageJson)}\n\n`;
  }

  /** The finish reason is all there is. */
  end(): string {
    return "";
  }

  #chunk(part: object): string {
    const { tokensIn, cachedTokensIn, usageJson } = this.#plan;
    const cached = cachedTokensIn === 0 ? {} : { cachedContentTokenCount: cachedTokensIn };
    const soFar = { promptTokenCount: tokensIn, ...cached, candidatesTokenCount: this.#tokens };
    const candidate = { content: { parts: [part], role: "model" }, index: 0 };
    const usage = usageJson === undefined ? undefined : JSON.stringify(soFar);
    return `data: ${bodyOf(this.#plan, [candidate], usage)}\n\n`;
  }
}

const STATUSES: ReadonlyMap<number, string> = new Map([
  [400, "INVALID_ARGUMENT"],
  [401, "UNAUTHENTICATED"],
  [403, "PERMISSION_DENIED"],
  [404, "NOT_FOUND"],
  [429, "RESOURCE_EXHAUSTED"],
  [503, "UNAVAILABLE"],
  [504, "DEADLINE_EXCEEDED"],
]);

function errorBody({ status, message, type, code }: ErrorFields): string {
  const details =
    code === undefined
      ? {}
      : { details: [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: code }] };
  return JSON.stringify({
    error: {
      code: status,
      message: message ?? `Simulated status ${status}.`,
      status: type ?? STATUSES.get(status) ?? "INTERNAL",
      ...details,
    },
  });
}

/** Google's Gemini API. Any key will do. */
export const geminiWire: Wire = {
  requestIdHeader: "x-request-id",
  isAuthorized: (headers) => Boolean(headers["x-goog-api-key"]),
  parseRequest: parseGeminiRequest,
  renderUnary,
  createWriter: (plan) => new ChunkWriter(plan),
  errorBody,
  errorEvent: (body) => `data: ${body}\n\n`,
};
