import { GatewayError } from "../../core/errors.ts";
import type { CompatibleCall } from "../compatible/compatible-call.ts";
import type { CompatibleDependencies } from "../compatible/compatible-dependencies.ts";
import { createRouteMaker, type FindRoute } from "../compatible/compatible-route.ts";
import { isModelPath, listModels, MODELS_PATH, retrieveModel } from "../compatible/models.ts";
import { serveCompletion } from "../compatible/serve-completion.ts";
import type { NodeHandler } from "../node-exchange.ts";
import { chatFormat } from "./chat-format.ts";
import { createEmbeddings } from "./embeddings.ts";
import { INPUT_API, OPENAI_API } from "./openai-api.ts";
import { openAiModels } from "./openai-models.ts";
import { responsesFormat } from "./responses-format.ts";

const RESPONSE_PREFIX = "/v1/responses/";

/**
 * The OpenAI-compatible API: `POST /v1/chat/completions`, `POST /v1/responses`, `POST /v1/embeddings`, `GET /v1/models`
 * and `GET /v1/models/{id}`. A second face of the gateway: keys, limits, deadline, chain, ledger and telemetry are those
 * of the RPCs.
 */
export function createOpenAiRoutes(dependencies: CompatibleDependencies): FindRoute {
  const route = createRouteMaker(OPENAI_API, dependencies);
  const inputRoute = createRouteMaker(INPUT_API, dependencies);
  const routes = new Map([
    [
      "/v1/chat/completions",
      route("POST /v1/chat/completions", (call) => serveCompletion(dependencies, call, chatFormat)),
    ],
    [
      "/v1/embeddings",
      inputRoute("POST /v1/embeddings", (call) => call.answer(createEmbeddings(dependencies, call))),
    ],
    [
      "/v1/responses",
      inputRoute("POST /v1/responses", (call) => serveCompletion(dependencies, call, responsesFormat)),
    ],
    [
      MODELS_PATH,
      route("GET /v1/models", (call) => call.answer(listModels(dependencies, call, openAiModels))),
    ],
  ]);
  const model = route("GET /v1/models/{id}", (call) =>
    call.answer(retrieveModel(dependencies, call, openAiModels)),
  );
  const keptResponse = createKeptResponseRoute(inputRoute);
  return (path) => {
    if (path.startsWith(RESPONSE_PREFIX)) return keptResponse;
    return routes.get(path) ?? (isModelPath(path) ? model : undefined);
  };
}

/** What there is of responses below their path at OpenAI: all of it is about responses that were kept. */
function createKeptResponseRoute(route: ReturnType<typeof createRouteMaker>): NodeHandler {
  const get = route("GET /v1/responses/{id}", refuseKeptResponse);
  const routes = new Map([
    ["POST", route("POST /v1/responses/{id}", refuseKeptResponse)],
    ["DELETE", route("DELETE /v1/responses/{id}", refuseKeptResponse)],
  ]);
  return (request, response) => (routes.get(request.method ?? "") ?? get)(request, response);
}

function refuseKeptResponse(call: CompatibleCall): void {
  const message =
    `The gateway serves POST /v1/responses and nothing below it: ${call.request.method} ${call.path} is not there. ` +
    "Responses are kept by the provider that made them; previous_response_id refers to them.";
  const error = new GatewayError("INVALID_REQUEST", message);
  call.finish(error);
  call.sendError(error, { status: 404 });
}
