import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { newId } from "../../../src/core/ids.ts";
import { succeedOwner } from "../../../src/ledger/journal-owner.ts";

function createDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "llm-gateway-owner-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

test("each process learns under which id the one before it made claims", async () => {
  const directory = createDirectory();
  const [first, second, third] = [newId(), newId(), newId()];
  expect(await succeedOwner(directory, first)).toBeUndefined();
  expect(await succeedOwner(directory, second)).toBe(first);
  expect(await succeedOwner(directory, third)).toBe(second);
});

test("what is no id, since its writing was cut off, is nobody's", async () => {
  const directory = createDirectory();
  for (const torn of ["", newId().slice(0, 20), "x"]) {
    writeFileSync(join(directory, "owner"), torn);
    expect(await succeedOwner(directory, newId())).toBeUndefined();
  }
});

test("an id that cannot be written is said, for then the next process knows of no predecessor", async () => {
  await expect(succeedOwner(join(createDirectory(), "missing"), newId())).rejects.toThrow("ENOENT");
});
