/** A relay in front of the shop whose open connections can die without a word, as those that a router has forgotten do. */

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export class Relay {
  readonly #server: Server;
  readonly #open = new Set<[Socket, Socket]>();
  #frozen = false;

  private constructor(shopUrl: string) {
    const shop = new URL(shopUrl);
    this.#server = createServer((near) => {
      if (this.#frozen) {
        near.destroy();
        return;
      }
      const far = connect(Number(shop.port), shop.hostname);
      const pair: [Socket, Socket] = [near, far];
      this.#open.add(pair);
      near.pipe(far).pipe(near);
      for (const end of pair) {
        end.on("error", () => undefined);
        end.on("close", () => {
          this.#open.delete(pair);
          pair.forEach((other) => other.destroy());
        });
      }
    });
  }

  static async open(shopUrl: string): Promise<Relay> {
    const relay = new Relay(shopUrl);
    relay.#server.listen(0, "127.0.0.1");
    await once(relay.#server, "listening");
    return relay;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The network dies: open connections fall silent for good, and new ones fail until `thaw`. */
  freeze(): void {
    this.#frozen = true;
    for (const ends of this.#open) {
      for (const end of ends) {
        end.unpipe();
        end.pause();
      }
    }
  }

  /** New connections work again. */
  thaw(): void {
    this.#frozen = false;
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const ends of this.#open) ends.forEach((end) => end.destroy());
    await once(this.#server, "close");
  }
}
