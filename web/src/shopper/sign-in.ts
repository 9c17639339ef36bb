/**
 * Signing in, for sales that require it: an address, a code, and then an account. Independent of
 * the line; a script of its own, loaded only where needed. It dispatches `signed-in`.
 */

import type { CodeSent, Problem, Profile } from "../shared/api";
import { field } from "../shared/form-field";
import { request, problemText, type Answer } from "../shared/http";
import { problemOf } from "./problem";

/** Access tokens last 15 minutes. */
const REFRESH_EVERY_MS = 10 * 60_000;
const RETRY_MS = 10_000;

type Step = "checking" | "address" | "code" | "known";

function send<T>(path: string, body: object): Promise<Answer<T>> {
  return request<T>(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

/** A refresh token is valid once: tabs refresh one at a time, each with the newest token. */
function refresh(): Promise<Answer<unknown>> {
  return navigator.locks.request("fairline-refresh", () => send("/users/login/refresh", {}));
}

class SignInPanel {
  readonly #panel: HTMLElement;
  #step: Step = "checking";
  #signInId = "";
  #sending = false;
  /** Until when nothing has to be refreshed. */
  #freshUntil = 0;

  constructor(panel: HTMLElement) {
    this.#panel = panel;
  }

  start(): void {
    this.#panel.addEventListener("submit", (event) => { this.#submit(event); });
    this.#panel.querySelector("[data-sign-in-again]")?.addEventListener("click", () => { this.#show("address"); });
    const tick = (): void => {
      if (this.#step === "known" && document.visibilityState === "visible" && Date.now() > this.#freshUntil) void this.#keep();
    };
    document.addEventListener("visibilitychange", tick);
    setInterval(tick, REFRESH_EVERY_MS / 10);
    void this.#loadProfile(false);
  }

  #submit(event: SubmitEvent): void {
    const form = event.target as HTMLFormElement;
    const submit = this.#forms[form.dataset.signIn ?? ""];
    if (!submit) return;
    event.preventDefault();
    if (this.#sending) return;
    this.#sending = true;
    this.#text("sign-in-problem", "");
    void submit(form).finally(() => { this.#sending = false; });
  }

  readonly #forms: Record<string, (form: HTMLFormElement) => Promise<void>> = {
    address: async (form) => {
      const typed = field(form, "address").trim();
      const answer = await send<CodeSent>("/users/login", typed.includes("@") ? { email: typed } : { phone: typed });
      if (answer.kind !== "ok") { this.#complain(problemOf(answer)); return; }
      this.#signInId = answer.body.sign_in_id;
      this.#text("sent-to", typed);
      this.#show("code");
    },

    code: async (form) => {
      const answer = await send("/users/login/code", { sign_in_id: this.#signInId, code: field(form, "code").replace(/\s/g, ""), cookies: true });
      if (answer.kind !== "ok") { this.#complain(problemOf(answer)); return; }
      form.reset();
      this.#freshUntil = Date.now() + REFRESH_EVERY_MS;
      await this.#loadProfile(true);
    },

    remind: async () => {
      const answer = await request(`/users/reminders/${this.#panel.dataset.account ?? ""}`, { method: "POST" });
      const done = answer.kind === "ok" ? "We will notify you when your turn is near." : "";
      this.#text("reminded", answer.kind === "refused" ? problemText(answer.problem) : done);
    },

    leave: async () => {
      await send("/users/logout", {});
      this.#text("reminded", "");
      this.#show("address");
    },
  };

  async #loadProfile(follow: boolean): Promise<void> {
    const profile = await request<Profile>("/users/profile");
    if (profile.kind === "ok") {
      this.#text("address", profile.body.address ?? "your shop account");
      this.#show("known", follow);
      this.#panel.dispatchEvent(new Event("signed-in", { bubbles: true }));
    } else if (profile.kind === "refused") await this.#keep();
    else setTimeout(() => void this.#loadProfile(false), RETRY_MS);
  }

  /** Refreshes the session, or shows the sign-in form. */
  async #keep(): Promise<void> {
    const answer = await refresh();
    if (answer.kind === "refused") { this.#show("address", false); return; }
    if (answer.kind === "ok") this.#freshUntil = Date.now() + REFRESH_EVERY_MS;
    if (this.#step !== "known") setTimeout(() => void this.#loadProfile(false), answer.kind === "ok" ? 0 : RETRY_MS);
  }

  #show(step: Step, follow = true): void {
    this.#step = step;
    for (const part of this.#panel.querySelectorAll<HTMLElement>("[data-step]")) part.hidden = part.dataset.step !== step;
    this.#text("sign-in-problem", "");
    if (follow) (this.#panel.querySelector<HTMLElement>(`[data-step=${step}] input`) ?? this.#panel.querySelector("h2"))?.focus();
  }

  #complain(problem: Problem): void {
    this.#text("sign-in-problem", problemText(problem));
  }

  #text(name: string, value: string): void {
    for (const element of this.#panel.querySelectorAll(`[data-text=${name}]`)) element.textContent = value;
  }
}

const panel = document.querySelector<HTMLElement>("[data-account]");
if (panel) new SignInPanel(panel).start();
