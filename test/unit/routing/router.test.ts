import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import { type Candidate, candidateName } from "../../../src/core/model-name.ts";
import { orderedRoute } from "../../../src/core/route.ts";
import { createRouter, type RouterOptions } from "../../../src/routing/router.ts";
import { principal } from "../../support/principals.ts";

const OPENAI: Candidate = { provider: "openai", model: "gpt-5-mini" };
const DEEPSEEK: Candidate = { provider: "deepseek", model: "deepseek-flash" };
const LLAMA: Candidate = { provider: "huggingface", model: "meta-llama/Llama-3.3-70B-Instruct" };

const options: RouterOptions = {
  providers: new Set(["openai", "deepseek", "huggingface"]),
  aliases: new Map([
    ["fast", orderedRoute([DEEPSEEK, OPENAI])],
    ["gpt-5-nano", orderedRoute([LLAMA])],
  ]),
  defaultChain: [OPENAI, DEEPSEEK, LLAMA],
};
const router = createRouter(options);

const route = (
  model: string,
  fallbackModels: readonly string[] = [],
  allowedModels: readonly string[] = [],
) =>
  router
    .route({ model, fallbackModels, principal: principal({ allowedModels }) }, "Complete")
    .map(candidateName);

const reasonOf = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error instanceof GatewayError ? error.reason : error;
  }
};

describe("the chain of a request", () => {
  it("of an alias is the alias's own, and nothing else", () => {
    expect(route("fast")).toEqual(["deepseek/deepseek-flash", "openai/gpt-5-mini"]);
  });

  it("of a model that is also an alias is the alias's", () => {
    expect(route("gpt-5-nano")).toEqual(["huggingface/meta-llama/Llama-3.3-70B-Instruct"]);
    expect(route("openai/gpt-5-nano")[0]).toBe("openai/gpt-5-nano");
  });

  it("of a bare model goes on with the default chain, without asking anybody twice", () => {
    expect(route("deepseek-flash")).toEqual([
      "deepseek/deepseek-flash",
      "openai/gpt-5-mini",
      "huggingface/meta-llama/Llama-3.3-70B-Instruct",
    ]);
  });

  it("that was remembered is given to nobody whose key or fallbacks ask for another one, and to no embedding", () => {
    const whole = ["deepseek/deepseek-flash", "openai/gpt-5-mini"];
    const fresh = createRouter({ ...options, defaultChain: [OPENAI] });
    const ask = (allowedModels: string[], fallbackModels: string[], method: "Complete" | "Embed") =>
      fresh
        .route({ model: "deepseek-flash", fallbackModels, principal: principal({ allowedModels }) }, method)
        .map(candidateName);
    for (let time = 0; time < 2; time++) {
      expect(ask([], [], "Complete")).toEqual(whole);
      expect(ask([], [], "Embed")).toEqual(["deepseek/deepseek-flash"]);
      expect(ask(["deepseek-flash"], [], "Complete")).toEqual(["deepseek/deepseek-flash"]);
      expect(reasonOf(() => ask(["openai/gpt-5-mini"], [], "Complete"))).toBe("MODEL_NOT_ALLOWED");
      expect(ask([], ["fast"], "Embed")).toEqual(whole);
    }
  });

  it("goes on with the caller's fallbacks instead of the default chain", () => {
    expect(route("openai/gpt-5", ["fast", "openai/gpt-5"])).toEqual([
      "openai/gpt-5",
      "deepseek/deepseek-flash",
      "openai/gpt-5-mini",
    ]);
  });

  it("appends the caller's fallbacks to an alias", () => {
    expect(route("gpt-5-nano", ["gpt-5-mini"])).toEqual([
      "huggingface/meta-llama/Llama-3.3-70B-Instruct",
      "openai/gpt-5-mini",
    ]);
  });

  it("of embeddings is never the default chain, only an alias or what the caller named", () => {
    const embedding = (model: string, fallbackModels: readonly string[] = []) =>
      router.route({ model, fallbackModels, principal: principal() }, "Embed").map(candidateName);
    expect(embedding("openai/text-embedding-3-small")).toEqual(["openai/text-embedding-3-small"]);
    expect(embedding("fast")).toEqual(["deepseek/deepseek-flash", "openai/gpt-5-mini"]);
    expect(embedding("openai/a", ["deepseek/b"])).toEqual(["openai/a", "deepseek/b"]);
  });

  it("does not exist for a name without a provider, requested or as a fallback", () => {
    expect(reasonOf(() => route("claude-opus"))).toBe("MODEL_NOT_FOUND");
    expect(reasonOf(() => route("fast", ["claude-opus"]))).toBe("MODEL_NOT_FOUND");
  });
});

