import { expect, test } from "vitest";
import { spokenApi } from "../../../src/server/spoken-api.ts";

const ANTHROPIC = { "anthropic-version": "2026-10-21" };

test.each([
  ["/v1/messages", {}, "anthropic"],
  ["/v1/messages/count_tokens", {}, "anthropic"],
  ["/v1/messagesx", {}, "openai"],
  ["/v1/models", {}, "openai"],
  ["/v1/models", ANTHROPIC, "anthropic"],
  ["/v1/models/a/b", ANTHROPIC, "anthropic"],
  ["/v1/files", ANTHROPIC, "anthropic"],
  ["/v1/chat/completions", ANTHROPIC, "openai"],
  ["/v1/embeddings", ANTHROPIC, "openai"],
  ["/v1/costs", ANTHROPIC, undefined],
  ["/v1/costs/records", {}, undefined],
  ["/health", ANTHROPIC, undefined],
])("%s with the headers %j is in the words of %s", (path, headers, api) => {
  expect(spokenApi(path, headers)).toBe(api);
});
