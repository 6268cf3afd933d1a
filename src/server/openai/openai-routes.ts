import type { CompatibleDependencies } from "../compatible/compatible-dependencies.ts";
import { createRouteMaker, type FindRoute } from "../compatible/compatible-route.ts";
import { serveCompletion } from "../compatible/serve-completion.ts";
import { chatFormat } from "./chat-format.ts";
import { createEmbeddings } from "./embeddings.ts";
import { listModels, retrieveModel } from "./models.ts";
import { OPENAI_API } from "./openai-api.ts";

const MODEL_PREFIX = "/v1/models/";

/**
 * The OpenAI-compatible API: `POST /v1/chat/completions`, `POST /v1/embeddings`, `GET /v1/models` and
 * `GET /v1/models/{id}`. A second face of the gateway: keys, limits, deadline, chain, ledger and telemetry are those of the RPCs.
 */
export function createOpenAiRoutes(dependencies: CompatibleDependencies): FindRoute {
  const route = createRouteMaker(OPENAI_API, dependencies);
  const routes = new Map([
    [
      "/v1/chat/completions",
      route("POST /v1/chat/completions", (call) => serveCompletion(dependencies, call, chatFormat)),
    ],
    [
      "/v1/embeddings",
      route("POST /v1/embeddings", (call) => call.answer(createEmbeddings(dependencies, call))),
    ],
    ["/v1/models", route("GET /v1/models", (call) => call.answer(listModels(dependencies, call)))],
  ]);
  const model = route("GET /v1/models/{id}", (call) =>
    call.answer(retrieveModel(dependencies, call, decodeId(call.path))),
  );
  return (path) => {
    const isModel = path.startsWith(MODEL_PREFIX) && path.length > MODEL_PREFIX.length;
    return routes.get(path) ?? (isModel ? model : undefined);
  };
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
