import { KeyService as KeyServiceProto } from "../../../gen/es/llmgateway/v1/key_pb.ts";
import type { KeyService } from "../../core/keys.ts";
import { effectivePageSize } from "../../core/paging.ts";
import { keyChangesFromProto, newKeyFromProto } from "../convert/key-from-proto.ts";
import { keyToProto } from "../convert/key-to-proto.ts";
import { msFromDuration } from "../convert/time.ts";
import { throwViolation } from "../convert/violations.ts";
import { type RpcMethod, unary } from "../rpc/rpc-method.ts";

/** How long the old secret of a rotated key goes on working when the caller does not say: a day. */
const DEFAULT_OVERLAP_MS = 24 * 3600 * 1000;

/** `KeyService`. */
export function keyMethods(keys: KeyService): readonly RpcMethod[] {
  const method = KeyServiceProto.method;
  return [
    unary(method.createKey, async ({ key }, { principal }) => {
      if (!key) throwViolation("key", "required", "is required");
      const made = await keys.create(principal, newKeyFromProto(key));
      return {
        key: keyToProto(made.key),
        secret: made.secret,
      };
    }),
    unary(method.getKey, async ({ apiKeyId }, { principal }) => {
      const key = await keys.get(principal, apiKeyId);
      return { key: keyToProto(key) };
    }),
    unary(method.listKeys, async (request, { principal }) => {
      const page = await keys.list(principal, {
        pageSize: effectivePageSize(request.pageSize),
        pageToken: request.pageToken || undefined,
        includeRevoked: request.includeRevoked,
      });
      return {
        keys: page.keys.map(keyToProto),
        nextPageToken: page.nextPageToken ?? "",
      };
    }),
    unary(method.updateKey, async ({ key, updateMask }, { principal }) => {
      if (!key || key.apiKeyId === "") throwViolation("key.api_key_id", "required", "is required");
      if (!updateMask) throwViolation("update_mask", "required", "is required");
      const changed = await keys.update(principal, key.apiKeyId, keyChangesFromProto(key, updateMask));
      return { key: keyToProto(changed) };
    }),
    unary(method.rotateKey, async ({ apiKeyId, overlap }, { principal }) => {
      const overlapMs = overlap ? msFromDuration(overlap) : DEFAULT_OVERLAP_MS;
      const rotated = await keys.rotate(principal, apiKeyId, overlapMs);
      return {
        key: keyToProto(rotated.key),
        secret: rotated.secret,
      };
    }),
    unary(method.revokeKey, async ({ apiKeyId }, { principal }) => {
      const key = await keys.revoke(principal, apiKeyId);
      return { key: keyToProto(key) };
    }),
  ];
}
