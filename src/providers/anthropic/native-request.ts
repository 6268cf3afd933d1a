import type { NativeRequest } from "../../core/completion.ts";
import { changeMembers } from "../json-members.ts";
import { readArray, readObject } from "../read-json.ts";

/** Takes every member that the typed contract has; a newer version refuses some of them (`temperature`). */
const DEFAULT_VERSION = "2023-06-01";

/** The caller's own version and betas say what its request, and the answer, look like. */
export function toMessagesHeaders(native: NativeRequest | undefined): readonly string[] {
  const { "anthropic-version": version = DEFAULT_VERSION, "anthropic-beta": beta } = native?.headers ?? {};
  const headers = ["anthropic-version", version];
  return beta === undefined ? headers : [...headers, "anthropic-beta", beta];
}

/** The caller's own text, with the provider's name of the model. */
export function toNativeMessagesBody(native: NativeRequest, model: string): string {
  const changes = new Map<string, string | undefined>([["model", JSON.stringify(model)]]);
  for (const member of native.gatewayMembers) changes.set(member, undefined);
  const messages = withoutForeignThinking(readArray(native.body.messages));
  if (messages !== undefined) changes.set("messages", JSON.stringify(messages));
  return changeMembers(native.text, changes);
}

/**
 * Thinking of another provider, which answered an earlier turn, has no signature: the API would refuse the whole
 * conversation for it. Undefined when there is none.
 */
function withoutForeignThinking(messages: readonly unknown[]): readonly unknown[] | undefined {
  if (!messages.some((message) => contentOf(message).some(isForeignThinking))) return undefined;
  return messages.map((message) => {
    const content = contentOf(message);
    return content.some(isForeignThinking)
      ? { ...readObject(message), content: content.filter((block) => !isForeignThinking(block)) }
      : message;
  });
}

function contentOf(message: unknown): readonly unknown[] {
  return readArray(readObject(message)?.content);
}

function isForeignThinking(block: unknown): boolean {
  const { type, signature } = readObject(block) ?? {};
  return type === "thinking" && signature === "";
}
