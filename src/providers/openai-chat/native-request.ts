import type { NativeRequest } from "../../core/completion.ts";
import { changeMembers } from "../json-members.ts";
import { readArray, readObject } from "../read-json.ts";
import type { OpenAiChatProfile } from "./profile.ts";

/** What OpenAI calls the end user, now and before. */
const END_USER_MEMBERS = ["safety_identifier", "user"] as const;

/**
 * The body for a provider of the same dialect: the caller's own text, with the provider's name of the model, with the
 * usage of a stream always asked for, since the ledger needs it, and with the names that the provider has for the
 * few members that differ between the compatible ones.
 */
export function toNativeBody(
  native: NativeRequest,
  call: { readonly model: string; readonly stream: boolean },
  profile: OpenAiChatProfile,
): string {
  const { body } = native;
  const changes = new Map<string, string | undefined>([["model", JSON.stringify(call.model)]]);
  for (const member of native.gatewayMembers) changes.set(member, undefined);
  if (!profile.asksForUsage) changes.set("stream_options", undefined);
  else if (call.stream) {
    const options = { ...readObject(body.stream_options), include_usage: true };
    changes.set("stream_options", JSON.stringify(options));
  }
  if (profile.maxTokensField === "max_tokens")
    rename(changes, body, { from: "max_completion_tokens", to: "max_tokens" });
  if (profile.seedField !== "seed") rename(changes, body, { from: "seed", to: profile.seedField });
  if (profile.endUserField === undefined)
    for (const member of END_USER_MEMBERS) changes.set(member, undefined);
  else if (profile.endUserField !== "user") rename(changes, body, { from: "user", to: profile.endUserField });
  if (!profile.takesDeveloperRole) changeRoles(changes, body);
  return changeMembers(native.text, changes);
}

/** What stands under the provider's own name already wins. */
function rename(
  changes: Map<string, string | undefined>,
  body: NativeRequest["body"],
  { from, to }: { readonly from: string; readonly to: string },
): void {
  const value = body[from];
  if (value === undefined || value === null) return;
  changes.set(from, undefined);
  if (body[to] === undefined || body[to] === null) changes.set(to, JSON.stringify(value));
}

/** `developer` is OpenAI's newer name of `system`. */
function changeRoles(changes: Map<string, string | undefined>, body: NativeRequest["body"]): void {
  const isDeveloper = (message: unknown) => readObject(message)?.role === "developer";
  const messages = readArray(body.messages);
  if (!messages.some(isDeveloper)) return;
  const renamed = messages.map((message) =>
    isDeveloper(message) ? { ...readObject(message), role: "system" } : message,
  );
  changes.set("messages", JSON.stringify(renamed));
}
