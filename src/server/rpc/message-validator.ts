import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import { GatewayError } from "../../core/errors.ts";

/** @throws GatewayError INVALID_REQUEST with a violation for each rule that the message breaks */
export type ValidateMessage = <D extends DescMessage>(schema: D, message: MessageShape<D>) => void;

/**
 * Checks messages against the rules in their protos. The rules of the given messages are compiled now, so that a
 * rule that cannot be compiled ends the start and the first call pays nothing.
 * @throws Error when a rule cannot be compiled
 */
export function createMessageValidator(schemas: readonly DescMessage[]): ValidateMessage {
  const validator = createValidator();
  for (const schema of schemas) {
    const result = validator.validate(schema, create(schema));
    if (result.kind === "error") throw result.error;
  }
  return (schema, message) => {
    const result = validator.validate(schema, message);
    if (result.kind === "valid") return;
    if (result.kind === "error")
      throw new GatewayError("INTERNAL", "internal error", { cause: result.error });
    const fieldViolations = result.violations.map((violation) => ({
      field: pathToString(violation.field),
      description: violation.message,
      reason: violation.ruleId,
    }));
    throw new GatewayError("INVALID_REQUEST", "the request breaks the contract", { fieldViolations });
  };
}
