import { ModelService } from "../../../gen/es/llmgateway/v1/model_pb.ts";
import { GatewayError } from "../../core/errors.ts";
import type { ModelEntry } from "../../core/gateway.ts";
import { accessOf } from "../rpc/method-access.ts";
import type { CompatibleCall, WholeAnswer } from "./compatible-call.ts";
import { authenticate, type CompatibleDependencies } from "./compatible-dependencies.ts";

const ACCESS = accessOf(ModelService.method.listModels);
export const MODELS_PATH = "/v1/models";
const MODEL_PREFIX = `${MODELS_PATH}/`;

/** How an API names a model, and a list of them. */
export interface ModelFormat {
  toModel(entry: ModelEntry, id: string): object;
  toList(models: readonly (readonly [id: string, model: object])[]): object;
}

/** `GET /v1/models`: the names that the key may ask for. */
export async function listModels(
  dependencies: CompatibleDependencies,
  call: CompatibleCall,
  format: ModelFormat,
): Promise<WholeAnswer> {
  await authenticate(dependencies, call, ACCESS);
  const models = dependencies.gateway
    .models(call.principal)
    .map((entry) => [entry.name, format.toModel(entry, entry.name)] as const);
  return { headers: {}, body: JSON.stringify(format.toList(models)) };
}

/** Whether a path is that of one model. */
export function isModelPath(path: string): boolean {
  return path.startsWith(MODEL_PREFIX) && path.length > MODEL_PREFIX.length;
}

/**
 * `GET /v1/models/{id}`, also by the bare name of a listed provider's model.
 * @throws GatewayError MODEL_NOT_FOUND
 */
export async function retrieveModel(
  dependencies: CompatibleDependencies,
  call: CompatibleCall,
  format: ModelFormat,
): Promise<WholeAnswer> {
  await authenticate(dependencies, call, ACCESS);
  const id = decodeId(call.path);
  const models = dependencies.gateway.models(call.principal);
  const entry = models.find(({ name }) => name === id) ?? models.find((model) => isBareName(model, id));
  if (entry) return { headers: {}, body: JSON.stringify(format.toModel(entry, id)) };
  throw new GatewayError("MODEL_NOT_FOUND", `The model ${JSON.stringify(id)} does not exist.`, {
    metadata: { model: id },
  });
}

/** The rest of the path: names of models have slashes, which clients encode or not. */
function decodeId(path: string): string {
  const id = path.slice(MODEL_PREFIX.length);
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

function isBareName({ chain }: ModelEntry, id: string): boolean {
  return chain.length === 1 && chain[0]?.model === id;
}
