/**
 * Which connections of a server have a request to answer. Clients keep some open after an answer and some before a first
 * request; a server that closes would wait for either, and Node ends only the former.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

export interface Connections {
  /** Takes no further connection; ends when the answers that are on their way have been sent. */
  close(): Promise<void>;
}

export function watchConnections(server: Server): Connections {
  const idle = new Set<Socket>();
  let isClosing = false;
  const rest = (socket: Socket): void => {
    if (isClosing) socket.destroy();
    else if (!socket.destroyed) idle.add(socket);
  };
  server.on("connection", (socket: Socket) => {
    rest(socket);
    socket.once("close", () => idle.delete(socket));
  });
  server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    idle.delete(socket);
    response.once("close", () => rest(socket));
  });
  return {
    close: () => {
      isClosing = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of idle) socket.destroy();
      return closed;
    },
  };
}
