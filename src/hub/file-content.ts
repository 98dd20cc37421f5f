/** A file as a `Blob` that is read from the disk as it is sent, and tells how far it is. */
import { open } from "node:fs/promises";

const PIECE_BYTES = 1 << 20;

export class FileContent extends Blob {
  override readonly size: number;
  readonly #path: string;
  readonly #begin: number;
  readonly #end: number;
  readonly #passed: (bytes: number) => void;

  /** Bytes `begin` to `end` of a file; `passed` hears of every piece that is read. */
  constructor(path: string, begin: number, end: number, passed: (bytes: number) => void = () => {}) {
    super([]);
    this.size = end - begin;
    this.#path = path;
    this.#begin = begin;
    this.#end = end;
    this.#passed = passed;
  }

  override slice(start = 0, end: number = this.size): FileContent {
    const place = (offset: number): number =>
      Math.min(this.size, Math.max(0, offset < 0 ? this.size + offset : offset));
    const first = place(start);
    return new FileContent(this.#path, this.#begin + first, this.#begin + Math.max(first, place(end)), this.#passed);
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const pieces = this.#pieces();
    return new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull: async (controller) => {
          const { done, value } = await pieces.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        },
        cancel: async () => {
          await pieces.return(undefined);
        },
      },
      { highWaterMark: 0 },
    );
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    const whole = new Uint8Array(this.size);
    let done = 0;
    for await (const piece of this.#pieces()) {
      whole.set(piece, done);
      done += piece.byteLength;
    }
    return whole.buffer;
  }

  override async text(): Promise<string> {
    return new TextDecoder().decode(await this.arrayBuffer());
  }

  async *#pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined, undefined> {
    const handle = await open(this.#path, "r");
    try {
      for (let position = this.#begin; position < this.#end; ) {
        const piece = new Uint8Array(Math.min(PIECE_BYTES, this.#end - position));
        const { bytesRead } = await handle.read(piece, 0, piece.byteLength, position);
        if (bytesRead === 0) throw new Error(`${this.#path} became shorter while it was read`);
        position += bytesRead;
        yield piece.subarray(0, bytesRead);
        this.#passed(bytesRead);
      }
    } finally {
      await handle.close();
    }
    return undefined;
  }
}
