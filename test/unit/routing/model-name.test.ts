import { describe, expect, it } from "vitest";
import { candidateName, parseModelName } from "../../../src/core/model-name.ts";

const ALL = new Set(["openai", "deepseek", "huggingface", "azure-eu"]);

describe("the name of a model", () => {
  it.each([
    ["openai/gpt-5-mini", "openai", "gpt-5-mini"],
    ["azure-eu/gpt-5-mini", "azure-eu", "gpt-5-mini"],
    [
      "huggingface/meta-llama/Llama-3.3-70B-Instruct:groq",
      "huggingface",
      "meta-llama/Llama-3.3-70B-Instruct:groq",
    ],
    ["openai/ft:gpt-5-mini:org/team", "openai", "ft:gpt-5-mini:org/team"],
  ])("%s says its provider", (name, provider, model) => {
    expect(parseModelName(name, ALL)).toEqual({ provider, model });
  });

  it.each([
    ["gpt-5-mini", "openai"],
    ["chatgpt-4o-latest", "openai"],
    ["o3", "openai"],
    ["o4-mini", "openai"],
    ["deepseek-flash", "deepseek"],
    ["deepseek-v4-pro", "deepseek"],
    ["meta-llama/Llama-3.3-70B-Instruct", "huggingface"],
    ["meta-llama/Llama-3.3-70B-Instruct:groq", "huggingface"],
    ["deepseek-ai/DeepSeek-R1", "huggingface"],
    ["gpt-community/gpt-2", "huggingface"],
    ["o1-labs/some-model", "huggingface"],
  ])("%s lets its provider be inferred: %s", (name, provider) => {
    expect(parseModelName(name, ALL)).toEqual({ provider, model: name });
  });

  it.each([
    ["claude-sonnet-4-5", "anthropic"],
    ["gemini-2.5-flash", "gemini"],
    ["mistral-large-latest", "mistral"],
    ["codestral-2508", "mistral"],
    ["grok-4", "xai"],
  ])("%s lets its provider be inferred, if that is configured: %s", (name, provider) => {
    expect(parseModelName(name, new Set([provider]))).toEqual({ provider, model: name });
    expect(parseModelName(name, ALL)).toBeUndefined();
  });

  it.each([
    "",
    "/",
    "openai/",
    "/gpt-5",
    "claude-opus",
    "gemini-3",
    "ollama",
    "a/b/c",
    "GPT-5",
    "xdeepseek-y",
  ])("%j means no model", (name) => {
    expect(parseModelName(name, ALL)).toBeUndefined();
  });

  it("whose inferred provider is not configured means no model, not another provider's", () => {
    expect(parseModelName("gpt-5-mini", new Set(["deepseek"]))).toBeUndefined();
    expect(parseModelName("org/name", new Set(["openai"]))).toBeUndefined();
  });

  it("is written with its provider in front, and read back the same", () => {
    const candidate = { provider: "huggingface", model: "org/name:groq" };
    expect(candidateName(candidate)).toBe("huggingface/org/name:groq");
    expect(parseModelName(candidateName(candidate), ALL)).toEqual(candidate);
  });
});
