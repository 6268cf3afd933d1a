import { CALL_KINDS, type CompletionOutcome, createGatewayClients } from "../completion-client.ts";
import { ADMIN_KEY } from "../gateway-process.ts";
import { promptOf } from "../prompt.ts";
import { createRandomCalls, type RandomCall } from "./random-calls.ts";

/** What callers asked for between two kills, and were told. */
export interface Told {
  readonly outcomes: CompletionOutcome[];
  /** By request id. */
  readonly calls: Map<string, RandomCall>;
}

export interface Callers {
  /** Keeps some callers busy until the gateway is dead. Request ids begin with the prefix, and a hyphen. */
  callUntil(dead: AbortSignal, calling: { readonly url: string; readonly prefix: string }): Promise<void>;
  /** Sends a call once more. */
  repeat(url: string, requestId: string): Promise<CompletionOutcome>;
  /** What was told in the calls of a prefix; without one, in all. */
  told(prefix?: string): Told;
}

const CALLERS = 10;
/** A client that began a call in the instant in which its server died may never be told: it gives up so long after. */
const GIVE_UP_MS = 5_000;

/** The tags of all calls of a prefix. */
export const tagsOf = (prefix: string) => ({ kill: prefix });

const prefixOf = (requestId: string) => requestId.slice(0, requestId.lastIndexOf("-"));

export function createCallers(options: {
  readonly random: () => number;
  readonly onAnswer: () => void;
}): Callers {
  const randomCall = createRandomCalls(options.random);
  const toldBy = new Map<string, Told>();
  const requestOf = (requestId: string, call: RandomCall) => ({
    ...{ ...call, requestId, text: promptOf(requestId, call) },
    ...{ tags: tagsOf(prefixOf(requestId)), secret: ADMIN_KEY },
  });
  return {
    async callUntil(dead, { url, prefix }) {
      const { outcomes, calls }: Told = { outcomes: [], calls: new Map() };
      toldBy.set(prefix, { outcomes, calls });
      const clients = createGatewayClients(url);
      const givenUp = new AbortController();
      let timer: NodeJS.Timeout | undefined;
      dead.addEventListener("abort", () => {
        timer = setTimeout(() => givenUp.abort(), GIVE_UP_MS);
      });
      const caller = async (index: number) => {
        const kind = CALL_KINDS[index % CALL_KINDS.length] ?? "unary";
        while (!dead.aborted) {
          const requestId = `${prefix}-${calls.size}`;
          const call = randomCall(kind);
          calls.set(requestId, call);
          const outcome = await clients.complete({ ...requestOf(requestId, call), signal: givenUp.signal });
          outcomes.push(outcome);
          if (outcome.reason === undefined) options.onAnswer();
          // Nobody answered: it is dying, and to ask on would only take the machine.
          else if (outcome.error?.details.length === 0) return;
        }
      };
      await Promise.all(Array.from({ length: CALLERS }, (_, index) => caller(index)));
      clearTimeout(timer);
    },
    async repeat(url, requestId) {
      const call = toldBy.get(prefixOf(requestId))?.calls.get(requestId);
      if (!call) throw new Error(`no call ${requestId}`);
      return await createGatewayClients(url).complete(requestOf(requestId, call));
    },
    told(prefix) {
      const all = prefix === undefined ? [...toldBy.values()] : [toldBy.get(prefix)].filter((one) => !!one);
      return {
        outcomes: all.flatMap(({ outcomes }) => outcomes),
        calls: new Map(all.flatMap(({ calls }) => [...calls])),
      };
    },
  };
}
