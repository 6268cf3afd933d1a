import { create } from "@bufbuild/protobuf";
import { CompleteRequestSchema } from "../../gen/es/llmgateway/v1/completion_pb.ts";

/** A valid request that has something of everything. */
export const seedMessage = create(CompleteRequestSchema, {
  requestId: "req-1",
  model: "openai/gpt-5-mini",
  messages: [
    { role: 1, parts: [{ content: { case: "text", value: "Be brief." } }] },
    {
      role: 2,
      parts: [
        { content: { case: "text", value: "Grüße 🎉" } },
        {
          content: { case: "image", value: { source: { case: "url", value: "https://x/y.png" }, detail: 1 } },
        },
      ],
    },
  ],
  temperature: 0.5,
  maxOutputTokens: 100,
  seed: 7n,
  stop: ["END"],
  tools: [{ name: "search", parametersJsonSchema: '{"type":"object"}' }],
  responseFormat: { format: { case: "jsonObject", value: {} } },
  tags: { team: "search" },
});

/** xorshift32: the same messages in every run. */
export function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** The bytes with some taken out, put in, repeated or changed. */
export function mutate(bytes: Uint8Array, random: (below: number) => number): Buffer {
  let mutated = Buffer.from(bytes);
  for (let step = random(4); step >= 0; step -= 1) {
    const at = random(mutated.length + 1);
    switch (random(5)) {
      case 0:
        mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + 1 + random(8))]);
        break;
      case 1:
        mutated = Buffer.concat([mutated.subarray(0, at), Buffer.from([random(256)]), mutated.subarray(at)]);
        break;
      case 2:
        mutated = Buffer.concat([mutated, mutated.subarray(at)]);
        break;
      default:
        if (mutated.length > 0) mutated[at % mutated.length] = random(256);
    }
  }
  return mutated;
}
