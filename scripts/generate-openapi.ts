import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorSet, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createOpenApiDocument } from "./openapi/document.ts";

const ROOT = join(import.meta.dirname, "..");
const OUTPUT = join(ROOT, "gen", "openapi.json");

/** Compiles the protos with their comments: those in gen/es have none. */
function compileProtos(): FileDescriptorSet {
  const folder = mkdtempSync(join(tmpdir(), "openapi-"));
  try {
    const image = join(folder, "protos.binpb");
    execFileSync(
      join(ROOT, "node_modules", ".bin", "buf"),
      ["build", "--as-file-descriptor-set", "-o", image],
      {
        cwd: ROOT,
        stdio: ["ignore", "inherit", "inherit"],
      },
    );
    return fromBinary(FileDescriptorSetSchema, readFileSync(image));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The text of gen/openapi.json as the protos are now. */
export function renderOpenApi(): string {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
  const document = createOpenApiDocument(compileProtos(), { packageName: "llmgateway.v1", version });
  return `${JSON.stringify(document, null, 2)}\n`;
}

// `node scripts/generate-openapi.ts` writes the file; with `--check` it fails when the file is out of date.
if (import.meta.main) {
  const rendered = renderOpenApi();
  if (!process.argv.includes("--check")) {
    writeFileSync(OUTPUT, rendered);
  } else if (readFileSync(OUTPUT, "utf8") !== rendered) {
    process.stderr.write("gen/openapi.json is out of date: run npm run generate\n");
    process.exitCode = 1;
  }
}
