/** nginx in front of the demo with `proxy_pass` alone, which rewrites the `Host` header. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./until";

const PROGRAMS = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];

export class Nginx {
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, process: ChildProcess, folder: string) {
    this.url = url;
    this.#process = process;
    this.#folder = folder;
  }

  static async start(targetUrl: string): Promise<Nginx> {
    const program = PROGRAMS.find((path) => existsSync(path));
    if (program === undefined) throw new Error("nginx is not installed: scripts/setup.sh test");
    // nginx cannot report a port that it chose itself. No other test uses this address.
    const free = createServer().listen(0, "127.9.9.7");
    await once(free, "listening");
    const address = `127.9.9.7:${(free.address() as AddressInfo).port}`;
    free.close();
    await once(free, "close");
    const folder = await mkdtemp(join(tmpdir(), "fairline-nginx-"));
    const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${kind};`).join(" ");
    await writeFile(join(folder, "nginx.conf"), `daemon off; master_process off; pid nginx.pid; events {}
      http { access_log off; ${paths} server { listen ${address}; location / {
        proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
        proxy_pass ${targetUrl}; } } }`);
    const process = spawn(program, ["-e", "stderr", "-c", "nginx.conf", "-p", folder], { stdio: ["ignore", "ignore", "inherit"] });
    const url = `http://${address}`;
    await until("nginx to respond", async () => (await fetch(url).catch(() => undefined))?.ok === true ? true : undefined);
    return new Nginx(url, process, folder);
  }

  async stop(): Promise<void> {
    this.#process.kill("SIGTERM");
    if (this.#process.exitCode === null && this.#process.signalCode === null) await once(this.#process, "exit");
    await rm(this.#folder, { recursive: true, force: true });
  }
}
