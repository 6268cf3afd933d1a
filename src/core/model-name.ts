import { PROVIDER_TYPE_NAMES, PROVIDER_TYPES } from "./provider-types.ts";

/** One model of one provider. */
export interface Candidate {
  readonly provider: string;
  /** The provider's own name of the model. */
  readonly model: string;
}

const names = new WeakMap<Candidate, string>();

/** `provider/model`, as keys' allow-lists and logs name a candidate. Most calls share their candidates. */
export function candidateName(candidate: Candidate): string {
  const known = names.get(candidate);
  if (known !== undefined) return known;
  const name = `${candidate.provider}/${candidate.model}`;
  names.set(candidate, name);
  return name;
}

/**
 * Reads `provider/model` or a bare model name. The first segment is a provider only if one of that name is
 * configured; so `openai/gpt-5-mini` is OpenAI's and `meta-llama/Llama-3.3-70B-Instruct` is HuggingFace's.
 * The provider of a bare name is the one whose type claims it; a name with a slash is `org/name`.
 */
export function parseModelName(name: string, providers: ReadonlySet<string>): Candidate | undefined {
  const slash = name.indexOf("/");
  if (slash > 0 && slash < name.length - 1) {
    const provider = name.slice(0, slash);
    if (providers.has(provider)) return { provider, model: name.slice(slash + 1) };
  }
  const provider = PROVIDER_TYPE_NAMES.find((type) => PROVIDER_TYPES[type].bareModels?.test(name));
  return provider && providers.has(provider) ? { provider, model: name } : undefined;
}
