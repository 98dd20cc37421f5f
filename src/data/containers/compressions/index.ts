/** The compressions that files may have. A new one is one file and one line here. */
import type { Compression } from "./compression.ts";
import { gzip } from "./gzip.ts";
import { zstd } from "./zstd.ts";

export type { Compression } from "./compression.ts";

export const COMPRESSIONS: readonly Compression[] = [gzip, zstd];
