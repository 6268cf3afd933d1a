import { createAnthropicFace } from "./anthropic-face.ts";
import type { Face } from "./face.ts";
import { createOpenAiFace } from "./openai-face.ts";
import { createConnectJsonFace, createGrpcFace } from "./rpc-faces.ts";

/** Every protocol in which completions can be asked for: what a provider does must read the same in each of them. */
export function createFaces(): readonly Face[] {
  return [createGrpcFace(), createConnectJsonFace(), createOpenAiFace(), createAnthropicFace()];
}
