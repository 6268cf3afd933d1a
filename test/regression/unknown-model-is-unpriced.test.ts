import { expect, test } from "vitest";
import { loadPriceBook } from "../../src/pricing/price-book.ts";

// A gateway priced 37 million tokens of a model that it did not know at $0. No price must stay no price: not zero,
// and not the price of a model with a similar name.

const at = new Date("2026-11-23T12:00:00Z");

test.each([
  ["openai", "gpt-9-ultra"],
  ["openai", "gpt-5-mini-experimental"],
  ["openai", "my-finetune:gpt-5-mini"],
  ["openai", "text-embedding-3-small-experimental"],
  ["openai", "whisper-1"],
  ["deepseek", "deepseek-chat"],
  ["deepseek", "deepseek-v5"],
  ["huggingface", "Qwen/Qwen3-32B"],
  ["huggingface", "Qwen/Qwen3-32B:fastest"],
  ["unheard-of", "gpt-5-mini"],
  ["openai", "__proto__"],
  ["__proto__", "constructor"],
])("%s/%s has no price", async (provider, model) => {
  const book = await loadPriceBook({});
  expect(book.find({ provider, model, at })).toBeUndefined();
});
