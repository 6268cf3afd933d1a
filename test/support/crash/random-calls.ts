import type { Script } from "../../../simulator/script.ts";
import type { CallKind } from "../completion-client.ts";
import type { JudgedCall } from "../evidence.ts";
import { FALLBACK_MODEL, HUGGINGFACE_MODEL, MODEL } from "../gateway-under-test.ts";

/** A call of the mix, without its id. */
export interface RandomCall extends JudgedCall {
  readonly kind: CallKind;
  readonly model: string;
  readonly fallbackModels: readonly string[];
}

/** Draws short calls of all kinds: slow and quick ones, streams and unary ones, refused ones, and fallbacks. */
export function createRandomCalls(random: () => number): (kind: CallKind) => RandomCall {
  const integer = (below: number) => Math.floor(random() * below);
  const answer = (): Script => ({
    tokensOut: 1 + integer(60),
    tokenDelayMs: random() < 0.2 ? 0 : 1 + integer(12),
    latencyMs: random() < 0.3 ? 0 : integer(20),
  });
  return (kind) => {
    const draw = random();
    const scripts = { openai: answer(), deepseek: answer(), huggingface: answer() };
    // Refused, and then answered by another provider: more records of one request, and more places to die at.
    if (draw < 0.1)
      return {
        ...{ kind, model: MODEL, fallbackModels: [FALLBACK_MODEL] },
        scripts: { ...scripts, openai: { status: 404 } },
      };
    if (draw < 0.13) return { kind, model: MODEL, fallbackModels: [], scripts: { openai: { status: 400 } } };
    if (draw < 0.25) return { kind, model: HUGGINGFACE_MODEL, fallbackModels: [], scripts };
    return { kind, model: MODEL, fallbackModels: [], scripts };
  };
}
