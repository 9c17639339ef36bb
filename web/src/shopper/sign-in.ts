/**
 * Signing in, for sales that require it: an address, a code, and then an account. Independent of
 * the line; a script of its own, loaded only where needed. It dispatches `signed-in`.
 */

import type { CodeSent, Problem, Profile } from "../shared/api";
import { field } from "../shared/form-field";
import { request, problemText, type Answer } from "../shared/http";

/** Access tokens last 15 minutes. */
const REFRESH_EVERY_MS = 10 * 60_000;
const RETRY_MS = 10_000;
const UNREACHABLE: Problem = { type: "about:blank", title: "The shop is busy or could not be reached. Please try again in a moment." };

type Step = "checking" | "address" | "code" | "known";

function send<T>(path: string, body: object): Promise<Answer<T>> {
  return request<T>(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

/** A refresh token is valid once: tabs refresh one at a time, each with the newest token. */
function refresh(): Promise<Answer<unknown>> {
  return navigator.locks.request("fairline-refresh", () => send("/users/login/refresh", {}));
}

function start(panel: HTMLElement): void {
  const line = panel.dataset.account ?? "";
  let step: Step = "checking";
  let signInId = "";
  let sending = false;
  /** Until when nothing has to be refreshed. */
  let freshUntil = 0;

  const text = (name: string, value: string): void => {
    for (const element of panel.querySelectorAll(`[data-text=${name}]`)) element.textContent = value;
  };

  const show = (next: Step, follow = true): void => {
    step = next;
    for (const part of panel.querySelectorAll<HTMLElement>("[data-step]")) part.hidden = part.dataset.step !== step;
    text("sign-in-problem", "");
    if (follow) (panel.querySelector<HTMLElement>(`[data-step=${step}] input`) ?? panel.querySelector("h2"))?.focus();
  };

  const complain = (problem: Problem): void => { text("sign-in-problem", problemText(problem)); };

  const loadProfile = async (follow: boolean): Promise<void> => {
    const profile = await request<Profile>("/users/profile");
    if (profile.kind === "ok") {
      text("address", profile.body.address ?? "your shop account");
      show("known", follow);
      panel.dispatchEvent(new Event("signed-in", { bubbles: true }));
    } else if (profile.kind === "refused") await keep();
    else setTimeout(() => void loadProfile(false), RETRY_MS);
  };

  /** Refreshes the session, or asks to sign in. */
  const keep = async (): Promise<void> => {
    const answer = await refresh();
    if (answer.kind === "refused") { show("address", false); return; }
    if (answer.kind === "ok") freshUntil = Date.now() + REFRESH_EVERY_MS;
    if (step !== "known") setTimeout(() => void loadProfile(false), answer.kind === "ok" ? 0 : RETRY_MS);
  };

  const forms: Record<string, (form: HTMLFormElement) => Promise<void>> = {
    async address(form) {
      const typed = field(form, "address").trim();
      const answer = await send<CodeSent>("/users/login", typed.includes("@") ? { email: typed } : { phone: typed });
      if (answer.kind !== "ok") { complain(answer.kind === "refused" ? answer.problem : UNREACHABLE); return; }
      signInId = answer.body.sign_in_id;
      text("sent-to", typed);
      show("code");
    },

    async code(form) {
      const answer = await send("/users/login/code", { sign_in_id: signInId, code: field(form, "code").replace(/\s/g, ""), cookies: true });
      if (answer.kind !== "ok") { complain(answer.kind === "refused" ? answer.problem : UNREACHABLE); return; }
      form.reset();
      freshUntil = Date.now() + REFRESH_EVERY_MS;
      await loadProfile(true);
    },

    async remind() {
      const answer = await request(`/users/reminders/${line}`, { method: "POST" });
      const done = answer.kind === "ok" ? "We will notify you when your turn is near." : "";
      text("reminded", answer.kind === "refused" ? problemText(answer.problem) : done);
    },

    async leave() {
      await send("/users/logout", {});
      text("reminded", "");
      show("address");
    },
  };

  panel.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    const submit = forms[form.dataset.signIn ?? ""];
    if (!submit) return;
    event.preventDefault();
    if (sending) return;
    sending = true;
    text("sign-in-problem", "");
    void submit(form).finally(() => { sending = false; });
  });
  panel.querySelector("[data-sign-in-again]")?.addEventListener("click", () => { show("address"); });

  const tick = (): void => {
    if (step === "known" && document.visibilityState === "visible" && Date.now() > freshUntil) void keep();
  };
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, REFRESH_EVERY_MS / 10);
  void loadProfile(false);
}

const panel = document.querySelector<HTMLElement>("[data-account]");
if (panel) start(panel);
