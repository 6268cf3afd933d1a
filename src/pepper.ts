import { hkdfSync, randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const PEPPER_BYTES = 32;

/**
 * The secret that keys are hashed with. Configured for deployments that share a database; else made once and kept in
 * the data directory, readable by its owner only.
 */
export async function loadPepper(configured: string | undefined, dataDir: string): Promise<Buffer> {
  if (configured !== undefined) return Buffer.from(configured, "utf8");
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const file = join(dataDir, "key-pepper");
  try {
    // Exclusive: of two processes that start at once, one makes it and the other reads it.
    await writeFile(file, randomBytes(PEPPER_BYTES).toString("base64url"), {
      mode: 0o600,
      flag: "wx",
      flush: true,
    });
  } catch (error) {
    if (!isAlreadyThere(error)) throw error;
  }
  return Buffer.from((await readFile(file, "utf8")).trim(), "utf8");
}

/** A secret for another purpose, from which the pepper cannot be told. */
export function deriveSecret(pepper: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync("sha256", pepper, "llm-gateway", purpose, PEPPER_BYTES));
}

function isAlreadyThere(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EEXIST";
}