describe("what is disabled", () => {
  const withDisabled = (...disabled: readonly string[]) => {
    const limited = createRouter({ ...options, disabled: new Set(disabled) });
    return (model: string, fallbackModels: readonly string[] = []) =>
      limited.route({ model, fallbackModels, principal: principal() }, "Complete").map(candidateName);
  };

  it("is left out of every chain, by provider or by model", () => {
    expect(withDisabled("deepseek")("fast")).toEqual(["openai/gpt-5-mini"]);
    expect(withDisabled("openai/gpt-5-mini")("deepseek-flash")).toEqual([
      "deepseek/deepseek-flash",
      "huggingface/meta-llama/Llama-3.3-70B-Instruct",
    ]);
  });

  it("cannot be asked for, not even as a fallback", () => {
    expect(reasonOf(() => withDisabled("deepseek")("deepseek-flash"))).toBe("MODEL_NOT_FOUND");
    expect(reasonOf(() => withDisabled("deepseek", "openai")("fast"))).toBe("MODEL_NOT_FOUND");
    expect(reasonOf(() => withDisabled("deepseek")("openai/gpt-5", ["deepseek-flash"]))).toBe(
      "MODEL_NOT_FOUND",
    );
  });

  it("is not among the names", () => {
    const limited = createRouter({ ...options, disabled: new Set(["huggingface"]) });
    expect(limited.names(principal()).map(({ name }) => name)).toEqual([
      "deepseek/deepseek-flash",
      "fast",
      "openai/gpt-5-mini",
    ]);
  });
});

describe("an allow-list", () => {
  it("that is empty allows everything", () => {
    expect(route("fast", [], [])).toHaveLength(2);
  });

  it("with an alias allows what stands behind it, under the alias only", () => {
    expect(route("fast", [], ["fast"])).toHaveLength(2);
    expect(reasonOf(() => route("openai/gpt-5-mini", [], ["fast"]))).toBe("MODEL_NOT_ALLOWED");
  });

  it("with a candidate allows it under every name", () => {
    expect(route("gpt-5-mini", [], ["openai/gpt-5-mini"])).toEqual(["openai/gpt-5-mini"]);
    expect(route("fast", [], ["openai/gpt-5-mini"])).toEqual(["openai/gpt-5-mini"]);
  });

  it("with a name as callers write it allows that name", () => {
    expect(route("gpt-5-mini", [], ["gpt-5-mini"])).toEqual(["openai/gpt-5-mini"]);
  });

  it("applies to the requested model, to named fallbacks and to the default chain", () => {
    expect(reasonOf(() => route("openai/gpt-5", ["fast"], ["fast"]))).toBe("MODEL_NOT_ALLOWED");
    expect(reasonOf(() => route("openai/gpt-5-mini", ["deepseek-flash"], ["openai/gpt-5-mini"]))).toBe(
      "MODEL_NOT_ALLOWED",
    );
    expect(route("openai/gpt-5-mini", [], ["gpt-5-mini"])).toEqual(["openai/gpt-5-mini"]);
    expect(route("openai/gpt-5-mini", [], ["openai/gpt-5-mini", "deepseek/deepseek-flash"])).toEqual([
      "openai/gpt-5-mini",
      "deepseek/deepseek-flash",
    ]);
  });

  it("is no way to find out which models exist: unknown stays unknown", () => {
    expect(reasonOf(() => route("claude-opus", [], ["fast"]))).toBe("MODEL_NOT_FOUND");
  });
});

describe("the laws of routing", () => {
  const names = ["fast", "gpt-5-nano", "gpt-5-mini", "openai/gpt-5-mini", "openai/gpt-5", "deepseek-flash"];
  const name = fc.constantFrom(...names, "meta-llama/Llama-3.3-70B-Instruct");

  it("hold: at least one candidate, none twice, each allowed by name, alias or candidate", () => {
    fc.assert(
      fc.property(
        name,
        fc.array(name, { maxLength: 4 }),
        fc.array(name, { maxLength: 4 }),
        (model, fallbackModels, allowedModels) => {
          const chain = reasonOf(() => route(model, fallbackModels, allowedModels));
          if (chain === "MODEL_NOT_ALLOWED") {
            expect(allowedModels.length).toBeGreaterThan(0);
            return;
          }
          const candidates = chain as readonly string[];
          expect(candidates.length).toBeGreaterThan(0);
          expect(new Set(candidates).size).toBe(candidates.length);
          if (allowedModels.length === 0) return;
          const behindAllowedNames = allowedModels.flatMap((asked) => route(asked, [asked], []));
          for (const candidate of candidates) expect(behindAllowedNames).toContain(candidate);
        },
      ),
    );
  });
});

describe("the names that a key may ask for", () => {
  const namesFor = (allowedModels: readonly string[]) =>
    router.names(principal({ allowedModels })).map(({ name }) => name);

  it("are the aliases and all configured candidates, sorted", () => {
    expect(namesFor([])).toEqual([
      "deepseek/deepseek-flash",
      "fast",
      "gpt-5-nano",
      "huggingface/meta-llama/Llama-3.3-70B-Instruct",
      "openai/gpt-5-mini",
    ]);
  });

  it("can each be routed by the key that sees them", () => {
    const allowedModels = ["openai/gpt-5-mini"];
    expect(namesFor(allowedModels)).toEqual(["fast", "openai/gpt-5-mini"]);
    for (const name of namesFor(allowedModels)) expect(route(name, [], allowedModels)).toEqual(allowedModels);
  });
});
