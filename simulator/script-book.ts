import { createHash } from "node:crypto";
import { findScriptsInText } from "./embedded-script.ts";
import { parseScriptText, type Script } from "./script.ts";

/** A script that was set from outside the requests. */
export interface ScriptEntry {
  /** For all personalities when undefined. */
  readonly personality?: string | undefined;
  /** For all models when undefined. */
  readonly model?: string | undefined;
  readonly script: Script;
  /** For the next so many matching calls, then forgotten; for good when undefined. */
  readonly times?: number | undefined;
}

/** Where the parts of a call's script come from. */
export interface ScriptSources {
  readonly personality: string;
  readonly model: string;
  readonly modelSuffix: Script | undefined;
  readonly lastUserText: string;
  readonly header: string | undefined;
}

/** Messages with a `times` directive that are remembered; the oldest are forgotten first. */
const MAX_COUNTED_MESSAGES = 10_000;

/**
 * Decides how a call is answered. Later sources win field by field:
 * base script, entry, model suffix, last user message, `x-simulator-script` header.
 */
export class ScriptBook {
  readonly #base: Script;
  #queued: { readonly entry: ScriptEntry; left: number }[] = [];
  #lasting: ScriptEntry[] = [];
  readonly #usesByMessage = new Map<string, number>();

  constructor(base: Script = {}) {
    this.#base = base;
  }

  /** Adds an entry. Entries with `times` queue up and go first; of the lasting ones the latest that matches wins. */
  set(entry: ScriptEntry): void {
    if (entry.times !== undefined) this.#queued.push({ entry, left: entry.times });
    else this.#lasting.push(entry);
  }

  /** Forgets all entries and all counts. */
  clear(): void {
    this.#queued = [];
    this.#lasting = [];
    this.#usesByMessage.clear();
  }

  /**
   * The script of a call. Returns the base script itself when nothing else applies.
   * @throws ScriptError when a part of it cannot be understood.
   */
  take(sources: ScriptSources): Script {
    const entry = this.#takeEntry(sources);
    const embedded = findScriptsInText(sources.lastUserText);
    if (!entry && !sources.modelSuffix && embedded.length === 0 && sources.header === undefined)
      return this.#base;
    let script: Script = { ...this.#base, ...entry, ...sources.modelSuffix };
    embedded.forEach((found, position) => {
      if (found.personality !== undefined && found.personality !== sources.personality) return;
      if (found.script.times !== undefined && !this.#countUse(sources, position, found.script.times)) return;
      script = { ...script, ...found.script };
    });
    return sources.header === undefined ? script : { ...script, ...parseScriptText(sources.header) };
  }

  #takeEntry({ personality, model }: ScriptSources): Script | undefined {
    const matches = (entry: ScriptEntry): boolean =>
      (entry.personality === undefined || entry.personality === personality) &&
      (entry.model === undefined || entry.model === model);
    const queued = this.#queued.find(({ entry, left }) => left > 0 && matches(entry));
    if (queued) {
      queued.left -= 1;
      if (queued.left <= 0) this.#queued = this.#queued.filter((other) => other !== queued);
      return queued.entry.script;
    }
    return this.#lasting.findLast(matches)?.script;
  }

  /** Counts a call with a directive that applies only so many times; false when it is used up. */
  #countUse(sources: ScriptSources, position: number, times: number): boolean {
    const digest = createHash("sha256").update(sources.lastUserText).digest("base64");
    const key = `${sources.personality} ${position} ${digest}`;
    const uses = this.#usesByMessage.get(key) ?? 0;
    if (uses >= times) return false;
    this.#usesByMessage.set(key, uses + 1);
    if (this.#usesByMessage.size > MAX_COUNTED_MESSAGES) {
      const oldest = this.#usesByMessage.keys().next();
      if (!oldest.done) this.#usesByMessage.delete(oldest.value);
    }
    return true;
  }
}
