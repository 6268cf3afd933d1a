import type { AwsCredentialsConfig } from "./config.ts";
import { AWS_REGION } from "./config-file.ts";
import type { EnvironmentReader } from "./read-environment.ts";

/** How Bedrock is reached and what it is called with: a key of its own, or AWS credentials that sign each request. */
export interface BedrockAccess {
  readonly baseUrl: string;
  readonly apiKey: string | undefined;
  readonly aws: AwsCredentialsConfig | undefined;
}

/**
 * Bedrock's own environment: `BEDROCK_REGION` configures it. The variables of AWS alone do not, since they are often
 * there for something else.
 */
export function readBedrockEnvironment(environment: EnvironmentReader): BedrockAccess | undefined {
  const region = environment.text("BEDROCK_REGION");
  const baseUrl = environment.url("BEDROCK_BASE_URL", ["https:", "http:"]);
  const apiKey = environment.secret("BEDROCK_API_KEY");
  if (region === undefined) {
    if (apiKey !== undefined || baseUrl !== undefined) environment.issues.push("BEDROCK_REGION is not set");
    return undefined;
  }
  if (!AWS_REGION.test(region)) {
    environment.issues.push("BEDROCK_REGION must be an AWS region such as eu-central-1");
    return undefined;
  }
  return toAccess(environment, { region, baseUrl, apiKey, where: "BEDROCK_REGION" });
}

/** With its key, or else with the AWS credentials of the environment. What is missing goes to the issues, as `where`. */
export function toAccess(
  environment: EnvironmentReader,
  options: {
    readonly region: string;
    readonly baseUrl: string | undefined;
    readonly apiKey: string | undefined;
    readonly where: string;
  },
): BedrockAccess | undefined {
  const { region, apiKey, where } = options;
  const baseUrl = options.baseUrl ?? `https://bedrock-runtime.${region}.amazonaws.com`;
  if (apiKey !== undefined) return { baseUrl, apiKey, aws: undefined };
  const issuesBefore = environment.issues.length;
  const accessKeyId = environment.text("AWS_ACCESS_KEY_ID");
  const secretAccessKey = environment.secret("AWS_SECRET_ACCESS_KEY");
  const sessionToken = environment.secret("AWS_SESSION_TOKEN");
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    if (environment.issues.length === issuesBefore) {
      environment.issues.push(
        `${where}: Bedrock needs its key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
      );
    }
    return undefined;
  }
  return { baseUrl, apiKey: undefined, aws: { accessKeyId, secretAccessKey, sessionToken, region } };
}
