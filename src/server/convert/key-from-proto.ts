import type { FieldMask } from "@bufbuild/protobuf/wkt";
import type {
  ApiKey as ApiKeyProto,
  KeyLimits as KeyLimitsProto,
} from "../../../gen/es/llmgateway/v1/key_pb.ts";
import type { KeyChanges, KeyLimits, NewKey } from "../../core/keys.ts";
import { roleFromProto } from "../rpc/method-access.ts";
import { dateFromTimestamp } from "./time.ts";
import { throwViolation, Violations } from "./violations.ts";

/** The properties of a key to be made. @throws GatewayError INVALID_REQUEST when the expiry is out of range */
export function newKeyFromProto(proto: ApiKeyProto): NewKey {
  return {
    displayName: proto.displayName,
    roles: rolesOf(proto),
    allowedModels: proto.allowedModels,
    limits: limitsFromProto(proto.limits),
    tags: { ...proto.tags },
    expiresAt: expiryOf(proto),
  };
}

/** What the mask names, and nothing else. @throws GatewayError INVALID_REQUEST for paths that cannot be changed */
export function keyChangesFromProto(proto: ApiKeyProto, mask: FieldMask): KeyChanges {
  const violations = new Violations();
  if (mask.paths.length === 0) violations.add("update_mask", "update_mask.empty", "names nothing to change");
  const changes = mask.paths.map((path, index) => {
    const change = changeOf(proto, path);
    if (!change)
      violations.add(
        `update_mask.paths[${index}]`,
        "update_mask.path",
        "cannot be changed, or does not exist",
      );
    return change;
  });
  violations.throwIfAny();
  return Object.assign({}, ...changes) as KeyChanges;
}

function changeOf(proto: ApiKeyProto, path: string): KeyChanges | undefined {
  switch (path) {
    case "display_name":
      return { displayName: proto.displayName };
    case "roles":
      return { roles: rolesOf(proto) };
    case "allowed_models":
      return { allowedModels: proto.allowedModels };
    case "limits":
      return { limits: limitsFromProto(proto.limits) };
    case "tags":
      return { tags: { ...proto.tags } };
    case "expire_time": {
      const expiresAt = expiryOf(proto);
      return expiresAt ? { expiresAt } : { clearExpiry: true };
    }
    default:
      return undefined;
  }
}

function rolesOf(proto: ApiKeyProto): NewKey["roles"] {
  return proto.roles.map(roleFromProto).filter((role) => role !== undefined);
}

function expiryOf(proto: ApiKeyProto): Date | undefined {
  if (!proto.expireTime) return undefined;
  return (
    dateFromTimestamp(proto.expireTime) ??
    throwViolation("key.expire_time", "timestamp.range", "is out of range")
  );
}

function limitsFromProto(limits: KeyLimitsProto | undefined): KeyLimits {
  return {
    requestsPerMinute: limits?.requestsPerMinute,
    // At most 10^12, by validation.
    tokensPerMinute: limits?.tokensPerMinute === undefined ? undefined : Number(limits.tokensPerMinute),
    maxConcurrent: limits?.maxConcurrent,
  };
}
