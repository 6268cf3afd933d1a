import { readFile } from "node:fs/promises";

/** The document that `npm run generate` makes from the protos. */
const OPENAPI_FILE = new URL("../../../gen/openapi.json", import.meta.url);

/** Reads the OpenAPI document, JSON. @throws Error when the file is missing: it is part of the sources */
export function readOpenApi(): Promise<Buffer> {
  return readFile(OPENAPI_FILE);
}
