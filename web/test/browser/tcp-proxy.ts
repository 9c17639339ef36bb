/** A TCP proxy in front of the demo whose connections can fall silent without being closed. */

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export class TcpProxy {
  readonly #server: Server;
  readonly #connections = new Set<[Socket, Socket]>();
  #frozen = false;

  private constructor(targetUrl: string) {
    const target = new URL(targetUrl);
    this.#server = createServer((client) => {
      if (this.#frozen) {
        client.destroy();
        return;
      }
      const upstream = connect(Number(target.port), target.hostname);
      const pair: [Socket, Socket] = [client, upstream];
      this.#connections.add(pair);
      client.pipe(upstream).pipe(client);
      for (const socket of pair) {
        socket.on("error", () => undefined);
        socket.on("close", () => {
          this.#connections.delete(pair);
          pair.forEach((other) => other.destroy());
        });
      }
    });
  }

  static async start(targetUrl: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetUrl);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Open connections fall silent permanently, and new ones fail until `thaw`. */
  freeze(): void {
    this.#frozen = true;
    for (const pair of this.#connections) {
      for (const socket of pair) {
        socket.unpipe();
        socket.pause();
      }
    }
  }

  /** New connections work again. */
  thaw(): void {
    this.#frozen = false;
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const pair of this.#connections) pair.forEach((socket) => socket.destroy());
    await once(this.#server, "close");
  }
}
