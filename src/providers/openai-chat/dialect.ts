import type { Dialect } from "../dialect.ts";
import type { TextPlace } from "../event-parser.ts";
import { type JsonObject, readArray, readObject, readText } from "../read-json.ts";
import { sseFraming } from "../sse-framing.ts";
import { fromChatResponse } from "./from-response.ts";
import { createChatReader } from "./from-stream.ts";
import { createErrorRules } from "./map-error.ts";
import { toNativeBody } from "./native-request.ts";
import type { OpenAiChatProfile } from "./profile.ts";
import { toChatRequest } from "./to-request.ts";

/** OpenAI's chat completions, as the profile's provider speaks them. `secrets` never appear in an error. */
export function createOpenAiChatDialect(profile: OpenAiChatProfile, secrets: readonly string[]): Dialect {
  const errors = createErrorRules(profile, secrets);
  const context = { profile, errors };
  return {
    nativeDialect: "openai-chat",
    toPath: () => "/chat/completions",
    toBody: (call) => (call.native ? toNativeBody(call.native, call, profile) : toChatRequest(call, profile)),
    fromResponse: (response, relaying) => fromChatResponse(response, context, relaying),
    framing: sseFraming,
    terminalData: "[DONE]",
    endWithoutTerminal: profile.endWithoutDone,
    createReader: (progress, relaying) => createChatReader(progress, context, relaying),
    findTexts,
    isUsageOnly: isUsageChunk,
    errors,
    requestIdHeaders: profile.requestIdHeaders,
  };
}

/** The last chunk of a stream that was asked for its usage. */
function isUsageChunk({ usage, choices }: JsonObject): boolean {
  return usage !== undefined && usage !== null && readArray(choices).length === 0;
}

/** What the one choice of a chunk says, and the random text that OpenAI adds so that nobody learns of its length. */
function findTexts(chunk: JsonObject): readonly TextPlace[] {
  const [choice, another] = readArray(chunk.choices);
  const delta = another === undefined ? readObject(readObject(choice)?.delta) : undefined;
  if (delta === undefined) return [];
  const name = ["content", "reasoning_content"].find((member) => readText(delta[member]) !== undefined);
  if (name === undefined) return [];
  const text = { holder: delta, name };
  return typeof chunk.obfuscation === "string" ? [text, { holder: chunk, name: "obfuscation" }] : [text];
}
