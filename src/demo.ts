import { credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import {
  CompleteRequest,
  type CompleteResponse,
  CompletionServiceClient,
} from "../gen/ts-proto/llmgateway/v1/completion.ts";
import { type Part, Role } from "../gen/ts-proto/llmgateway/v1/content.ts";
import { errorReasonToJSON } from "../gen/ts-proto/llmgateway/v1/error_reason.ts";
import {
  type Attempt,
  attemptOutcomeToJSON,
  billingStateToJSON,
} from "../gen/ts-proto/llmgateway/v1/usage.ts";

/** The simulator is told to refuse as the first provider and what to answer as the second. */
const PROMPT =
  'Why is the sky blue? [[sim:openai {"status":503}]] ' +
  '[[sim:deepseek {"text":"Because air scatters blue light more than red."}]]';
const MODEL = "openai/gpt-5-mini";
const FALLBACK_MODEL = "deepseek/deepseek-flash";
const DEADLINE_MS = 20_000;

export interface DemoOptions {
  readonly host: string;
  readonly port: number;
  /** A key with the roles `invoke` and `read_costs`. */
  readonly apiKey: string;
  readonly print: (text: string) => void;
}

/**
 * Makes one completion over gRPC with a forced fallback and prints the answer, its attempts, its cost, and how to
 * call the gateway by hand.
 * @throws ServiceError when the completion fails
 */
export async function runDemo(options: DemoOptions): Promise<void> {
  const response = await complete(options);
  const answer = textOf(response.choices[0]?.message?.parts ?? []);
  options.print(`
Request ${response.requestId}: ${MODEL}, told to fail, with ${FALLBACK_MODEL} to fall back to.

  answer    ${answer}
  answered  ${response.provider}/${response.model}
  usage     ${response.usage?.tokensIn} tokens in, ${response.usage?.tokensOut} out
  cost      ${response.cost?.costUsd} USD
  attempts
${response.attempts.map(describeAttempt).join("\n")}
${instructions(options)}`);
}

function textOf(parts: readonly Part[]): string {
  return parts.map(({ content }) => (content?.$case === "text" ? content.value : "")).join("");
}

function complete({ host, port, apiKey }: DemoOptions): Promise<CompleteResponse> {
  const client = new CompletionServiceClient(`${host}:${port}`, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${apiKey}`);
  const request = CompleteRequest.fromPartial({
    model: MODEL,
    fallbackModels: [FALLBACK_MODEL],
    messages: [{ role: Role.ROLE_USER, parts: [{ content: { $case: "text", value: PROMPT } }] }],
    maxOutputTokens: 100,
    tags: { team: "demo" },
  });
  return new Promise<CompleteResponse>((resolve, reject) => {
    const onEnd = (error: ServiceError | null, response: CompleteResponse) => {
      client.close();
      if (error) reject(error);
      else resolve(response);
    };
    client.complete(request, metadata, { deadline: Date.now() + DEADLINE_MS }, onEnd);
  });
}

function describeAttempt(attempt: Attempt): string {
  const outcome = attemptOutcomeToJSON(attempt.outcome).replace("ATTEMPT_OUTCOME_", "").toLowerCase();
  const reason = errorReasonToJSON(attempt.errorReason).replace("ERROR_REASON_", "");
  const state = billingStateToJSON(attempt.billingState).replace("BILLING_STATE_", "");
  const why = reason === "UNSPECIFIED" ? "" : ` (${reason})`;
  return `    ${attempt.ordinal}. ${attempt.provider}/${attempt.model}: ${outcome}${why}, ${state}, ${attempt.cost?.costUsd} USD`;
}

function instructions({ host, port, apiKey }: DemoOptions): string {
  const url = `http://${host}:${port}`;
  const body = `{"model":"gpt-5-mini","messages":[{"role":"ROLE_USER","parts":[{"text":"Hello"}]}]}`;
  const chatBody = `{"model":"gpt-5-mini","messages":[{"role":"user","content":"Hello"}]}`;
  const method = "llmgateway.v1.CompletionService/Complete";
  return `
An API key (shown once; roles invoke and read_costs):

  export GATEWAY_KEY=${apiKey}

Call it yourself, as gRPC, as Connect JSON, as OpenAI's clients do, and for the costs:

  npx buf curl --protocol grpc --http2-prior-knowledge -H "authorization: Bearer $GATEWAY_KEY" \\
    -d '${body}' ${url}/${method}

  curl -s ${url}/${method} -H "authorization: Bearer $GATEWAY_KEY" \\
    -H 'content-type: application/json' -d '${body}'

  curl -s ${url}/v1/chat/completions -H "authorization: Bearer $GATEWAY_KEY" \\
    -H 'content-type: application/json' -d '${chatBody}'

  curl -s ${url}/v1/costs -H "authorization: Bearer $GATEWAY_KEY"

API documentation: ${url}/docs   metrics: ${url}/metrics   health: ${url}/health
`;
}
