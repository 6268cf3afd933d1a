import type { CompatibleDependencies } from "../compatible/compatible-dependencies.ts";
import { createRouteMaker, type FindRoute } from "../compatible/compatible-route.ts";
import { isModelPath, listModels, MODELS_PATH, retrieveModel } from "../compatible/models.ts";
import { serveCompletion } from "../compatible/serve-completion.ts";
import { chatFormat } from "./chat-format.ts";
import { OPENAI_API } from "./openai-api.ts";
import { openAiModels } from "./openai-models.ts";

/**
 * The OpenAI-compatible API: `POST /v1/chat/completions`, `GET /v1/models` and `GET /v1/models/{id}`. A second face
 * of the gateway: keys, limits, deadline, chain, ledger and telemetry are those of the RPCs.
 */
export function createOpenAiRoutes(dependencies: CompatibleDependencies): FindRoute {
  const route = createRouteMaker(OPENAI_API, dependencies);
  const routes = new Map([
    [
      "/v1/chat/completions",
      route("POST /v1/chat/completions", (call) => serveCompletion(dependencies, call, chatFormat)),
    ],
    [
      MODELS_PATH,
      route("GET /v1/models", (call) => call.answer(listModels(dependencies, call, openAiModels))),
    ],
  ]);
  const model = route("GET /v1/models/{id}", (call) =>
    call.answer(retrieveModel(dependencies, call, openAiModels)),
  );
  return (path) => routes.get(path) ?? (isModelPath(path) ? model : undefined);
}
