import { describeKills } from "./scenarios/kills.ts";

/** One file, so that scenarios which measure time run one after the other. */
describeKills();
