/** A door in front of the shop, which lets everybody in or is too busy for anybody who comes to a line. */

import { once } from "node:events";
import { createServer, request, type IncomingMessage, type Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import type { Duplex } from "node:stream";

const LINE = /\/line(\?|$)/;

export class Door {
  /** The seconds that whoever comes to a line is asked to stay away. */
  busyForS: number | undefined;
  /** When whom to a line was turned away. */
  readonly turnedAway: { atMs: number; upgrade: boolean }[] = [];
  readonly #shop: URL;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(shopUrl: string) {
    this.#shop = new URL(shopUrl);
    this.#server = createServer((asked, answer) => {
      if (this.#isTooBusyFor(asked)) {
        answer.writeHead(503, { "content-type": "application/problem+json", "retry-after": String(this.busyForS) }).end("{}");
        return;
      }
      const passedOn = request({ host: this.#shop.hostname, port: this.#shop.port, method: asked.method, path: asked.url, headers: asked.headers }, (answered) => {
        answer.writeHead(answered.statusCode ?? 502, answered.headers);
        answered.pipe(answer);
      });
      passedOn.on("error", () => answer.destroy());
      asked.pipe(passedOn);
    });
    this.#server.on("upgrade", (asked, socket, head) => { this.#upgrade(asked, socket, head); });
    this.#server.on("connection", (socket) => {
      this.#open.add(socket);
      socket.on("close", () => this.#open.delete(socket));
    });
  }

  static async open(shopUrl: string): Promise<Door> {
    const door = new Door(shopUrl);
    door.#server.listen(0, "127.0.0.1");
    await once(door.#server, "listening");
    return door;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cuts every connection, without a word. */
  slam(): void {
    for (const socket of this.#open) socket.destroy();
  }

  async close(): Promise<void> {
    this.#server.close();
    this.slam();
    await once(this.#server, "close");
  }

  #isTooBusyFor(asked: IncomingMessage, upgrade = false): boolean {
    if (this.busyForS === undefined || !LINE.test(asked.url ?? "")) return false;
    this.turnedAway.push({ atMs: Date.now(), upgrade });
    return true;
  }

  #upgrade(asked: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => undefined);
    if (this.#isTooBusyFor(asked, true)) {
      socket.end(`HTTP/1.1 503 Service Unavailable\r\nRetry-After: ${this.busyForS ?? 0}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      return;
    }
    const shop = connect(Number(this.#shop.port), this.#shop.hostname, () => {
      const headers = asked.rawHeaders.map((part, index) => (index % 2 === 0 ? `${part}: ` : `${part}\r\n`)).join("");
      shop.write(`${asked.method ?? ""} ${asked.url ?? ""} HTTP/1.1\r\n${headers}\r\n`);
      shop.write(head);
      shop.pipe(socket).pipe(shop);
    });
    shop.on("error", () => socket.destroy());
    socket.on("close", () => shop.destroy());
  }
}
