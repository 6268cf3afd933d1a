import { describeAborts } from "./scenarios/aborts.ts";
import { describeBrokenAnswers } from "./scenarios/broken-answers.ts";
import { describeDatabaseKills } from "./scenarios/database-kills.ts";
import { describeKills } from "./scenarios/kills.ts";
import { describeReplay } from "./scenarios/replay.ts";
import { describeVolume } from "./scenarios/volume.ts";

/** One file, so that scenarios which measure time run one after the other. */
describeKills();
describeDatabaseKills();
describeReplay();
describeAborts();
describeBrokenAnswers();
describeVolume();
