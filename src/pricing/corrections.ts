import { parseUsdPerMillionTokens } from "../core/money.ts";
import type { UnitPrices } from "../core/price.ts";
import { createPriceVersion, type ModelName, type PriceVersion, toUnitPrices } from "./price-version.ts";
import { createSchedule, type DailyWindow, type ScheduleOptions } from "./schedule.ts";

/**
 * What is known to be stale or missing in the price list. A correction replaces everything that the list says of a
 * model, its history included; without versions it says that the model has no price that can be trusted.
 */
export interface Correction extends ModelName {
  readonly versions: readonly PriceVersion[];
  /** Of a model that the list does not know. */
  readonly contextWindowTokens?: number;
}

const SOURCE = "correction";

/** From midnight of 17 August in Beijing, DeepSeek charges by the time of day. */
const PEAK_PRICES_START = new Date("2026-08-16T16:00:00Z");
/** From Sunday 23 August (Beijing) on, weekends are off-peak all day. */
const WEEKENDS_OFF_PEAK_START = new Date("2026-08-22T16:00:00Z");
/** DeepSeek's notice names the day of the cut; which hour of it applied is reported differently. */
const FLASH_CUT = new Date("2026-09-10T00:00:00Z");

const PEAK_WINDOWS: readonly DailyWindow[] = [
  { startMinute: 1 * 60, endMinute: 4 * 60 },
  { startMinute: 6 * 60, endMinute: 10 * 60 },
];

const PEAK_DAILY: ScheduleOptions = { windows: PEAK_WINDOWS };

/**
 * DeepSeek means weekdays in Beijing (UTC+8). Both windows lie within one day of either calendar, so at these hours
 * the weekday in UTC is the same one. Chinese statutory holidays are off-peak as well and are not known here: on
 * such a day the peak price is up to twice what is billed.
 */
const PEAK_ON_WEEKDAYS: ScheduleOptions = {
  windows: PEAK_WINDOWS,
  days: ["mon", "tue", "wed", "thu", "fri"],
};

/** USD per 1M tokens. DeepSeek charges nothing for writing to its cache beyond the price of a miss. */
interface DeepSeekPrices {
  readonly hit: string;
  readonly miss: string;
  readonly out: string;
}

interface DeepSeekPeriod {
  readonly validFrom: Date | undefined;
  readonly validTo: Date | undefined;
  readonly offPeak: DeepSeekPrices;
  readonly peak?: DeepSeekPrices;
  readonly peakHours?: ScheduleOptions;
}

const FLASH_AUGUST = {
  offPeak: { hit: "0.007", miss: "0.22", out: "0.66" },
  peak: { hit: "0.014", miss: "0.44", out: "1.32" },
} as const;

const FLASH: readonly DeepSeekPeriod[] = [
  {
    validFrom: undefined,
    validTo: PEAK_PRICES_START,
    offPeak: { hit: "0.0028", miss: "0.14", out: "0.28" },
  },
  { validFrom: PEAK_PRICES_START, validTo: WEEKENDS_OFF_PEAK_START, ...FLASH_AUGUST, peakHours: PEAK_DAILY },
  { validFrom: WEEKENDS_OFF_PEAK_START, validTo: FLASH_CUT, ...FLASH_AUGUST, peakHours: PEAK_ON_WEEKDAYS },
  {
    validFrom: FLASH_CUT,
    validTo: undefined,
    offPeak: { hit: "0.003", miss: "0.15", out: "0.60" },
    peak: { hit: "0.006", miss: "0.30", out: "1.20" },
    peakHours: PEAK_ON_WEEKDAYS,
  },
];

const V4_PRO_AUGUST = {
  offPeak: { hit: "0.022", miss: "0.66", out: "1.98" },
  peak: { hit: "0.044", miss: "1.32", out: "3.96" },
} as const;

const V4_PRO: readonly DeepSeekPeriod[] = [
  {
    validFrom: undefined,
    validTo: PEAK_PRICES_START,
    offPeak: { hit: "0.003625", miss: "0.435", out: "0.87" },
  },
  { validFrom: PEAK_PRICES_START, validTo: WEEKENDS_OFF_PEAK_START, ...V4_PRO_AUGUST, peakHours: PEAK_DAILY },
  { validFrom: WEEKENDS_OFF_PEAK_START, validTo: undefined, ...V4_PRO_AUGUST, peakHours: PEAK_ON_WEEKDAYS },
];

/** Of DeepSeek's current models, by its own pages. */
const CONTEXT_WINDOW_TOKENS = 1_000_000;

/**
 * Corrections to genai-prices 0.1.8, from DeepSeek's own price pages of October and November 2026. `deepseek-flash`
 * is missing there; `deepseek-v4-flash` is served and billed as Flash; the list knows neither the hour of the
 * August change nor weekends, and charges peak prices before there were any.
 *
 * `deepseek-chat` and `deepseek-reasoner` were retired on 2026-07-24. The list has the time-of-day prices of 2025
 * for them, which had ended long before; what they cost in between is not known, so they have no price at all.
 */
export function createCorrections(): readonly Correction[] {
  return [
    toCorrection("deepseek-flash", FLASH),
    toCorrection("deepseek-v4-flash", FLASH),
    toCorrection("deepseek-v4-pro", V4_PRO),
    { provider: "deepseek", model: "deepseek-chat", versions: [] },
    { provider: "deepseek", model: "deepseek-reasoner", versions: [] },
  ];
}

function toCorrection(model: string, periods: readonly DeepSeekPeriod[]): Correction {
  const provider = "deepseek";
  const versions = periods.flatMap(({ validFrom, validTo, offPeak, peak, peakHours }) => {
    const base = { provider, model, source: SOURCE, validFrom, validTo };
    const schedule = peakHours && createSchedule({ ...peakHours, outside: true });
    const flatOrOffPeak = createPriceVersion({ ...base, unitPrices: parsePrices(offPeak), schedule });
    if (!peak || !peakHours) return [flatOrOffPeak];
    const peakSchedule = createSchedule(peakHours);
    return [
      flatOrOffPeak,
      createPriceVersion({ ...base, unitPrices: parsePrices(peak), schedule: peakSchedule }),
    ];
  });
  return { provider, model, versions, contextWindowTokens: CONTEXT_WINDOW_TOKENS };
}

function parsePrices({ hit, miss, out }: DeepSeekPrices): UnitPrices {
  return toUnitPrices({
    inputPicoUsdPerToken: parseUsdPerMillionTokens(miss),
    cacheReadPicoUsdPerToken: parseUsdPerMillionTokens(hit),
    outputPicoUsdPerToken: parseUsdPerMillionTokens(out),
  });
}
