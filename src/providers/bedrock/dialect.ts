import type { Dialect } from "../dialect.ts";
import { toPathPart } from "../request-parts.ts";
import { awsEventFraming } from "./event-framing.ts";
import { fromConverse, REQUEST_ID_HEADERS } from "./from-response.ts";
import { createConverseReader } from "./from-stream.ts";
import { createErrorRules } from "./map-error.ts";
import { toConverse } from "./to-request.ts";

/** Bedrock's Converse API, `https://bedrock-runtime.<region>.amazonaws.com`, as documented in November 2026. */
export function createBedrockDialect(secrets: readonly string[]): Dialect {
  return {
    toPath: ({ model, stream }) => `/model/${toPathPart(model)}/${stream ? "converse-stream" : "converse"}`,
    toBody: toConverse,
    fromResponse: fromConverse,
    framing: awsEventFraming,
    terminalData: undefined,
    // `metadata` always comes last.
    endWithoutTerminal: "is_cut",
    createReader: createConverseReader,
    errors: createErrorRules(secrets),
    requestIdHeaders: REQUEST_ID_HEADERS,
  };
}
