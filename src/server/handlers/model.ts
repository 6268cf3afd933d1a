import { ModelService } from "../../../gen/es/llmgateway/v1/model_pb.ts";
import type { Gateway, ModelEntry } from "../../core/gateway.ts";
import { effectivePageSize } from "../../core/paging.ts";
import { modelToProto } from "../convert/model-to-proto.ts";
import { throwViolation } from "../convert/violations.ts";
import { type RpcMethod, unary } from "../rpc/rpc-method.ts";

/** `ModelService`: the models that the caller's key may use. */
export function modelMethods(gateway: Pick<Gateway, "models">): readonly RpcMethod[] {
  return [
    unary(ModelService.method.listModels, async (request, { principal }) => {
      const models = [...gateway.models(principal)].sort(byName);
      const after = afterName(request.pageToken);
      const start = after === undefined ? 0 : models.findIndex(({ name }) => name > after);
      const page = start < 0 ? [] : models.slice(start, start + effectivePageSize(request.pageSize));
      const last = page.at(-1);
      const isLastPage = last === undefined || last === models.at(-1);
      return {
        models: page.map(modelToProto),
        nextPageToken: isLastPage ? "" : tokenAfter(last.name),
      };
    }),
  ];
}

function byName(a: ModelEntry, b: ModelEntry): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** A page token is the last name of the page, so that models that come and go move nothing. */
function tokenAfter(name: string): string {
  return Buffer.from(JSON.stringify({ after: name })).toString("base64url");
}

function afterName(pageToken: string): string | undefined {
  if (pageToken === "") return undefined;
  try {
    const token: unknown = JSON.parse(Buffer.from(pageToken, "base64url").toString());
    if (typeof token === "object" && token !== null && "after" in token && typeof token.after === "string")
      return token.after;
  } catch {
    // Falls through: it is none of ours.
  }
  return throwViolation("page_token", "page_token.invalid", "is not a token of this list");
}
