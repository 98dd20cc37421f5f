/**
 * zstd, several frames one after the other included. The library takes a frame's word for the size of its window, so the
 * frames are walked here first (RFC 8878, section 3.1): a few bytes must not ask for gigabytes.
 */
import { Decompress } from "fzstd";
import type { Compression } from "./compression.ts";

/** What the reference program allows unless told otherwise. */
const LARGEST_WINDOW = 2 ** 27;

/** Four bytes may stand for 128 KiB; so few at a time bound what one call can bring. */
const SLICE_BYTES = 1 << 10;

export const zstd: Compression = {
  name: "zstd",
  suffixes: [".zst", ".zstd"],
  async *decompress(chunks) {
    let out: Uint8Array[] = [];
    const decoder = new Decompress((bytes) => {
      // The library reuses its buffers.
      if (bytes.length > 0) out.push(bytes.slice());
    });
    const frames = new FrameWalk();
    for await (const chunk of chunks) {
      for (let start = 0; start < chunk.length; start += SLICE_BYTES) {
        const slice = chunk.subarray(start, start + SLICE_BYTES);
        frames.check(slice);
        decoder.push(slice.slice(), false);
        yield* out;
        out = [];
      }
    }
    if (!frames.isComplete) throw new Error("it ends within a frame; it was cut off");
    decoder.push(new Uint8Array(), true);
    yield* out;
  },
};

type Part = "magic" | "skippable" | "descriptor" | "header" | "block";

const SIZES: Readonly<Record<Exclude<Part, "header">, number>> = { magic: 4, skippable: 4, descriptor: 1, block: 3 };

/** Follows the frames of a stream and refuses what the decoder must not be given. */
class FrameWalk {
  #part: Part = "magic";
  /** Bytes of the part in hand, and how many it has. */
  #held: number[] = [];
  #wanted = SIZES.magic;
  /** Bytes of blocks and checksums that are of no interest here. */
  #skipped = 0;
  #descriptor = 0;

  get isComplete(): boolean {
    return this.#part === "magic" && this.#held.length === 0 && this.#skipped === 0;
  }

  check(bytes: Uint8Array): void {
    for (let index = 0; index < bytes.length; ) {
      if (this.#skipped > 0) {
        const count = Math.min(this.#skipped, bytes.length - index);
        this.#skipped -= count;
        index += count;
        continue;
      }
      this.#held.push(bytes[index]!);
      index += 1;
      if (this.#held.length === this.#wanted) this.#next(this.#held);
    }
  }

  #go(part: Part, size: number): void {
    this.#part = part;
    this.#held = [];
    this.#wanted = size;
  }

  #next(held: readonly number[]): void {
    switch (this.#part) {
      case "magic": {
        const magic = littleEndian(held);
        if (magic === 0xfd2fb528) this.#go("descriptor", SIZES.descriptor);
        else if (magic >= 0x184d2a50 && magic <= 0x184d2a5f) this.#go("skippable", SIZES.skippable);
        else throw new Error("its bytes are not zstd");
        break;
      }
      case "skippable":
        this.#skipped = littleEndian(held);
        this.#go("magic", SIZES.magic);
        break;
      case "descriptor": {
        this.#descriptor = held[0]!;
        const { window, dictionary, content } = headerSizes(this.#descriptor);
        this.#go("header", window + dictionary + content);
        break;
      }
      case "header": {
        const { window, dictionary } = headerSizes(this.#descriptor);
        const size = window === 1 ? windowSize(held[0]!) : littleEndian(held.slice(dictionary));
        if (size > LARGEST_WINDOW) {
          throw new Error(`its window of ${size} bytes is more than ${LARGEST_WINDOW}; compress it without --long`);
        }
        this.#go("block", SIZES.block);
        break;
      }
      case "block": {
        const header = littleEndian(held);
        const isLast = (header & 1) === 1;
        const isRepeated = ((header >> 1) & 3) === 1;
        const checksum = (this.#descriptor >> 2) & 1;
        this.#skipped = (isRepeated ? 1 : header >> 3) + (isLast ? 4 * checksum : 0);
        if (isLast) this.#go("magic", SIZES.magic);
        else this.#go("block", SIZES.block);
        break;
      }
    }
  }
}

/** Bytes of the fields of a frame's header. */
function headerSizes(descriptor: number): { window: number; dictionary: number; content: number } {
  const isSingle = (descriptor >> 5) & 1;
  const content = [isSingle, 2, 4, 8][descriptor >> 6]!;
  return { window: 1 - isSingle, dictionary: [0, 1, 2, 4][descriptor & 3]!, content };
}

function windowSize(byte: number): number {
  const base = 2 ** (10 + (byte >> 3));
  return base + (base / 8) * (byte & 7);
}

function littleEndian(bytes: readonly number[]): number {
  return bytes.reduce((sum, byte, index) => sum + byte * 2 ** (8 * index), 0);
}
