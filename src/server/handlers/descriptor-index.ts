import type { DescExtension, DescFile, DescMessage, DescService } from "@bufbuild/protobuf";
import { toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

type Bytes = Uint8Array<ArrayBuffer>;

/** What reflection can be asked for. Files come with all files that they import, encoded. */
export interface DescriptorIndex {
  readonly services: readonly string[];
  fileByName(name: string): readonly Bytes[] | undefined;
  fileBySymbol(symbol: string): readonly Bytes[] | undefined;
  fileByExtension(typeName: string, number: number): readonly Bytes[] | undefined;
  /** Undefined when there is no such message. */
  extensionNumbers(typeName: string): readonly number[] | undefined;
}

/** Indexes the files of the services and all that they import. */
export function createDescriptorIndex(services: readonly DescService[]): DescriptorIndex {
  const files = new Map<string, DescFile>();
  for (const service of services) addFile(files, service.file);
  const symbols = new Map<string, DescFile>();
  const messages = new Set<string>();
  const extensions = new Map<string, DescExtension[]>();
  for (const file of files.values()) {
    for (const entry of nestedTypes(file)) {
      symbols.set(entry.typeName, file);
      switch (entry.kind) {
        case "service":
          for (const method of entry.methods) symbols.set(`${entry.typeName}.${method.name}`, file);
          break;
        case "message":
          messages.add(entry.typeName);
          addFields(symbols, entry, file);
          break;
        case "extension":
          extensions.set(entry.extendee.typeName, [
            ...(extensions.get(entry.extendee.typeName) ?? []),
            entry,
          ]);
          break;
        case "enum":
          break;
        default:
          entry satisfies never;
      }
    }
  }
  const encode = encoder();
  return {
    services: services.map(({ typeName }) => typeName).sort(),
    fileByName: (name) => encode(files.get(name)),
    fileBySymbol: (symbol) => encode(symbols.get(symbol)),
    fileByExtension: (typeName, number) =>
      encode(extensions.get(typeName)?.find((extension) => extension.number === number)?.file),
    extensionNumbers: (typeName) =>
      messages.has(typeName)
        ? (extensions.get(typeName) ?? []).map(({ number }) => number).sort((a, b) => a - b)
        : undefined,
  };
}

function addFile(files: Map<string, DescFile>, file: DescFile): void {
  if (files.has(file.proto.name)) return;
  files.set(file.proto.name, file);
  for (const dependency of file.dependencies) addFile(files, dependency);
}

function addFields(symbols: Map<string, DescFile>, message: DescMessage, file: DescFile): void {
  for (const field of message.fields) symbols.set(`${message.typeName}.${field.name}`, file);
  for (const oneof of message.oneofs) symbols.set(`${message.typeName}.${oneof.name}`, file);
}

/** Encodes each file once, when it is first asked for. */
function encoder(): (file: DescFile | undefined) => readonly Bytes[] | undefined {
  const encoded = new Map<DescFile, Bytes>();
  return (file) => {
    if (!file) return undefined;
    const closure = new Map<string, DescFile>();
    addFile(closure, file);
    return [...closure.values()].map((member) => {
      const bytes = encoded.get(member) ?? toBinary(FileDescriptorProtoSchema, member.proto);
      encoded.set(member, bytes);
      return bytes;
    });
  };
}
