/** Keeps the page connected to the line, over the best transport that the network allows. */

import type { LineMessage, PageMessage, Problem } from "../shared/api";
import { request } from "../shared/http";
import { TRACEPARENT } from "../shared/telemetry";
import { parseLineMessage } from "./messages";
import { CROWD_SPREAD_MS, isUnexplained, TransportFallback, retryDelayMs, waitAfter, type Transport, type Wait } from "./retry";
import { pause } from "./checkout";
import { openLink, type End, type Link, type Listener, type ConnectionLoss } from "./transports";

export interface LineListener {
  received(message: LineMessage): void;
  /** The connection is lost and retried. `busy`: the server asked to retry later. */
  lost(busy: boolean): void;
  /** The line refused this page. There is no retry. */
  refused(problem: Problem): void;
}

/** How the page enters: with its ticket, with that or a new one, or with a new one in any case. */
export type Entry = "resume" | "join" | "rejoin";

const QUERY: Record<Entry, Record<string, string>> = { resume: { join: "false" }, join: {}, rejoin: { rejoin: "true" } };

/** The first message arrives immediately: a link that stays silent for longer is blocked. */
const FIRST_MESSAGE_MS = 8_000;
/** The same for a poll after a successful one: its connection may have died since. */
const POLL_RESPONSE_MS = 4_000;
/**
 * After this silence a page that was hidden reconnects. The line may be silent for about as long,
 * and it has closed the link by then if the machine was asleep and sent no pongs.
 */
const TRUST_MS = 60_000;
/** How late a heartbeat may be. */
const LATE_MS = 8_000;
/** A timer this late means that the page was asleep: what arrived meanwhile is still queued. */
const ASLEEP_MS = 2_000;
const CLAIM_TRIES = 5;
const CLAIM_AGAIN_MS = 1_000;
/** Spread of the inquiries of a crowd that was refused at the same moment. */
const INQUIRY_SPREAD_MS = 2_000;

/** What tests replace. */
export interface Environment {
  openLink: typeof openLink;
  /** From [0, 1). */
  random: () => number;
}

export class LineConnection {
  readonly #path: string;
  readonly #credentials: Record<string, string>;
  readonly #listener: LineListener;
  readonly #environment: Environment;
  readonly #ladder = new TransportFallback();
  #entry: Entry = "resume";
  #wanted = false;
  #failures = 0;
  #receivedAt = 0;
  #notBefore = 0;
  /** Silence after which a link is dead; undefined until the server has announced its heartbeat. */
  #silenceMs: number | undefined;
  /** Within which time the pages of this node reconnect if it dies. */
  #crowdSpreadMs = CROWD_SPREAD_MS;
  #link: Link | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `credentials`: query parameters that admit the shopper, such as an invitation. */
  constructor(saleId: string, credentials: Record<string, string>, listener: LineListener, environment: Environment = { openLink, random: Math.random }) {
    this.#path = `/api/flash-sales/${saleId}/line`;
    this.#credentials = credentials;
    this.#listener = listener;
    this.#environment = environment;
  }

  open(entry: Entry): void {
    this.#entry = entry;
    this.#wanted = true;
    this.#failures = 0;
    this.#connect();
  }

  /** Confirms that the turn has arrived; by plain HTTP where there is no open socket. */
  claim(): void {
    const message: PageMessage = { type: "claim" };
    if (!this.#link?.send(JSON.stringify(message))) void this.#claimByHttp();
  }

  async #claimByHttp(): Promise<void> {
    for (let tries = 0; tries < CLAIM_TRIES && this.#wanted; tries += 1) {
      const answer = await request(`${this.#path}/claim`, { method: "POST" });
      if (answer.kind === "refused") this.#refuse(answer.problem);
      if (answer.kind !== "failed") return;
      await pause(answer.atLeastMs ?? CLAIM_AGAIN_MS);
    }
  }

  /** Disconnects until the page is woken, like a closed page. */
  rest(): void {
    this.#drop();
  }

