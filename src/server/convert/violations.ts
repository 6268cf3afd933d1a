import { type FieldViolation, GatewayError } from "../../core/errors.ts";

/** Collects what is wrong with a request beyond the rules of its proto, so that the caller learns all of it at once. */
export class Violations {
  readonly #violations: FieldViolation[] = [];

  /** `field` is the path as in the proto, `reason` a stable id of the rule. */
  add(field: string, reason: string, description: string): void {
    this.#violations.push({ field, description, reason });
  }

  /** @throws GatewayError INVALID_REQUEST when there were any */
  throwIfAny(): void {
    if (this.#violations.length === 0) return;
    throw new GatewayError("INVALID_REQUEST", "the request breaks the contract", {
      fieldViolations: this.#violations,
    });
  }
}

/** @throws GatewayError INVALID_REQUEST with this one violation */
export function throwViolation(field: string, reason: string, description: string): never {
  throw new GatewayError("INVALID_REQUEST", "the request breaks the contract", {
    fieldViolations: [{ field, description, reason }],
  });
}
