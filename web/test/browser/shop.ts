/** The real thing: `fairline demo` with its own Redis and Postgres, sales made for one test each, and a crowd. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AdminSale, NewSale, SaleChange, SaleCommand } from "../../src/shared/api";
import { until } from "./until";

/** The folder of this repository; tests run from `web/`. */
const ROOT = join(process.cwd(), "..");
const FAIRLINE = process.env.FAIRLINE_BIN ?? join(ROOT, "target/debug/fairline");
const START_MS = 120_000;
const HOUR_MS = 3_600_000;

/** What `fairline demo` says about itself in demo.json. */
interface Addresses {
  shop_url: string;
  admin_url: string;
  admin_token: string;
  postgres_url: string;
}

/** The part of a rush's report that the tests look at. */
export interface Report {
  ok: boolean;
  shoppers: number;
  sold: number;
  unresolved: number;
  database: { orders_of_others: number };
}

export class Shop {
  readonly #demo: ChildProcess;
  readonly #folder: string;
  readonly #addresses: Addresses;
  readonly #crowds: ChildProcess[] = [];
  #sales = 0;

  private constructor(demo: ChildProcess, folder: string, addresses: Addresses) {
    this.#demo = demo;
    this.#folder = folder;
    this.#addresses = addresses;
  }

  static async start(): Promise<Shop> {
    if (!existsSync(FAIRLINE)) throw new Error(`${FAIRLINE} is not built: run \`make build\` first`);
    const folder = await mkdtemp(join(tmpdir(), "fairline-browser-"));
    const demo = spawn(FAIRLINE, ["demo", "--dir", folder, "--port", "0"], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    const said = listen(demo);
    const addresses = await until("the demo to be ready", async () => {
      if (demo.exitCode !== null) throw new Error(`the demo ended with ${demo.exitCode}:\n${said()}`);
      return (JSON.parse(await readFile(join(folder, "demo.json"), "utf8").catch(() => "null")) as Addresses | null) ?? undefined;
    }, START_MS);
    return new Shop(demo, folder, addresses);
  }

  get url(): string {
    return this.#addresses.shop_url.replace(/\/$/, "");
  }

  get adminUrl(): string {
    return this.#addresses.admin_url;
  }

  get adminToken(): string {
    return this.#addresses.admin_token;
  }

  /** Somebody who may sign in at the console; gives the secret of the codes. */
  async hire(name: string, role: string, password: string): Promise<string> {
    const response = await fetch(`${this.url}/api/admin/operators`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.adminToken}`, "content-type": "application/json" },
      body: JSON.stringify({ name, role, password }),
    });
    if (!response.ok) throw new Error(await response.text());
    return ((await response.json()) as { totp_secret: string }).totp_secret;
  }

  async stop(): Promise<void> {
    const running = [...this.#crowds, this.#demo].filter((child) => child.exitCode === null && child.signalCode === null);
    await Promise.all(running.map((child) => { child.kill("SIGTERM"); return once(child, "exit"); }));
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** A sale of its own, which does not open by itself; the waiting room has heard of it. */
  async create(wishes: Partial<NewSale> = {}): Promise<AdminSale> {
    this.#sales += 1;
    const opens_at = new Date(Date.now() + HOUR_MS).toISOString();
    const defaults: NewSale = { slug: `sale-${this.#sales}`, name: `Sale ${this.#sales}`, description: "A test.", price_minor: 4_900, currency: "EUR", total: 10, opens_at };
    const sale = await this.#ask<AdminSale>("POST", "", { ...defaults, ...wishes });
    await until("the waiting room to hear of the sale", async () => (await fetch(`${this.url}/api/flash-sales/${sale.id}/status`)).ok || undefined);
    return sale;
  }

  sale(sale: AdminSale): Promise<AdminSale> {
    return this.#ask("GET", `/${sale.id}`);
  }

  command(sale: AdminSale, command: SaleCommand): Promise<AdminSale> {
    return this.#ask("POST", `/${sale.id}/${command}`);
  }

  change(sale: AdminSale, change: SaleChange): Promise<AdminSale> {
    return this.#ask("PATCH", `/${sale.id}`, change);
  }

  /** Takes a ticket out of the line. */
  async removeTicket(sale: AdminSale, ordinal: string): Promise<void> {
    await this.#ask("POST", `/${sale.id}/tickets/${ordinal}/remove`, { reason: "a test" });
  }

  /** A lane beside the line, for those who are invited; gives its address. */
  async addLane(sale: AdminSale, name: string): Promise<string> {
    const { lanes } = await this.#ask<AdminSale>("POST", `/${sale.id}/lanes`, { name, share: 0.1 });
    const address = `${this.url}/sales/${lanes[0]?.slug ?? ""}`;
    await until("the waiting room to hear of the lane", async () => (await fetch(address)).ok || undefined);
    return address;
  }

  /** Sends a crowd to a sale. Its report comes when every shopper has learnt an outcome. */
  rush(sale: AdminSale, shoppers: number): Promise<Report> {
    const { adminToken: token, url } = this;
    const crowd = spawn(FAIRLINE, ["rush", "--waiting-room", url, "--admin", url, "--sale", sale.slug, "--shoppers", String(shoppers), "--seed", "7"], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, FAIRLINE_ADMIN_TOKEN: token, FAIRLINE_POSTGRES_URL: this.#addresses.postgres_url },
    });
    this.#crowds.push(crowd);
    const said = listen(crowd);
    return new Promise((resolve, reject) => {
      crowd.on("exit", (code) => {
        const report = said().trimEnd().split("\n").findLast((line) => line.startsWith("{"));
        if (code === 0 && report !== undefined) resolve(JSON.parse(report) as Report);
        else reject(new Error(`the crowd ended with ${String(code)}:\n${said()}`));
      });
    });
  }

  /** What `fairline verify` says of a sale's record. */
  async verify(sale: AdminSale): Promise<{ code: number | null; said: string }> {
    const verify = spawn(FAIRLINE, ["verify", `${this.url}/api/flash-sales/${sale.id}/record`], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    const said = listen(verify);
    const [code] = (await once(verify, "close")) as [number | null];
    return { code, said: said() };
  }

  async #ask<T>(method: string, path: string, body?: object): Promise<T> {
    const response = await fetch(`${this.url}/api/admin/sales${path}`, {
      method,
      headers: { authorization: `Bearer ${this.adminToken}`, "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }
}

/** All that a process says, on both of its outputs. */
function listen(child: ChildProcess): () => string {
  let said = "";
  for (const output of [child.stdout, child.stderr]) output?.setEncoding("utf8").on("data", (text: string) => (said += text));
  return () => said;
}
