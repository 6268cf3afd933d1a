import { GatewayError } from "../../core/errors.ts";
import type { CompatibleCall } from "../compatible/compatible-call.ts";
import type { CompatibleDependencies } from "../compatible/compatible-dependencies.ts";
import { createRouteMaker, type FindRoute } from "../compatible/compatible-route.ts";
import { serveCompletion } from "../compatible/serve-completion.ts";
import type { NodeHandler } from "../node-exchange.ts";
import { chatFormat } from "./chat-format.ts";
import { createEmbeddings } from "./embeddings.ts";
import { listModels, retrieveModel } from "./models.ts";
import { OPENAI_API, RESPONSES_API } from "./openai-api.ts";
import { responsesFormat } from "./responses-format.ts";

const MODEL_PREFIX = "/v1/models/";
const RESPONSE_PREFIX = "/v1/responses/";

/**
 * The OpenAI-compatible API: `POST /v1/chat/completions`, `POST /v1/responses`, `POST /v1/embeddings`, `GET /v1/models`
 * and `GET /v1/models/{id}`. A second face of the gateway: keys, limits, deadline, chain, ledger and telemetry are those
 * of the RPCs.
 */
export function createOpenAiRoutes(dependencies: CompatibleDependencies): FindRoute {
  const route = createRouteMaker(OPENAI_API, dependencies);
  const responsesRoute = createRouteMaker(RESPONSES_API, dependencies);
  const routes = new Map([
    [
      "/v1/chat/completions",
      route("POST /v1/chat/completions", (call) => serveCompletion(dependencies, call, chatFormat)),
    ],
    [
      "/v1/embeddings",
      route("POST /v1/embeddings", (call) => call.answer(createEmbeddings(dependencies, call))),
    ],
    [
      "/v1/responses",
      responsesRoute("POST /v1/responses", (call) => serveCompletion(dependencies, call, responsesFormat)),
    ],
    ["/v1/models", route("GET /v1/models", (call) => call.answer(listModels(dependencies, call)))],
  ]);
  const model = route("GET /v1/models/{id}", (call) =>
    call.answer(retrieveModel(dependencies, call, decodeId(call.path))),
  );
  const keptResponse = createKeptResponseRoute(responsesRoute);
  return (path) => {
    if (path.startsWith(RESPONSE_PREFIX)) return keptResponse;
    const isModel = path.startsWith(MODEL_PREFIX) && path.length > MODEL_PREFIX.length;
    return routes.get(path) ?? (isModel ? model : undefined);
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

/** The rest of the path: names of models have slashes, which clients encode or not. */
function decodeId(path: string): string {
  const id = path.slice(MODEL_PREFIX.length);
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}
