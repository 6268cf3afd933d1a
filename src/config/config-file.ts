import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";

/** Larger files are refused: nobody writes one by hand. */
const MAX_FILE_BYTES = 1024 * 1024;

const name = z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, "must match [a-z][a-z0-9_-]{0,31}");
const modelName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$/, "is not a model name");

const provider = z.strictObject({
  /** The dialect and its peculiarities. */
  profile: z.enum(["openai", "deepseek", "huggingface"]),
  base_url: z.url({ protocol: /^https?$/ }),
  /** Name of the environment variable that holds the key; `<it>_FILE` works as well. Keys never stand in the file. */
  api_key_env: z.string().regex(/^[A-Z][A-Z0-9_]*$/, "must be the name of an environment variable"),
  headers: z.record(z.string(), z.string()).optional(),
  /** Seconds; PROVIDER_TIMEOUT when not set. */
  timeout: z.number().min(0.1).max(3_600).optional(),
  /** What the provider bills for a call that is given up; the profile's when not set. */
  cancelled_streams: z.enum(["estimate", "drain", "not_billed"]).optional(),
});

const configFile = z.strictObject({
  providers: z.record(name, provider).optional(),
  /** Alias → chain of model names. */
  models: z.record(modelName, z.array(modelName).min(1).max(8)).optional(),
  default_chain: z.array(modelName).max(8).optional(),
  /** Price overrides; checked with the price book. */
  prices: z.array(z.unknown()).optional(),
});

/** The optional YAML file. */
export type ConfigFile = z.output<typeof configFile>;

/** Reads and checks the file; what is wrong goes to `issues`, with its path. */
export function readConfigFile(path: string, issues: string[]): ConfigFile {
  let content: unknown;
  try {
    const bytes = readFileSync(path);
    if (bytes.length > MAX_FILE_BYTES) throw new RangeError(`more than ${MAX_FILE_BYTES} bytes`);
    content = parse(bytes.toString("utf8"), { maxAliasCount: 100 });
  } catch (error) {
    issues.push(`CONFIG_FILE: ${error instanceof Error ? error.message : String(error)}`);
    return {};
  }
  const result = configFile.safeParse(content ?? {});
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    // The rule that a key broke stands below the issue; the issue of the whole file has no path.
    const message =
      issue.code === "invalid_key" ? (issue.issues[0]?.message ?? issue.message) : issue.message;
    issues.push(["CONFIG_FILE", issue.path.join("."), message].filter((part) => part !== "").join(": "));
  }
  return {};
}
