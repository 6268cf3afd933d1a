import { parseArgs } from "node:util";
import { startSimulator } from "./simulator.ts";

const USAGE = `usage: node simulator/main.ts [--port N] [--host ADDRESS] [--bill-file PATH] [--token-delay-ms N]
                              [--allow-remote-control]
  --port                  default 0: a free one
  --host                  default 127.0.0.1
  --bill-file             appends every line of the bill as JSON, fsynced before the answer ends
  --token-delay-ms        pause between tokens; default 0
  --allow-remote-control  lets other machines use /_control/`;

function parseNumber(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new TypeError(`${option} takes a whole number, not ${JSON.stringify(text)}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: "string" },
      host: { type: "string" },
      "bill-file": { type: "string" },
      "token-delay-ms": { type: "string" },
      "allow-remote-control": { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const tokenDelayMs = parseNumber(values["token-delay-ms"], "--token-delay-ms");
  const simulator = await startSimulator({
    host: values.host,
    port: parseNumber(values.port, "--port"),
    billFile: values["bill-file"],
    script: tokenDelayMs === undefined ? {} : { tokenDelayMs },
    allowRemoteControl: values["allow-remote-control"],
  });
  console.log(`simulator listening on ${simulator.url}`);
  const stop = (): void => {
    void simulator.close().then(() => process.exit(0));
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

main().catch((error: unknown) => {
  console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  process.exit(1);
});
