import { ModelService } from "../../../gen/es/llmgateway/v1/model_pb.ts";
import { GatewayError } from "../../core/errors.ts";
import type { ModelEntry } from "../../core/gateway.ts";
import { candidateName } from "../../core/model-name.ts";
import type { CompatibleCall, WholeAnswer } from "../compatible/compatible-call.ts";
import { authenticate, type CompatibleDependencies } from "../compatible/compatible-dependencies.ts";
import { accessOf } from "../rpc/method-access.ts";

const ACCESS = accessOf(ModelService.method.listModels);

/** `GET /v1/models`: the names that the key may ask for. */
export async function listModels(
  dependencies: CompatibleDependencies,
  call: CompatibleCall,
): Promise<WholeAnswer> {
  await authenticate(dependencies, call, ACCESS);
  const data = dependencies.gateway.models(call.principal).map((entry) => toModel(entry, entry.name));
  return { headers: {}, body: JSON.stringify({ object: "list", data }) };
}

/**
 * `GET /v1/models/{id}`, also by the bare name of a listed provider's model.
 * @throws GatewayError MODEL_NOT_FOUND
 */
export async function retrieveModel(
  dependencies: CompatibleDependencies,
  call: CompatibleCall,
  id: string,
): Promise<WholeAnswer> {
  await authenticate(dependencies, call, ACCESS);
  const models = dependencies.gateway.models(call.principal);
  const entry = models.find(({ name }) => name === id) ?? models.find((model) => isBareName(model, id));
  if (entry) return { headers: {}, body: JSON.stringify(toModel(entry, id)) };
  throw new GatewayError("MODEL_NOT_FOUND", `The model ${JSON.stringify(id)} does not exist.`, {
    metadata: { model: id },
  });
}

function isBareName({ chain }: ModelEntry, id: string): boolean {
  return chain.length === 1 && chain[0]?.model === id;
}

/** When a model was made nobody tells the gateway. */
function toModel({ chain }: ModelEntry, id: string) {
  return {
    id,
    object: "model",
    created: 0,
    owned_by: chain[0]?.provider ?? "",
    llm_gateway: { chain: chain.map(candidateName) },
  };
}
