import type {
  ApiKey as ApiKeyProto,
  KeyLimits as KeyLimitsProto,
} from "../../../gen/es/llmgateway/v1/key_pb.ts";
import type { ApiKey, KeyLimits } from "../../core/keys.ts";
import { roleToProto } from "../rpc/method-access.ts";
import { timestampFromDate } from "./time.ts";

/** A key, without its secret. */
export function keyToProto(key: ApiKey): ApiKeyProto {
  const proto: ApiKeyProto = {
    $typeName: "llmgateway.v1.ApiKey",
    apiKeyId: key.apiKeyId,
    displayName: key.displayName,
    roles: key.roles.map(roleToProto),
    allowedModels: [...key.allowedModels],
    limits: limitsToProto(key.limits),
    tags: { ...key.tags },
    createTime: timestampFromDate(key.createdAt),
  };
  if (key.expiresAt) proto.expireTime = timestampFromDate(key.expiresAt);
  if (key.revokedAt) proto.revokeTime = timestampFromDate(key.revokedAt);
  return proto;
}

function limitsToProto(limits: KeyLimits): KeyLimitsProto {
  const proto: KeyLimitsProto = { $typeName: "llmgateway.v1.KeyLimits" };
  if (limits.requestsPerMinute !== undefined) proto.requestsPerMinute = limits.requestsPerMinute;
  if (limits.tokensPerMinute !== undefined) proto.tokensPerMinute = BigInt(limits.tokensPerMinute);
  if (limits.maxConcurrent !== undefined) proto.maxConcurrent = limits.maxConcurrent;
  return proto;
}
