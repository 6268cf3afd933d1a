import { readFileSync } from "node:fs";

/** Reads environment variables one by one and collects what is wrong with them, so that all of it is told at once. */
export class EnvironmentReader {
  readonly issues: string[] = [];
  readonly #variables: Readonly<Record<string, string | undefined>>;

  constructor(variables: Readonly<Record<string, string | undefined>>) {
    this.#variables = variables;
  }

  /** Empty counts as not set. */
  text(name: string): string | undefined {
    const value = this.#variables[name]?.trim();
    return value === "" ? undefined : value;
  }

  /** `NAME`, or the content of the file that `NAME_FILE` names; both is a mistake. */
  secret(name: string, minLength = 1): string | undefined {
    const direct = this.text(name);
    const file = this.text(`${name}_FILE`);
    if (direct !== undefined && file !== undefined) {
      this.issues.push(`${name} and ${name}_FILE are both set`);
      return undefined;
    }
    const value = file === undefined ? direct : this.#readSecret(`${name}_FILE`, file);
    if (value !== undefined && value.length < minLength) {
      this.issues.push(`${name} must have at least ${minLength} characters`);
      return undefined;
    }
    return value;
  }

  #readSecret(name: string, file: string): string | undefined {
    try {
      const value = readFileSync(file, "utf8").trim();
      if (value === "") this.issues.push(`${name}: the file is empty`);
      return value === "" ? undefined : value;
    } catch (error) {
      this.issues.push(
        `${name}: cannot read the file (${error instanceof Error ? error.message : String(error)})`,
      );
      return undefined;
    }
  }

  integer(
    name: string,
    range: { readonly fallback: number; readonly min: number; readonly max: number },
  ): number {
    return this.optionalInteger(name, range) ?? range.fallback;
  }

  /** Undefined when it is not set. */
  optionalInteger(name: string, range: { readonly min: number; readonly max: number }): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= range.min && value <= range.max) return value;
    this.issues.push(`${name} must be a whole number from ${range.min} to ${range.max}`);
    return undefined;
  }

  /** Seconds, with a fraction if need be, as milliseconds. */
  secondsAsMs(
    name: string,
    range: { readonly fallback: number; readonly min: number; readonly max: number },
  ): number {
    const text = this.text(name);
    if (text === undefined) return range.fallback * 1_000;
    const value = /^\d{1,9}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= range.min && value <= range.max) return Math.round(value * 1_000);
    this.issues.push(`${name} must be a number of seconds from ${range.min} to ${range.max}`);
    return range.fallback * 1_000;
  }

  ratio(name: string, fallback: number): number {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const value = /^[01](\.\d{1,9})?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= 0 && value <= 1) return value;
    this.issues.push(`${name} must be a number from 0 to 1`);
    return fallback;
  }

  oneOf<T extends string>(name: string, values: readonly T[], fallback: T): T {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const value = values.find((candidate) => candidate === text);
    if (value !== undefined) return value;
    this.issues.push(`${name} must be one of ${values.join(", ")}`);
    return fallback;
  }

  url(name: string, protocols: readonly string[]): string | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const url = URL.parse(text);
    if (url && protocols.includes(url.protocol)) return text;
    this.issues.push(`${name} must be a URL that starts with ${protocols.map((p) => `${p}//`).join(" or ")}`);
    return undefined;
  }

  list(name: string): readonly string[] {
    return (this.text(name) ?? "")
      .split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "");
  }
}
