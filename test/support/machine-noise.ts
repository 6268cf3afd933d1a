/**
 * What a machine that runs several tests at once on two cores may add to a measured time. Limits are stated as
 * `limit + MACHINE_NOISE_MS`, so that the limit itself can be read.
 */
export const MACHINE_NOISE_MS = 100;
