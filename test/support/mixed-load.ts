import { create, toBinary, toJson } from "@bufbuild/protobuf";
import { createJsonReader } from "../../bench/answer-readers.ts";
import { createGrpcTarget } from "../../bench/grpc-target.ts";
import { createHttpTarget } from "../../bench/http-target.ts";
import { COMPLETE_PATH, FINISHED_TAG, STREAM_PATH } from "../../bench/requests.ts";
import { Tally } from "../../bench/tally.ts";
import type { Target } from "../../bench/target.ts";
import {
  CompleteRequestSchema,
  StreamCompleteRequestSchema,
} from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { Role } from "../../gen/es/llmgateway/v1/content_pb.ts";
import type { Script } from "../../simulator/script.ts";
import { FALLBACK_MODEL, HUGGINGFACE_MODEL, MODEL } from "./gateway-under-test.ts";
import { promptOf } from "./prompt.ts";

/** Calls that are all alike, so that they are encoded once. */
export interface MixedCall {
  /** Its `reference` on the bill. */
  readonly name: string;
  readonly model: string;
  readonly fallbackModels?: readonly string[];
  /** For whichever provider answers. */
  readonly script: Script;
  /** Only the first provider meets its script. */
  readonly firstOnly?: boolean;
  /** How often it is drawn. */
  readonly weight: number;
}

/** The one kind whose usage the provider hides. */
export const NO_USAGE = "no-usage";

/** Every kind of answer that takes no time. */
const MIXED_CALLS: readonly MixedCall[] = [
  { name: "plain", model: MODEL, script: { tokensOut: 16 }, weight: 8 },
  {
    name: "cached",
    model: MODEL,
    script: { tokensOut: 97, reasoningTokens: 33, cachedTokensIn: 7 },
    weight: 3,
  },
  { name: "large", model: MODEL, script: { tokensIn: 1_234_567, cacheWriteTokensIn: 7_001 }, weight: 1 },
  { name: "huggingface", model: HUGGINGFACE_MODEL, script: { tokensOut: 5 }, weight: 3 },
  { name: "deepseek", model: FALLBACK_MODEL, script: { tokensOut: 40, cachedTokensIn: 5 }, weight: 3 },
  { name: NO_USAGE, model: MODEL, script: { tokensOut: 11, fault: "noUsage" }, weight: 1 },
  { name: "refused", model: MODEL, script: { status: 400 }, weight: 1 },
  // A model of its own: its breaker may open, and that must not stop the others.
  { name: "steady", model: "openai/demo-model", script: { tokensOut: 21 }, weight: 3 },
  {
    ...{ name: "cut", model: "openai/demo-model" },
    ...{ script: { tokensOut: 12, fault: "cut", afterTokens: 4 }, weight: 1 },
  },
  { name: "unpriced", model: "openai/a-model-without-a-price", script: { tokensOut: 9 }, weight: 1 },
  {
    ...{ name: "fallback", model: MODEL, fallbackModels: [FALLBACK_MODEL], firstOnly: true },
    ...{ script: { status: 404 }, weight: 1 },
  },
];

function requestOf({ name, model, fallbackModels = [], script, firstOnly }: MixedCall) {
  const personalities = firstOnly ? (["openai"] as const) : (["openai", "deepseek", "huggingface"] as const);
  const scripts = Object.fromEntries(personalities.map((personality) => [personality, script]));
  const text = promptOf(name, { scripts });
  return create(CompleteRequestSchema, {
    ...{ model, fallbackModels: [...fallbackModels], tags: { call: name } },
    messages: [{ role: Role.USER, parts: [{ content: { case: "text", value: text } }] }],
  });
}

interface WeightedTarget {
  readonly target: Target;
  readonly weight: number;
}

const CONNECTIONS = 8;

/** Each kind as unary gRPC, as a gRPC stream, and as unary JSON over HTTP/1.1. */
async function createTargets(url: string, apiKey: string): Promise<readonly WeightedTarget[]> {
  const grpc = { origin: url, apiKey, connections: 1 };
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
  const targets = MIXED_CALLS.map(async (call) => {
    const request = requestOf(call);
    const message = toBinary(CompleteRequestSchema, request);
    const streamed = toBinary(StreamCompleteRequestSchema, create(StreamCompleteRequestSchema, { request }));
    const body = Buffer.from(JSON.stringify(toJson(CompleteRequestSchema, request)));
    return [
      await createGrpcTarget({ ...grpc, path: COMPLETE_PATH, message, lastMessageBegins: undefined }),
      await createGrpcTarget({
        ...grpc,
        path: STREAM_PATH,
        message: streamed,
        lastMessageBegins: FINISHED_TAG,
      }),
      createHttpTarget({
        ...{ origin: url, path: COMPLETE_PATH, headers, body },
        ...{ connections: CONNECTIONS, createReader: createJsonReader },
      }),
    ].map((target) => ({ target, weight: call.weight }));
  });
  return (await Promise.all(targets)).flat();
}

/** Makes so many calls of the mix, in seeded order, with so many open at any time. */
export async function runMixedLoad(
  gateway: { readonly url: string; readonly apiKey: string },
  load: { readonly calls: number; readonly open: number; readonly random: () => number },
): Promise<Tally> {
  const targets = await createTargets(gateway.url, gateway.apiKey);
  const drawn = targets.flatMap(({ target, weight }) => Array.from({ length: weight }, () => target));
  const tally = new Tally();
  let started = 0;
  await new Promise<void>((resolve) => {
    const next = (): void => {
      if (started >= load.calls) return;
      started += 1;
      drawn[Math.floor(load.random() * drawn.length)]?.send((failure) => {
        tally.add(failure);
        if (tally.calls === load.calls) resolve();
        else next();
      });
    };
    for (let slot = 0; slot < load.open; slot += 1) next();
  });
  await Promise.all(targets.map(({ target }) => target.close()));
  return tally;
}
