/** The three transports of the line: WebSocket, Server-Sent Events, polling. */

import type { LineSnapshot } from "../shared/api";
import { EventStream } from "./event-stream";
import { readFailure, type Answer } from "../shared/http";
import type { Transport } from "./retry";

/** How a link ended. */
export type End =
  | Exclude<Answer<never>, { kind: "ok" }>
  /** The socket was closed, with this code. */
  | { kind: "closed"; code: number }
  /** The response was complete; the next poll is due then. */
  | { kind: "asked"; nextInMs: number };

/** The ends after which it is tried again. */
export type ConnectionLoss = Extract<End, { kind: "failed" | "closed" }>;

export interface Listener {
  /** Text of one message. */
  received(json: string): void;
  /** Called once, as the last call. */
  ended(end: End): void;
}

export interface Link {
  /** Sends text, if this transport can. */
  send(json: string): boolean;
  /** Closes the link without calling the listener. */
  close(): void;
}

/** Starts to listen to the line at `path`, an address on this host. */
export function openLink(transport: Transport, path: string, listener: Listener): Link {
  switch (transport) {
    case "socket":
      return openSocket(path, listener);
    case "events":
      return openFetch(path, "text/event-stream", listener, readEvents);
    case "polling":
      return openFetch(path, "application/json", listener, readSnapshot);
  }
}

function openSocket(path: string, listener: Listener): Link {
  let socket: WebSocket;
  try {
    socket = new WebSocket(location.origin.replace(/^http/, "ws") + path);
  } catch {
    // A browser without WebSockets, or an extension that forbids them.
    queueMicrotask(() => { listener.ended({ kind: "failed", atLeastMs: undefined }); });
    return { send: () => false, close: () => undefined };
  }
  socket.onmessage = ({ data }) => { listener.received(String(data)); };
  socket.onclose = ({ code }) => { listener.ended({ kind: "closed", code }); };
  return {
    send(json) {
      if (socket.readyState !== WebSocket.OPEN) return false;
      socket.send(json);
      return true;
    },
    close() {
      socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
}

type Reader = (response: Response, received: Listener["received"]) => Promise<End>;

/** `fetch` instead of `EventSource`: it shows why it failed, and does not retry automatically. */
function openFetch(path: string, accept: string, listener: Listener, read: Reader): Link {
  const abort = new AbortController();
  const { signal } = abort;
  const end = (end: End): void => {
    if (!signal.aborted) listener.ended(end);
  };
  const listen = async (): Promise<End> => {
    // Browsers send no `Origin` with a GET: the server has to refuse a foreign page before it
    // joins.
    const response = await fetch(path, { headers: { accept, "fairline-origin": location.origin }, cache: "no-store", signal });
    if (!response.ok) return readFailure(response);
    // A captive portal returns its own page for every request.
    if (!response.headers.get("content-type")?.startsWith(accept)) return { kind: "failed", atLeastMs: undefined };
    return read(response, (json) => {
      if (!signal.aborted) listener.received(json);
    });
  };
  listen().then(end, () => { end({ kind: "failed", atLeastMs: undefined }); });
  return { send: () => false, close: () => { abort.abort(); } };
}

const readEvents: Reader = async (response, received) => {
  const pieces = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const events = new EventStream();
  for (let piece = await pieces?.read(); piece && !piece.done; piece = await pieces?.read()) {
    events.push(piece.value).forEach(received);
  }
  return { kind: "failed", atLeastMs: undefined };
};

const readSnapshot: Reader = async (response, received) => {
  const snapshot = (await response.json()) as LineSnapshot;
  snapshot.messages.forEach((message) => { received(JSON.stringify(message)); });
  return { kind: "asked", nextInMs: snapshot.poll_after_ms };
};
