import { isUtf8 } from "node:buffer";
import type { CompletionInput, NativeRequest } from "../../core/completion.ts";
import { GatewayError } from "../../core/errors.ts";
import { type JsonObject, readObject } from "../../providers/read-json.ts";
import { toChatInput } from "./chat-input.ts";

/** A body of `POST /v1/chat/completions`. */
export interface ChatRequest {
  readonly model: string;
  readonly fallbackModels: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly endUser: string | undefined;
  readonly streamed: boolean;
  /** The caller wants the usage of a stream. */
  readonly includeUsage: boolean;
  readonly input: CompletionInput;
  readonly native: NativeRequest;
}

/** Limits that the RPCs have, too: see `completion.proto`. */
const MODEL_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$/;
const MAX_FALLBACK_MODELS = 8;
const MAX_TAGS = 16;
const TAG_NAME_PATTERN = /^[A-Za-z0-9_.-]{1,63}$/;
const MAX_TAG_LENGTH = 128;
const MAX_END_USER_LENGTH = 128;

/** Names a member of ours: models to try when `model` fails. */
const FALLBACK_MODELS = "fallback_models";

/**
 * Reads the body, as far as the gateway needs it; the rest is the provider's.
 * @throws GatewayError INVALID_REQUEST, with the member that it is about
 */
export function parseChatRequest(bytes: Uint8Array): ChatRequest {
  const { text, body } = parseBody(bytes);
  const { model, stream } = body;
  if (typeof model !== "string" || model === "") throw invalid("model", "you must provide a model parameter");
  if (!MODEL_PATTERN.test(model))
    throw invalid("model", "Invalid 'model': not a name that a model can have.");
  if (!Array.isArray(body.messages) || body.messages.length === 0)
    throw invalid("messages", "Invalid 'messages': expected a non-empty array.");
  if (stream !== undefined && stream !== null && typeof stream !== "boolean")
    throw invalid("stream", "Invalid type for 'stream': expected a boolean.");
  const endUser = readEndUser(body);
  const { input, untranslatable } = toChatInput(body, endUser);
  // OpenAI takes metadata only for what it stores; without, it is for the gateway alone.
  const gatewayMembers = body.store === true ? [FALLBACK_MODELS] : [FALLBACK_MODELS, "metadata"];
  return {
    model,
    fallbackModels: readFallbackModels(body[FALLBACK_MODELS]),
    tags: readTags(body.metadata),
    endUser,
    streamed: stream === true,
    includeUsage: readObject(body.stream_options)?.include_usage === true,
    input,
    native: { dialect: "openai-chat", text, body, gatewayMembers, untranslatable },
  };
}

function parseBody(bytes: Uint8Array): { readonly text: string; readonly body: JsonObject } {
  if (!isUtf8(bytes)) throw invalid(undefined, "The body of your request is not valid UTF-8.");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(undefined, "We could not parse the JSON body of your request.");
  }
  const body = readObject(value);
  if (!body) throw invalid(undefined, "The body of your request must be a JSON object.");
  return { text, body };
}

function readFallbackModels(value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  const isName = (item: unknown) => typeof item === "string" && MODEL_PATTERN.test(item);
  if (Array.isArray(value) && value.length <= MAX_FALLBACK_MODELS && value.every(isName)) return value;
  throw invalid(
    FALLBACK_MODELS,
    `Invalid '${FALLBACK_MODELS}': expected at most ${MAX_FALLBACK_MODELS} names of models.`,
  );
}

/** A tag that does not fit is refused: costs would silently lack their attribution. */
function readTags(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  const metadata = readObject(value);
  const entries = Object.entries(metadata ?? {});
  if (!metadata || entries.length > MAX_TAGS)
    throw invalid("metadata", `Invalid 'metadata': expected an object of at most ${MAX_TAGS} texts.`);
  for (const [name, tag] of entries) {
    if (!TAG_NAME_PATTERN.test(name) || typeof tag !== "string" || tag.length > MAX_TAG_LENGTH)
      throw invalid(
        "metadata",
        "Invalid 'metadata': names are at most 63 of A-Z a-z 0-9 _ . - and values are texts of at most " +
          `${MAX_TAG_LENGTH} characters, for they are tags of the costs.`,
      );
  }
  return Object.fromEntries(entries.map(([name, tag]) => [name, String(tag)]));
}

function readEndUser(body: JsonObject): string | undefined {
  for (const member of ["safety_identifier", "user"]) {
    const value = body[member];
    if (value === undefined || value === null || value === "") continue;
    if (typeof value === "string" && value.length <= MAX_END_USER_LENGTH) return value;
    throw invalid(
      member,
      `Invalid '${member}': expected a text of at most ${MAX_END_USER_LENGTH} characters.`,
    );
  }
  return undefined;
}

function invalid(field: string | undefined, message: string): GatewayError {
  return new GatewayError("INVALID_REQUEST", message, {
    fieldViolations: field === undefined ? [] : [{ field, description: message }],
  });
}

/** Members that a provider of another dialect is told of, in its own words. */
const TRANSLATED: ReadonlySet<string> = new Set([
  "model",
  "messages",
  "stream",
  "stream_options",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "response_format",
  "max_tokens",
  "max_completion_tokens",
  "temperature",
  "top_p",
  "stop",
  "seed",
  "user",
  "safety_identifier",
  "metadata",
  FALLBACK_MODELS,
]);

/** What a member means that says nothing. */
const DEFAULTS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["n", 1],
  ["logprobs", false],
  ["store", false],
  ["frequency_penalty", 0],
  ["presence_penalty", 0],
]);

/** More names than this are not told, and none that is no name. */
const MAX_IGNORED = 20;
const MEMBER_PATTERN = /^[\w.-]{1,64}$/;

/** Names the members that had to be left out for a provider of another dialect. */
export function ignoredHeaders({ native }: ChatRequest): Record<string, string> {
  const ignored = Object.entries(native.body)
    .filter(([name, value]) => value !== null && !TRANSLATED.has(name) && DEFAULTS.get(name) !== value)
    .map(([name]) => name)
    .filter((name) => MEMBER_PATTERN.test(name))
    .slice(0, MAX_IGNORED);
  return ignored.length === 0 ? {} : { "x-llm-gateway-ignored": ignored.join(", ") };
}
