/** Runs `fairline demo` with its own Redis and Postgres, and manages its sales. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AdminSale, NewSale, SaleChange, SaleCommand } from "../../src/shared/api";
import { until } from "./until";

/** The folder of the repository; tests run in `web/`. */
const ROOT = join(process.cwd(), "..");
const FAIRLINE = process.env.FAIRLINE_BIN ?? join(ROOT, "target/debug/fairline");
const START_MS = 120_000;
const HOUR_MS = 3_600_000;

/** The contents of demo.json. */
interface Addresses {
  shop_url: string;
  admin_url: string;
  admin_token: string;
  postgres_url: string;
}

/** The fields of a rush report that the tests check. */
export interface Report {
  ok: boolean;
  shoppers: number;
  sold: number;
  unresolved: number;
  database: { orders_of_others: number };
}

export class Demo {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #addresses: Addresses;
  readonly #rushes: ChildProcess[] = [];
  #sales = 0;

  private constructor(process: ChildProcess, folder: string, addresses: Addresses) {
    this.#process = process;
    this.#folder = folder;
    this.#addresses = addresses;
  }

  static async start(): Promise<Demo> {
    if (!existsSync(FAIRLINE)) throw new Error(`${FAIRLINE} is not built: run \`make build\` first`);
    const folder = await mkdtemp(join(tmpdir(), "fairline-browser-"));
    const demo = spawn(FAIRLINE, ["demo", "--dir", folder, "--port", "0"], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    const output = outputOf(demo);
    const addresses = await until("the demo to be ready", async () => {
      if (demo.exitCode !== null) throw new Error(`the demo ended with ${demo.exitCode}:\n${output()}`);
      return (JSON.parse(await readFile(join(folder, "demo.json"), "utf8").catch(() => "null")) as Addresses | null) ?? undefined;
    }, START_MS);
    return new Demo(demo, folder, addresses);
  }

  get url(): string {
    return this.#addresses.shop_url.replace(/\/$/, "");
  }

  /** The shopper page of a sale. */
  pageUrl({ slug }: AdminSale): string {
    return `${this.url}/sales/${slug}`;
  }

  get adminUrl(): string {
    return this.#addresses.admin_url;
  }

  get adminToken(): string {
    return this.#addresses.admin_token;
  }

  /** Adds an operator and returns the secret of its authenticator. */
  async addOperator(name: string, role: string, password: string): Promise<string> {
    const response = await fetch(`${this.url}/api/admin/operators`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.adminToken}`, "content-type": "application/json" },
      body: JSON.stringify({ name, role, password }),
    });
    if (!response.ok) throw new Error(await response.text());
    return ((await response.json()) as { totp_secret: string }).totp_secret;
  }

  async stop(): Promise<void> {
    const running = [...this.#rushes, this.#process].filter((child) => child.exitCode === null && child.signalCode === null);
    await Promise.all(running.map((child) => { child.kill("SIGTERM"); return once(child, "exit"); }));
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Creates a sale that opens in an hour, and waits until the waiting room has it. */
  async create(settings: Partial<NewSale> = {}): Promise<AdminSale> {
    this.#sales += 1;
    const opens_at = new Date(Date.now() + HOUR_MS).toISOString();
    const defaults: NewSale = { slug: `sale-${this.#sales}`, name: `Sale ${this.#sales}`, description: "A test.", price_minor: 4_900, currency: "EUR", total: 10, opens_at };
    const sale = await this.#request<AdminSale>("POST", "", { ...defaults, ...settings });
    await until("the waiting room to know the sale", async () => (await fetch(`${this.url}/api/flash-sales/${sale.id}/status`)).ok || undefined);
    return sale;
  }

  sale(sale: AdminSale): Promise<AdminSale> {
    return this.#request("GET", `/${sale.id}`);
  }

  command(sale: AdminSale, command: SaleCommand): Promise<AdminSale> {
    return this.#request("POST", `/${sale.id}/${command}`);
  }

  change(sale: AdminSale, change: SaleChange): Promise<AdminSale> {
    return this.#request("PATCH", `/${sale.id}`, change);
  }

  async removeTicket(sale: AdminSale, ordinal: string): Promise<void> {
    await this.#request("POST", `/${sale.id}/tickets/${ordinal}/remove`, { reason: "a test" });
  }

  /** Adds a lane and returns its address. */
  async addLane(sale: AdminSale, name: string): Promise<string> {
    const { lanes } = await this.#request<AdminSale>("POST", `/${sale.id}/lanes`, { name, share: 0.1 });
    const address = `${this.url}/sales/${lanes[0]?.slug ?? ""}`;
    await until("the waiting room to know the lane", async () => (await fetch(address)).ok || undefined);
    return address;
  }

  /** Sends simulated shoppers to a sale. The report comes when each has an outcome. */
  rush(sale: AdminSale, shoppers: number): Promise<Report> {
    const { adminToken: token, url } = this;
    const rush = spawn(FAIRLINE, ["rush", "--waiting-room", url, "--admin", url, "--sale", sale.slug, "--shoppers", String(shoppers), "--seed", "7"], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, FAIRLINE_ADMIN_TOKEN: token, FAIRLINE_POSTGRES_URL: this.#addresses.postgres_url },
    });
    this.#rushes.push(rush);
    const output = outputOf(rush);
    return new Promise((resolve, reject) => {
      rush.on("exit", (code) => {
        const report = output().trimEnd().split("\n").findLast((line) => line.startsWith("{"));
        if (code === 0 && report !== undefined) resolve(JSON.parse(report) as Report);
        else reject(new Error(`rush ended with ${String(code)}:\n${output()}`));
      });
    });
  }

  /** Runs `fairline verify` on a sale's record. */
  async verify(sale: AdminSale): Promise<{ code: number | null; output: string }> {
    const verify = spawn(FAIRLINE, ["verify", `${this.url}/api/flash-sales/${sale.id}/record`], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    const output = outputOf(verify);
    const [code] = (await once(verify, "close")) as [number | null];
    return { code, output: output() };
  }

  async #request<T>(method: string, path: string, body?: object): Promise<T> {
    const response = await fetch(`${this.url}/api/admin/sales${path}`, {
      method,
      headers: { authorization: `Bearer ${this.adminToken}`, "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }
}

/** Collects what a process writes to both of its outputs. */
function outputOf(child: ChildProcess): () => string {
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (text: string) => (output += text));
  return () => output;
}
