/** Replies as server-sent events (HTML standard, section 9.2): a line of JSON an event, and `[DONE]` at the end. */
import { apiErrorOf, errorBody } from "./api-error.ts";

export interface StreamListener {
  /** Aborted where the connection ends. */
  readonly client: AbortSignal;
  readonly leave: () => void;
  readonly report: (error: unknown) => void;
}

/**
 * `work` sends events for as long as the client listens; `leave` is called where it has gone. What it throws becomes
 * an event of its own, for the status has been sent; `report` hears of it where it is the server's own fault.
 */
export function eventStream(
  work: (send: (data: unknown) => void) => Promise<void>,
  { client, leave, report }: StreamListener,
): Response {
  const encoder = new TextEncoder();
  let isOpen = true;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      const write = (line: string): void => {
        if (isOpen) controller.enqueue(encoder.encode(`data: ${line}\n\n`));
      };
      void work((data) => write(JSON.stringify(data)))
        .catch((error: unknown) => {
          // Whoever has gone has ended it.
          if (!isOpen || client.aborted) return;
          const refusal = apiErrorOf(error);
          if (refusal.status === 500) report(error);
          write(JSON.stringify(errorBody(refusal)));
        })
        .then(() => {
          write("[DONE]");
          if (isOpen) controller.close();
          isOpen = false;
        });
    },
    cancel: () => {
      isOpen = false;
      leave();
    },
  });
  const headers = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };
  return new Response(body, { headers });
}
