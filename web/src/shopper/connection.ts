/** Keeps the page in touch with the line, over whatever the network allows and for as long as there is something to hear. */

import type { LineMessage, PageMessage, Problem } from "../api";
import { ask } from "../http";
import { parseLineMessage } from "./messages";
import { Ladder, retryDelayMs, TRANSPORTS, type Wait } from "./retry";
import { openLink, type End, type Link } from "./transports";

export interface LineListener {
  heard(message: LineMessage): void;
  /** The line cannot be heard just now; the connection goes on trying. `busy`: it was asked to come again later. */
  lost(busy: boolean): void;
  /** The line will not have this page. It tries no more. */
  refused(problem: Problem): void;
}

/** How the page comes to the line: with the ticket it has, with that or a new one, or with a new one in any case. */
export type Entry = "resume" | "join" | "rejoin";

const QUERY: Record<Entry, string> = { resume: "?join=false", join: "", rejoin: "?rejoin=true" };

/** The first message comes at once; a link that is silent for so long is blocked on the way. */
const FIRST_WORD_MS = 8_000;
/** After so long a silence a page that was asleep no longer trusts its link. */
const TRUST_MS = 20_000;

/** Close codes of RFC 6455 and its registry. */
const SERVICE_RESTART = 1012;
const TRY_AGAIN_LATER = 1013;

export class LineConnection {
  readonly #path: string;
  readonly #listener: LineListener;
  readonly #ladder = new Ladder();
  #entry: Entry = "resume";
  #wanted = false;
  #failures = 0;
  #heardAt = 0;
  #everHeard = false;
  #link: Link | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(saleId: string, listener: LineListener) {
    this.#path = `/api/flash-sales/${saleId}/line`;
    this.#listener = listener;
  }

  open(entry: Entry): void {
    this.#entry = entry;
    this.#wanted = true;
    this.#failures = 0;
    this.#everHeard = false;
    this.#connect();
  }

  /** Says that the turn has arrived; by plain HTTP where there is no open socket. */
  claim(): void {
    const message: PageMessage = { type: "claim" };
    if (!this.#link?.send(JSON.stringify(message))) void ask(`${this.#path}/claim`, { method: "POST" });
  }

  /** Gives the place up. By HTTP in any case, since the answer takes the ticket back. */
  leave(): void {
    this.close();
    void ask(this.#path, { method: "DELETE", keepalive: true });
  }

  close(): void {
    this.#wanted = false;
    this.#drop();
  }

  /** The page is looked at again, or the network is back: whatever was waited for, or has fallen silent, is tried afresh. */
  wake(): void {
    if (!this.#wanted || (this.#link && Date.now() - this.#heardAt < TRUST_MS)) return;
    this.#failures = 0;
    this.#ladder.startOver();
    this.#connect();
  }

  /** The browser says that the network has gone. It may be wrong, so the next try comes all the same. */
  networkGone(): void {
    if (this.#wanted && this.#link) this.#retry({ kind: "failed", atLeastMs: undefined });
  }

  #connect(): void {
    this.#drop();
    this.#heardAt = Date.now();
    this.#link = openLink(this.#ladder.transport, this.#path + QUERY[this.#entry], {
      heard: (json) => { this.#hear(json); },
      ended: (end) => { this.#end(end); },
    });
    this.#timer = setTimeout(() => { this.#retry({ kind: "failed", atLeastMs: undefined }); }, FIRST_WORD_MS);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#link?.close();
    this.#link = undefined;
  }

  #hear(json: string): void {
    clearTimeout(this.#timer);
    this.#heardAt = Date.now();
    this.#everHeard = true;
    this.#failures = 0;
    this.#ladder.worked();
    // The ticket has arrived with the answer: from here on the page only ever comes back with it.
    this.#entry = "resume";
    const message = parseLineMessage(json);
    if (!message) return;
    if (message.type === "over") this.close();
    this.#listener.heard(message);
  }

  #end(end: End): void {
    if (end.kind === "refused") {
      this.close();
      this.#listener.refused(end.problem);
    } else if (end.kind === "asked") {
      this.#drop();
      if (this.#wanted) this.#timer = setTimeout(() => { this.#connect(); }, end.nextInMs);
    } else {
      this.#retry(end);
    }
  }

  #retry(end: Extract<End, { kind: "failed" | "closed" }>): void {
    this.#drop();
    const wait = waitAfter(end, this.#failures);
    this.#failures += 1;
    const busy = wait.atLeastMs !== undefined;
    // A server that answers is not hidden behind a network: the best way to it may work next time.
    if (busy) this.#ladder.startOver();
    else this.#ladder.failed();
    this.#timer = setTimeout(() => { this.#connect(); }, retryDelayMs(wait, Math.random()));
    // While the page is still finding a way that works, nothing is lost.
    if (busy || this.#everHeard || this.#failures > TRANSPORTS.length) this.#listener.lost(busy);
  }
}

function waitAfter(end: Extract<End, { kind: "failed" | "closed" }>, failures: number): Wait {
  if (end.kind === "failed") return end.atLeastMs === undefined ? { failures } : { failures, atLeastMs: end.atLeastMs };
  if (end.code === SERVICE_RESTART) return { failures, spreadMs: 5_000 };
  if (end.code === TRY_AGAIN_LATER) return { failures, atLeastMs: 2_000, spreadMs: 15_000 };
  return { failures };
}
