import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const UUID_PATTERN = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

/**
 * Under which id the last process with this journal claimed calls before the eyes of others; from now on it is
 * `owner`. Undefined when there was none, or nobody knows: then nothing is told of its calls.
 * @throws when the file cannot be written
 */
export async function succeedOwner(directory: string, owner: string): Promise<string | undefined> {
  const file = join(directory, "owner");
  const last = await readFile(file, "utf8").catch(() => "");
  await writeFile(file, owner, { mode: 0o600 });
  return UUID_PATTERN.test(last) ? last : undefined;
}
