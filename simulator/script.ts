/** Ways to misbehave. See the README for what each does to a unary answer and to a stream, and to the bill. */
export const FAULTS = [
  "hang",
  "hangAfterHeaders",
  "slowHeaders",
  "reset",
  "redirect",
  "html",
  "emptyBody",
  "truncatedJson",
  "emptyChoices",
  "garbage",
  "hugeLine",
  "splitUtf8",
  "stall",
  "cut",
  "cleanEnd",
  "errorEvent",
  "noDone",
  "noUsage",
] as const;

export type Fault = (typeof FAULTS)[number];

export interface ScriptedToolCall {
  readonly name: string;
  /** JSON text, or a value that is sent as JSON text. */
  readonly arguments: unknown;
}

/** How one call is answered. Everything is optional; an empty script gives 16 tokens at once. */
export interface Script {
  /** Before the response headers. */
  readonly latencyMs?: number;
  /** Between the headers (unary: after the latency) and the first token. */
  readonly firstTokenDelayMs?: number;
  /** Before each further token; 0 writes everything at once. */
  readonly tokenDelayMs?: number;

  /** Instead of the count of the input text. */
  readonly tokensIn?: number;
  /** Part of `tokensIn`; personalities that report none bill none. */
  readonly cachedTokensIn?: number;
  /** Part of `tokensIn`; personalities that report none bill none. */
  readonly cacheWriteTokensIn?: number;
  /** All output, reasoning included, before the request's own maximum cuts it. Default: 16, or what `text` counts. */
  readonly tokensOut?: number;
  /** Part of `tokensOut`. */
  readonly reasoningTokens?: number;
  readonly text?: string;
  /** Answered when the request offers tools. */
  readonly toolCall?: ScriptedToolCall | readonly ScriptedToolCall[];
  /** Instead of `stop`, `length` or `tool_calls`. */
  readonly finishReason?: string;
  /** Sent as `usage`, whatever it is; the bill keeps the true counts. */
  readonly usageOverride?: unknown;

  /** An error status (300 to 599) with an error body. */
  readonly status?: number;
  readonly errorCode?: string;
  readonly errorType?: string;
  readonly errorMessage?: string;
  /** Raw body instead of the personality's error body. */
  readonly errorBody?: string;
  /** `retry-after` in seconds. */
  readonly retryAfter?: number;
  /** `retry-after-ms`. */
  readonly retryAfterMs?: number;
  /** `retry-after` as an HTTP date: so many seconds from now, or the text itself. */
  readonly retryAfterDate?: number | string;
  readonly contentType?: string;
  /** Added to the response headers. */
  readonly headers?: Readonly<Record<string, string>>;

  readonly fault?: Fault;
  /** Tokens before a mid-answer fault. Default: half of them. */
  readonly afterTokens?: number;
  /** Means `fault: "stall"` with `afterTokens`. */
  readonly stallAfterTokens?: number;
  /** Means `fault: "cut"` with `afterTokens`. */
  readonly cutAfterTokens?: number;
  /** Target of `redirect`. */
  readonly redirectTo?: string;
  /** Pause between header lines of `slowHeaders`. Default 50. */
  readonly headerDelayMs?: number;
  /** SSE comments (unary: empty lines) before the first token. */
  readonly keepAlives?: number;
  /** Pause after each of them. Default 0. */
  readonly keepAliveIntervalMs?: number;
  /** In a script embedded in a message: only the first so many calls with that message; later ones ignore it. */
  readonly times?: number;
}

/** A script that cannot be understood; the call is answered 400 with this message. */
export class ScriptError extends Error {
  override readonly name = "ScriptError";
}

/** Generated tokens are capped, so that a typing mistake does not exhaust the memory. */
const MAX_GENERATED_TOKENS = 1_000_000;

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string";
const isDelay: Check = (value) => typeof value === "number" && value >= 0 && value <= 2 ** 31 - 1;
const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const isGenerated: Check = (value) => isCount(value) && Number(value) <= MAX_GENERATED_TOKENS;
const isStatus: Check = (value) => isCount(value) && Number(value) >= 300 && Number(value) <= 599;
const isFault: Check = (value) => FAULTS.some((fault) => fault === value);
const isAnything: Check = () => true;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const isHeaders: Check = (value) => isRecord(value) && Object.values(value).every(isText);
const isOneToolCall: Check = (value) => isRecord(value) && isText(value.name);
const isToolCall: Check = (value) =>
  Array.isArray(value) ? value.length > 0 && value.every(isOneToolCall) : isOneToolCall(value);

const CHECKS: Readonly<Record<keyof Script, Check>> = {
  latencyMs: isDelay,
  firstTokenDelayMs: isDelay,
  tokenDelayMs: isDelay,
  tokensIn: isCount,
  cachedTokensIn: isCount,
  cacheWriteTokensIn: isCount,
  tokensOut: isGenerated,
  reasoningTokens: isGenerated,
  text: isText,
  toolCall: isToolCall,
  finishReason: isText,
  usageOverride: isAnything,
  status: isStatus,
  errorCode: isText,
  errorType: isText,
  errorMessage: isText,
  errorBody: isText,
  retryAfter: isDelay,
  retryAfterMs: isDelay,
  retryAfterDate: (value) => isDelay(value) || isText(value),
  contentType: isText,
  headers: isHeaders,
  fault: isFault,
  afterTokens: isCount,
  stallAfterTokens: isCount,
  cutAfterTokens: isCount,
  redirectTo: isText,
  headerDelayMs: isDelay,
  keepAlives: isCount,
  keepAliveIntervalMs: isDelay,
  times: isCount,
};

const CHECK_BY_NAME: ReadonlyMap<string, Check> = new Map(Object.entries(CHECKS));

function isScript(value: Record<string, unknown>): value is Record<string, unknown> & Script {
  for (const [name, field] of Object.entries(value)) {
    const check = CHECK_BY_NAME.get(name);
    if (!check) throw new ScriptError(`simulator: unknown directive ${JSON.stringify(name)}`);
    if (!check(field))
      throw new ScriptError(`simulator: bad value of directive ${name}: ${JSON.stringify(field)}`);
  }
  return true;
}

/**
 * Checks a script that came as JSON. `stallAfterTokens` and `cutAfterTokens` become `fault` and `afterTokens`.
 * @throws ScriptError on an unknown field or a bad value, so that a typing mistake in a test does not pass silently.
 */
export function parseScript(value: unknown): Script {
  if (!isRecord(value) || !isScript(value)) throw new ScriptError("simulator: a script is a JSON object");
  if (value.stallAfterTokens !== undefined)
    return { ...value, fault: "stall", afterTokens: value.stallAfterTokens };
  if (value.cutAfterTokens !== undefined)
    return { ...value, fault: "cut", afterTokens: value.cutAfterTokens };
  return value;
}

/** Like `parseScript`, from JSON text. */
export function parseScriptText(text: string): Script {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ScriptError(`simulator: a script that is not JSON: ${text.slice(0, 200)}`);
  }
  return parseScript(value);
}

/** Is the answer right and immediate, whatever it says? Such calls take the fast path. */
export function isPlain(script: Script): boolean {
  return (
    script.fault === undefined &&
    script.status === undefined &&
    !script.latencyMs &&
    !script.firstTokenDelayMs &&
    !script.tokenDelayMs &&
    !script.keepAlives
  );
}