  /** Reconnects a page that comes out of the back/forward cache: its state is old. */
  renew(): void {
    if (!this.#wanted) return;
    this.#failures = 0;
    this.#ladder.startOver();
    this.#connect();
  }

  /** Gives up the place. By HTTP, since the request outlives the page. */
  leave(): void {
    this.close();
    void request(this.#path, { method: "DELETE", keepalive: true });
  }

  close(): void {
    this.#wanted = false;
    this.#drop();
  }

  /**
   * Reconnects without delay: the page is visible again, or the network is back. A delay that the
   * server requested still applies.
   */
  wake(): void {
    const now = Date.now();
    if (!this.#wanted || now < this.#notBefore || (this.#link && now - this.#receivedAt < (this.#silenceMs ?? TRUST_MS))) return;
    this.renew();
  }

  /** The browser reports that the network is down. It may be wrong, so retries continue. */
  networkGone(): void {
    if (this.#wanted && this.#link) this.#lose({ kind: "failed", atLeastMs: undefined });
  }

  #connect(): void {
    const { transport } = this.#ladder;
    const withinMs = transport === "polling" && this.#failures === 0 ? POLL_RESPONSE_MS : FIRST_MESSAGE_MS;
    let silent = true;
    this.#listen(transport, withinMs, {
      received: (json) => {
        if (silent) this.#ladder.worked();
        silent = false;
        this.#receive(json);
      },
      ended: (end) => {
        if (silent && transport !== "polling" && isUnexplained(end)) this.#inquireSoon();
        else this.#end(end);
      },
    });
  }

  /** Not immediately: if a node has just died, all pages that were connecting to it inquire. */
  #inquireSoon(): void {
    this.#drop();
    this.#timer = setTimeout(() => { this.#inquire(); }, this.#environment.random() * Math.min(INQUIRY_SPREAD_MS, this.#crowdSpreadMs));
  }

  /**
   * Finds out by plain HTTP why a link failed, since browsers hide the response to a refused
   * WebSocket: the server may be busy, may refuse this page, may be out of reach, or something
   * blocks WebSockets. A successful response has the messages that the link would have brought.
   */
  #inquire(): void {
    this.#listen("polling", FIRST_MESSAGE_MS, {
      received: (json) => { this.#receive(json); },
      ended: (end) => {
        if (end.kind !== "asked") this.#end(end);
        else if (this.#ladder.blocked()) this.#connect();
        else this.#retryAfter({ kind: "failed", atLeastMs: undefined });
      },
    });
  }

  #listen(transport: Transport, withinMs: number, listener: Listener): void {
    this.#drop();
    this.#receivedAt = Date.now();
    this.#silenceMs = undefined;
    // In the query, since a page cannot set headers of a WebSocket.
    const query = new URLSearchParams({ ...QUERY[this.#entry], ...this.#credentials, traceparent: TRACEPARENT });
    this.#link = this.#environment.openLink(transport, `${this.#path}?${String(query)}`, listener);
    this.#timer = setTimeout(() => {
      this.#drop();
      listener.ended({ kind: "failed", atLeastMs: undefined });
    }, withinMs);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#link?.close();
    this.#link = undefined;
  }

  /** A message arrived. The next message has to arrive in time, where its time is known. */
  #alive(): void {
    clearTimeout(this.#timer);
    this.#receivedAt = Date.now();
    if (this.#silenceMs !== undefined) this.#listenUntil(Date.now() + this.#silenceMs);
  }

  #listenUntil(dueAt: number): void {
    this.#timer = setTimeout(() => {
      if (Date.now() > dueAt + ASLEEP_MS) this.#listenUntil(Date.now() + ASLEEP_MS);
      else this.#lose({ kind: "failed", atLeastMs: undefined });
    }, dueAt - Date.now());
  }

  #receive(json: string): void {
    this.#alive();
    this.#failures = 0;
    // The response brought the ticket: from now on the page returns with it.
    this.#entry = "resume";
    const message = parseLineMessage(json);
    if (!message) return;
    if (message.type === "heartbeat") {
      this.#silenceMs = message.next_in_s * 1_000 + LATE_MS;
      this.#crowdSpreadMs = message.reconnect_within_ms;
      this.#alive();
      return;
    }
    if (message.type === "over") this.close();
    this.#listener.received(message);
  }

  #end(end: End): void {
    if (end.kind === "refused") {
      this.#refuse(end.problem);
    } else if (end.kind === "asked") {
      this.#drop();
      if (this.#wanted) this.#timer = setTimeout(() => { this.#connect(); }, end.nextInMs);
    } else {
      this.#lose(end);
    }
  }

  #refuse(problem: Problem): void {
    this.close();
    this.#listener.refused(problem);
  }

  #lose(end: ConnectionLoss): void {
    const { atLeastMs } = this.#retryAfter(end);
    // A server that responds, or a network that is down, is no sign against the best transport.
    if (atLeastMs !== undefined || this.#ladder.transport === "polling") this.#ladder.startOver();
    this.#listener.lost(atLeastMs !== undefined);
  }

  #retryAfter(end: ConnectionLoss): Wait {
    this.#drop();
    const wait = waitAfter(end, this.#failures, this.#crowdSpreadMs);
    this.#failures += 1;
    this.#notBefore = Date.now() + (wait.atLeastMs ?? 0);
    this.#timer = setTimeout(() => { this.#connect(); }, retryDelayMs(wait, this.#environment.random()));
    return wait;
  }
}
