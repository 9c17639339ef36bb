/** An HTTP proxy in front of the demo: it can reject requests to a line, and change others. */

import { once } from "node:events";
import { createServer, request, type IncomingMessage, type OutgoingHttpHeaders, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import type { Duplex } from "node:stream";

const LINE = /\/line(\?|$)/;

/** What a test changes. */
export interface Changes {
  /** Responds to a request in place of the demo, or returns `false`. */
  answers?: (incoming: IncomingMessage, response: ServerResponse) => boolean;
  /** Headers in place of the demo's. */
  headers?: OutgoingHttpHeaders;
  /** Refuses WebSockets, like a network that blocks them. */
  refusesSockets?: boolean;
}

export class HttpProxy {
  /** While set, requests to a line are rejected with this `Retry-After`. */
  retryAfterS: number | undefined;
  readonly rejected: { atMs: number; upgrade: boolean }[] = [];
  /** WebSockets that were refused. */
  refusedSockets = 0;
  readonly #changes: Changes;
  readonly #target: URL;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(targetUrl: string, changes: Changes) {
    this.#changes = changes;
    this.#target = new URL(targetUrl);
    this.#server = createServer((incoming, response) => {
      if (this.#rejects(incoming)) {
        response.writeHead(503, { "content-type": "application/problem+json", "retry-after": String(this.retryAfterS) }).end("{}");
        return;
      }
      if (changes.answers?.(incoming, response)) return;
      const { method, url: path, headers } = incoming;
      const forwarded = request({ host: this.#target.hostname, port: this.#target.port, method, path, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, { ...answer.headers, ...changes.headers });
        answer.pipe(response);
      });
      forwarded.on("error", () => response.destroy());
      incoming.pipe(forwarded);
    });
    this.#server.on("upgrade", (incoming, socket, head) => { this.#upgrade(incoming, socket, head); });
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  static async start(targetUrl: string, changes: Changes = {}): Promise<HttpProxy> {
    const proxy = new HttpProxy(targetUrl, changes);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Closes all connections without a close frame or a response. */
  closeConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.closeConnections();
    await once(this.#server, "close");
  }

  #rejects(incoming: IncomingMessage, upgrade = false): boolean {
    if (this.retryAfterS === undefined || !LINE.test(incoming.url ?? "")) return false;
    this.rejected.push({ atMs: Date.now(), upgrade });
    return true;
  }

  #upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => undefined);
    if (this.#rejects(incoming, true)) {
      socket.end(`HTTP/1.1 503 Service Unavailable\r\nRetry-After: ${this.retryAfterS ?? 0}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      return;
    }
    if (this.#changes.refusesSockets) {
      this.refusedSockets += 1;
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      return;
    }
    const upstream = connect(Number(this.#target.port), this.#target.hostname, () => {
      const headers = incoming.rawHeaders.map((part, index) => (index % 2 === 0 ? `${part}: ` : `${part}\r\n`)).join("");
      upstream.write(`${incoming.method ?? ""} ${incoming.url ?? ""} HTTP/1.1\r\n${headers}\r\n`);
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on("error", () => socket.destroy());
    socket.on("close", () => upstream.destroy());
  }
}
