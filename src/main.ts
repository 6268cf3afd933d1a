import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { type App, startApp } from "./app.ts";
import { loadConfig } from "./config/load-config.ts";
import { runDemo } from "./demo.ts";
import { type DemoMode, startDemoMode } from "./demo-mode.ts";
import { reloadConfig } from "./reload-config.ts";

const USAGE = `usage: node src/main.ts [--demo]
  --demo   makes the demo's completion and exits; the configuration comes from the environment (see README.md)`;

const DEMO_BANNER = `
*** DEMO MODE: no provider is configured (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, …: see README.md).
*** The bundled simulator answers instead of real providers; nothing that it says is worth anything.
`;

/**
 * How V8 keeps memory while the gateway runs, whatever options Node was started with.
 *
 * The young generation that `npm start` asks for is this thread's, which has it by now. The journal's and the tokenizer's
 * would take as much, for no use: 80 to 130 MB of RSS under load.
 *
 * Pretenuring puts what a place in the code allocates into the old generation when enough of it once survived. Of a gateway
 * that is a call, and what it refers to is then kept, long over, until the next full collection.
 */
function tuneMemory(): void {
  for (const flag of ["min", "max"]) setFlagsFromString(`--${flag}-semi-space-size=0`);
  setFlagsFromString("--no-allocation-site-pretenuring");
}

async function main(): Promise<void> {
  tuneMemory();
  const { values } = parseArgs({ options: { demo: { type: "boolean" }, help: { type: "boolean" } } });
  if (values.help) return print(USAGE);
  const configured = loadConfig();
  const demoMode = configured.demo || values.demo ? await startDemoMode() : undefined;
  const config = demoMode?.apply(configured) ?? configured;
  const app = await startApp(config);
  app.failed.catch(fail);
  process.on("SIGHUP", () => {
    void reloadConfig(app, config, () => demoMode?.apply(loadConfig()) ?? loadConfig());
  });
  const stop = stopOnce(app, demoMode);
  // Before anybody is told that it runs, and so may end it.
  if (!values.demo) stopOnSignals(app, stop);
  print(`llm-gateway listening on ${app.url}`);
  if (demoMode) await demonstrate(app);
  if (values.demo) await stop();
}

async function demonstrate(app: App): Promise<void> {
  print(DEMO_BANNER);
  const apiKey = await app.createKey({ displayName: "demo", roles: ["invoke", "read_costs"] });
  await runDemo({ host: app.host, port: app.port, apiKey, print });
}

function stopOnce(app: App, demoMode: DemoMode | undefined): () => Promise<void> {
  return async () => {
    await app.shutdown();
    await demoMode?.simulator.close();
  };
}

/** The first signal drains; a second one hangs up and ends the process at once, however far the drain has come. */
function stopOnSignals(app: App, stop: () => Promise<void>): void {
  let signals = 0;
  const unlessHurried = (exit: () => void) => {
    if (signals === 1) exit();
  };
  const onSignal = (signal: NodeJS.Signals) => {
    signals += 1;
    if (signals === 1) {
      stop().then(
        () => unlessHurried(() => process.exit(0)),
        (error: unknown) => unlessHurried(() => fail(error)),
      );
    } else if (signals === 2) {
      void app.hangUp().finally(() => process.exit(signal === "SIGINT" ? 130 : 143));
    }
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function fail(error: unknown): void {
  process.stderr.write(`llm-gateway: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

main().catch(fail);
