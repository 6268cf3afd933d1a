import type { DescMethod } from "@bufbuild/protobuf";
import { getOption, hasOption } from "@bufbuild/protobuf";
import { access, KeyRole } from "../../../gen/es/llmgateway/v1/access_pb.ts";
import { GatewayError } from "../../core/errors.ts";
import { hasRole, type Principal, type Role } from "../../core/keys.ts";

/** Who may call a method: everybody, or keys with one of the roles. Without roles: nobody. */
export type MethodAccess = "public" | { readonly anyOf: readonly Role[] };

/** Services that answer without a key: probes and tools have none, and nothing in them is secret. */
const PUBLIC_SERVICES: ReadonlySet<string> = new Set([
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
]);

/** Reads the method's option `llmgateway.v1.access`. A method that declares nothing can be called by nobody. */
export function accessOf(method: DescMethod): MethodAccess {
  if (PUBLIC_SERVICES.has(method.parent.typeName)) return "public";
  if (!hasOption(method, access)) return { anyOf: [] };
  return {
    anyOf: getOption(method, access)
      .anyOf.map(roleFromProto)
      .filter((role) => role !== undefined),
  };
}

/** @throws GatewayError PERMISSION_DENIED */
export function authorize(principal: Principal, methodAccess: MethodAccess): void {
  if (methodAccess === "public") return;
  if (methodAccess.anyOf.some((role) => hasRole(principal, role))) return;
  throw new GatewayError("PERMISSION_DENIED", "the API key lacks the role for this call");
}

/** A role of the proto; undefined for the unspecified one and for what a later version may add. */
export function roleFromProto(role: KeyRole): Role | undefined {
  switch (role) {
    case KeyRole.INVOKE:
      return "invoke";
    case KeyRole.READ_COSTS:
      return "read_costs";
    case KeyRole.MANAGE_KEYS:
      return "manage_keys";
    case KeyRole.ADMIN:
      return "admin";
    case KeyRole.UNSPECIFIED:
      return undefined;
    default:
      // What a later version of the contract may add.
      return undefined;
  }
}

/** A role as in the proto. */
export function roleToProto(role: Role): KeyRole {
  switch (role) {
    case "invoke":
      return KeyRole.INVOKE;
    case "read_costs":
      return KeyRole.READ_COSTS;
    case "manage_keys":
      return KeyRole.MANAGE_KEYS;
    case "admin":
      return KeyRole.ADMIN;
    default:
      return role satisfies never;
  }
}
