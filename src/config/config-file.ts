import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { PROVIDER_TYPE_NAMES } from "../core/provider-types.ts";

/** Larger files are refused: nobody writes one by hand. */
const MAX_FILE_BYTES = 1024 * 1024;

const name = z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, "must match [a-z][a-z0-9_-]{0,31}");
const modelName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$/, "is not a model name");

/** Such as `eu-central-1` or `us-gov-west-1`. */
export const AWS_REGION = /^[a-z]{2}(-[a-z]+)+-\d$/;

const providerType = z.enum(PROVIDER_TYPE_NAMES);

const provider = z
  .strictObject({
    /** The kind of provider: its dialect, its peculiarities, and its defaults. */
    type: providerType.optional(),
    /** An older name of `type`. */
    profile: providerType.optional(),
    /** The type's own when not set, if it has one. */
    base_url: z.url({ protocol: /^https?$/ }).optional(),
    /**
     * Name of the environment variable that holds the key; `<it>_FILE` works as well. Keys never stand in the file.
     * The type's own variable when not set, unless `base_url` is another host's; none for a type that needs no key.
     */
    api_key_env: z
      .string()
      .regex(/^[A-Z][A-Z0-9_]*$/, "must be the name of an environment variable")
      .optional(),
    /** Of Bedrock, which without `api_key_env` is called with the AWS credentials of the environment. */
    region: z.string().regex(AWS_REGION, "is not an AWS region").optional(),
    headers: z.record(z.string(), z.string()).optional(),
    /** Seconds; PROVIDER_TIMEOUT when not set. */
    timeout: z.number().min(0.1).max(3_600).optional(),
  })
  .refine(({ type, profile, region }) => region === undefined || (type ?? profile) === "bedrock", {
    error: "only a provider of type bedrock has a region",
  })
  .refine(({ type, profile }) => (type === undefined) !== (profile === undefined), {
    error: "exactly one of type and profile is required",
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
