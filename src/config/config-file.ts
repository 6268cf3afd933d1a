import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { PROVIDER_TYPE_NAMES } from "../core/provider-types.ts";

/** Larger files are refused: nobody writes one by hand. */
const MAX_FILE_BYTES = 1024 * 1024;

/** More is a mistake of units: the largest window of today is 10 million tokens. */
const MAX_CONTEXT_WINDOW = 1_000_000_000;

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
    /** What the provider bills for a call that is given up; the type's when not set. */
    cancelled_streams: z.enum(["estimate", "drain", "not_billed"]).optional(),
  })
  .refine(({ type, profile, region }) => region === undefined || (type ?? profile) === "bedrock", {
    error: "only a provider of type bedrock has a region",
  })
  .refine(({ type, profile }) => (type === undefined) !== (profile === undefined), {
    error: "exactly one of type and profile is required",
  });

const chain = z.array(modelName).min(1).max(8);

/** A chain whose order depends on the request. */
const route = z.strictObject({
  /** `ordered`: as they stand; `weighted`: by chance, in proportion; `fastest`: the fastest of the last minute first. */
  strategy: z.enum(["ordered", "weighted", "fastest"]),
  candidates: z
    .array(
      z.union([
        modelName,
        z.strictObject({
          model: modelName,
          /** Of `weighted`: 1 when not set; with 0 it is tried last. */
          weight: z.number().min(0).max(1_000_000).optional(),
        }),
      ]),
    )
    .min(1)
    .max(8),
  /** Of `weighted`: callers of the same key, end user or value of a tag get the same order. */
  sticky: z
    .string()
    .regex(/^(api_key|end_user|tag:[A-Za-z0-9_.-]{1,63})$/, "must be api_key, end_user or tag:NAME")
    .optional(),
  /** Milliseconds without an answer, or a first token, after which the next candidate is asked, too; never when not set. */
  hedge_after_ms: z.number().int().min(10).max(600_000).optional(),
  /** Whether a stream that breaks off begins anew with the next candidate, when its caller does not say. @default off */
  recovery: z.enum(["off", "restart"]).optional(),
});

const configFile = z.strictObject({
  providers: z.record(name, provider).optional(),
  /** Alias → chain of model names, or a route. */
  models: z.record(modelName, z.union([chain, route])).optional(),
  default_chain: z.array(modelName).max(8).optional(),
  /** Providers and `provider/model`s that nobody may ask. */
  disabled: z.array(modelName).max(1_000).optional(),
  /** Price overrides; checked with the price book. */
  prices: z.array(z.unknown()).optional(),
  /** Tokens of input and output together, by model name. */
  context_windows: z.record(modelName, z.int().min(1).max(MAX_CONTEXT_WINDOW)).optional(),
});

/** The optional YAML file. */
export type ConfigFile = z.output<typeof configFile>;
export type RouteEntry = NonNullable<ConfigFile["models"]>[string];

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
