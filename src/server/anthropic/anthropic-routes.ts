import type { CompatibleDependencies } from "../compatible/compatible-dependencies.ts";
import { createRouteMaker, type FindRoute } from "../compatible/compatible-route.ts";
import { isModelPath, listModels, MODELS_PATH, retrieveModel } from "../compatible/models.ts";
import { serveCompletion } from "../compatible/serve-completion.ts";
import { createAnthropicApi } from "./anthropic-api.ts";
import { anthropicModels } from "./anthropic-models.ts";
import { messagesFormat } from "./messages-format.ts";

/**
 * The Anthropic-compatible API: `POST /v1/messages`, `GET /v1/models` and `GET /v1/models/{id}`. As the OpenAI-compatible
 * one it is a face of the one core.
 */
export function createAnthropicRoutes(dependencies: CompatibleDependencies): FindRoute {
  const route = createRouteMaker(createAnthropicApi(dependencies.clock), dependencies);
  const routes = new Map([
    [
      "/v1/messages",
      route("POST /v1/messages", (call) => serveCompletion(dependencies, call, messagesFormat)),
    ],
    [
      MODELS_PATH,
      route("GET /v1/models", (call) => call.answer(listModels(dependencies, call, anthropicModels))),
    ],
  ]);
  const model = route("GET /v1/models/{id}", (call) =>
    call.answer(retrieveModel(dependencies, call, anthropicModels)),
  );
  return (path) => routes.get(path) ?? (isModelPath(path) ? model : undefined);
}
