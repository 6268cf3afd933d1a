import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { type JsonObject, readObject } from "../../providers/read-json.ts";
import type { CompatibleRequest } from "../compatible/completion-format.ts";
import {
  FALLBACK_MODELS,
  ignoredMembers,
  invalid,
  MAX_END_USER_LENGTH,
  parseBody,
  readFallbackModels,
  readModel,
  readStreamed,
  readTags,
} from "../compatible/read-request.ts";
import { toMessagesInput } from "./messages-input.ts";

/** A body of `POST /v1/messages`. */
export interface MessagesRequest extends CompatibleRequest {
  /** The caller wants to see what the model thinks. */
  readonly showsThinking: boolean;
  /** Names of what a provider of another dialect is not told of, besides members of the body. */
  readonly ignored: readonly string[];
}

/** Names a member of ours, as `fallback_models` is: Anthropic refuses members of `metadata` that it does not know. */
const TAGS = "tags";

/** What a native request says in its headers. */
const NATIVE_HEADERS: readonly { readonly name: string; readonly pattern: RegExp; readonly form: string }[] =
  [
    { name: "anthropic-version", pattern: /^\d{4}-\d{2}-\d{2}$/, form: "a date" },
    {
      name: "anthropic-beta",
      pattern: /^(?=.{1,1000}$)[\w.:-]{1,100}( *, *[\w.:-]{1,100})*$/,
      form: "names, separated by commas, of at most 1000 characters",
    },
  ];

/**
 * Reads the body, as far as the gateway needs it; the rest is the provider's.
 * @throws GatewayError INVALID_REQUEST, with the member or header that it is about
 */
export function parseMessagesRequest(bytes: Uint8Array, headers: IncomingHttpHeaders): MessagesRequest {
  const { text, body } = parseBody(bytes);
  const model = readModel(body);
  if (!Array.isArray(body.messages) || body.messages.length === 0)
    throw invalid("messages", "messages: at least one message is required");
  const endUser = readUserId(body);
  const nativeHeaders = readNativeHeaders(headers);
  const { input, untranslatable, ignored } = toMessagesInput(body, endUser);
  return {
    model,
    fallbackModels: readFallbackModels(body),
    tags: readTags(body, TAGS),
    endUser,
    streamed: readStreamed(body),
    showsThinking: showsThinking(body),
    ignored: [...ignored, ...Object.keys(nativeHeaders).filter((name) => name === "anthropic-beta")],
    input,
    native: {
      dialect: "anthropic-messages",
      text,
      body,
      gatewayMembers: [FALLBACK_MODELS, TAGS],
      headers: nativeHeaders,
      untranslatable,
    },
  };
}

/** `metadata.user_id`. One that is longer than an end user's name may be counts as its digest. */
function readUserId({ metadata }: JsonObject): string | undefined {
  const value = readObject(metadata)?.user_id;
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value !== "string") throw invalid("metadata.user_id", "metadata.user_id: expected a text");
  if (value.length <= MAX_END_USER_LENGTH) return value;
  return `sha256:${createHash("sha256").update(value).digest("hex")}`;
}

function readNativeHeaders(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  const read: Record<string, string> = {};
  for (const { name, pattern, form } of NATIVE_HEADERS) {
    const value = headers[name];
    if (value === undefined || value === "") continue;
    if (typeof value !== "string" || !pattern.test(value))
      throw invalid(name, `the header ${name} is malformed: expected ${form}`);
    read[name] = value;
  }
  return read;
}

function showsThinking({ thinking }: JsonObject): boolean {
  const { type } = readObject(thinking) ?? {};
  return type !== undefined && type !== "disabled";
}

/** Members that a provider of another dialect is told of, in its own words. */
const TRANSLATED: ReadonlySet<string> = new Set([
  "model",
  "max_tokens",
  "messages",
  "system",
  "stream",
  "tools",
  "tool_choice",
  "output_config",
  "stop_sequences",
  "temperature",
  "top_p",
  "metadata",
  FALLBACK_MODELS,
  TAGS,
]);

/** What a member means that says nothing. */
const DEFAULTS: ReadonlyMap<string, unknown> = new Map([
  ["service_tier", "auto"],
  ["speed", "standard"],
]);

/** Members of members that are told. */
const TRANSLATED_WITHIN: Readonly<Record<string, ReadonlySet<string>>> = {
  output_config: new Set(["format"]),
  metadata: new Set(["user_id"]),
};
const NO_DEFAULTS: ReadonlyMap<string, unknown> = new Map();

/** More names than this are not told. */
const MAX_IGNORED = 40;

/** Names what had to be left out for a provider of another dialect. */
export function ignoredMessagesMembers({
  native,
  ignored,
  showsThinking,
}: MessagesRequest): readonly string[] {
  const { body } = native;
  const members = ignoredMembers(body, TRANSLATED, DEFAULTS).filter(
    (name) => name !== "thinking" || showsThinking,
  );
  const within = Object.entries(TRANSLATED_WITHIN).flatMap(([member, translated]) =>
    ignoredMembers(readObject(body[member]) ?? {}, translated, NO_DEFAULTS).map(
      (name) => `${member}.${name}`,
    ),
  );
  return [...new Set([...members, ...within, ...ignored])].slice(0, MAX_IGNORED);
}
