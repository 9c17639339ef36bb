/**
 * Handles the shopper's turn: claims it on a visible page, and alerts the shopper of a hidden one.
 */

import type { TurnMessage } from "../shared/api";
import type * as Calling from "./attention";
import type { LineConnection } from "./connection";
import type { Page } from "./page";

export class Turn {
  readonly #page: Page;
  readonly #line: LineConnection;
  /** Alerts the shopper at the turn; undefined until its script is loaded. */
  #attention: Calling.Attention | undefined;
  /** A turn that arrived while the page was hidden, and is not claimed yet. */
  #unseen: TurnMessage | undefined;
  #calledFor = "";

  constructor(page: Page, line: LineConnection) {
    this.#page = page;
    this.#line = line;
  }

  /** Without the script the page still shows the turn. */
  async loadAttention(script: string, saleId: string): Promise<void> {
    if (this.#attention) return;
    const { Attention } = (await import(script)) as typeof Calling;
    this.#attention ??= new Attention(saleId);
  }

  /** Browsers allow sound only after a user gesture: call this in one. */
  prepare(): void {
    this.#attention?.prepare();
  }

  /** A hidden page disconnects like a closed one, so that its turn expires and is recalled. */
  meet(turn: TurnMessage): void {
    const { served, serverNow } = this.#page;
    // The message is repeated after each reconnection.
    if (turn.token !== this.#calledFor) this.#attention?.call(served.name, Date.parse(turn.claim_by) - serverNow());
    this.#calledFor = turn.token;
    if (document.visibilityState === "visible") this.#line.claim();
    else {
      this.#unseen = turn;
      this.#line.rest();
    }
  }

  /** The page is visible: ends the alert, and claims a turn that was not seen yet. */
  see(): void {
    this.#attention?.stop();
    if (!this.#unseen) return;
    if (this.#page.serverNow() < Date.parse(this.#unseen.claim_by)) this.#line.claim();
    else this.#page.dispatch({ type: "resume" });
    this.#unseen = undefined;
  }
}
