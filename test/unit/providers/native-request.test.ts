import { expect, test } from "vitest";
import type { NativeRequest } from "../../../src/core/completion.ts";
import { toNativeBody } from "../../../src/providers/openai-chat/native-request.ts";
import { deepseekProfile } from "../../../src/providers/profiles/deepseek.ts";
import { mistralProfile } from "../../../src/providers/profiles/mistral.ts";
import { openaiProfile } from "../../../src/providers/profiles/openai.ts";

function native(text: string, gatewayMembers: readonly string[] = []): NativeRequest {
  return { dialect: "openai-chat", text, body: JSON.parse(text), gatewayMembers, untranslatable: [] };
}

const unary = { model: "gpt-5-mini", stream: false };

test("a request of the provider's dialect is sent as it was written, but for the model's name", () => {
  const text =
    '{"model":"fast","messages":[{"role":"developer","content":"Hi"}],"max_tokens":5,"top_k":1.50}';
  expect(toNativeBody(native(text), unary, openaiProfile)).toBe(text.replace("fast", "gpt-5-mini"));
});

test("members for the gateway alone are not sent", () => {
  const text = '{"model":"fast","fallback_models":["a/b"],"metadata":{"team":"search"},"n":2}';
  expect(toNativeBody(native(text, ["fallback_models", "metadata"]), unary, openaiProfile)).toBe(
    '{"model":"gpt-5-mini","n":2}',
  );
});

test("the usage of a stream is always asked for, beside the caller's own options", () => {
  const text = '{"model":"fast","stream":true,"stream_options":{"include_obfuscation":false}}';
  const body = JSON.parse(toNativeBody(native(text), { ...unary, stream: true }, openaiProfile));
  expect(body).toEqual({
    model: "gpt-5-mini",
    stream: true,
    stream_options: { include_obfuscation: false, include_usage: true },
  });
});

test("members and roles get the names that the provider has for them", () => {
  const text =
    '{"model":"x","max_completion_tokens":7,"user":"u1","messages":[{"role":"developer","content":"Be brief."}]}';
  expect(JSON.parse(toNativeBody(native(text), unary, deepseekProfile))).toEqual({
    model: "gpt-5-mini",
    max_tokens: 7,
    user_id: "u1",
    messages: [{ role: "system", content: "Be brief." }],
  });
});

test("what a provider refuses to hear of is left out: the end user, and that the usage is asked for", () => {
  const text =
    '{"model":"x","user":"u1","safety_identifier":"u1","seed":3,"stream":true,"stream_options":{"include_usage":true}}';
  expect(JSON.parse(toNativeBody(native(text), { ...unary, stream: true }, mistralProfile))).toEqual({
    model: "gpt-5-mini",
    random_seed: 3,
    stream: true,
  });
});

test("what stands under the provider's own name wins", () => {
  const text = '{"model":"x","max_completion_tokens":7,"max_tokens":9}';
  expect(JSON.parse(toNativeBody(native(text), unary, deepseekProfile))).toEqual({
    model: "gpt-5-mini",
    max_tokens: 9,
  });
});
