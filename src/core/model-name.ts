/** One model of one provider. */
export interface Candidate {
  readonly provider: string;
  /** The provider's own name of the model. */
  readonly model: string;
}

/** `provider/model`, as keys' allow-lists and logs name a candidate. */
export function candidateName(candidate: Candidate): string {
  return `${candidate.provider}/${candidate.model}`;
}

/** How the provider of a bare model name is inferred. A name with a slash, `deepseek-ai/DeepSeek-R1` too, is `org/name`. */
const INFERENCE: readonly { readonly pattern: RegExp; readonly provider: string }[] = [
  { pattern: /^(gpt-|chatgpt-|o\d)[^/]*$/, provider: "openai" },
  { pattern: /^deepseek-[^/]*$/, provider: "deepseek" },
  { pattern: /^[^/]+\/[^/]+$/, provider: "huggingface" },
];

/**
 * Reads `provider/model` or a bare model name. The first segment is a provider only if one of that name is
 * configured; so `openai/gpt-5-mini` is OpenAI's and `meta-llama/Llama-3.3-70B-Instruct` is HuggingFace's.
 */
export function parseModelName(name: string, providers: ReadonlySet<string>): Candidate | undefined {
  const slash = name.indexOf("/");
  if (slash > 0 && slash < name.length - 1) {
    const provider = name.slice(0, slash);
    if (providers.has(provider)) return { provider, model: name.slice(slash + 1) };
  }
  const rule = INFERENCE.find(({ pattern }) => pattern.test(name));
  return rule && providers.has(rule.provider) ? { provider: rule.provider, model: name } : undefined;
}
