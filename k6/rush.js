// A crowd at one sale: every shopper opens the page, joins the line, holds a socket, and buys at
// the turn or receives the outcome. One suite, three scenarios; k6/README.md describes them and how
// to run them.

import { check } from "k6";
import http from "k6/http";
import { Counter, Rate, Trend } from "k6/metrics";
import ws from "k6/ws";

const SCENARIOS = {
  // An ordinary sale.
  normal: { shoppers: 10_000, seconds: 300, p95Ms: 300 },
  // The opening of a popular sale.
  peak: { shoppers: 100_000, seconds: 120, p95Ms: 500 },
  // Ten thousand more in each of ten minutes, and shoppers who are not admitted stay to the end.
  // Choose a sale that admits few.
  stress: { shoppers: 100_000, seconds: 600, p95Ms: 300, stay: true },
};

const name = __ENV.SCENARIO || "normal";
const scenario = SCENARIOS[name];
if (!scenario) throw new Error(`SCENARIO is ${name}: say normal, peak or stress`);
const scale = Number(__ENV.SCALE || 1);
const shoppers = Number(__ENV.SHOPPERS || Math.max(1, Math.round(scenario.shoppers * scale)));
const seconds = Number(__ENV.SECONDS || scenario.seconds);
// Maximum wait of a shopper in the line.
const patience = Number(__ENV.PATIENCE_S || 600);
const base = (__ENV.BASE_URL || "http://127.0.0.1:8080").replace(/\/$/, "");
const slug = __ENV.SALE;
if (!slug) throw new Error("SALE is missing: say the sale's URL slug");

const failed = new Rate("shopper_failed");
const joining = new Trend("join_duration", true);
const turning = new Trend("turn_to_order_duration", true);
const outcomes = new Counter("shopper_outcomes");
const bought = new Counter("units_bought");

const latency = __ENV.LATENCY === "off" ? {} : {
  http_req_duration: [`p(95)<${scenario.p95Ms}`],
  ws_connecting: [`p(95)<${scenario.p95Ms}`],
};

export const options = {
  scenarios: {
    [name]: {
      executor: "constant-arrival-rate",
      rate: shoppers,
      timeUnit: `${seconds}s`,
      duration: `${seconds}s`,
      // Most are there until the sale is over, so each virtual user needs a place in k6, too.
      preAllocatedVUs: shoppers,
      gracefulStop: `${patience}s`,
    },
  },
  thresholds: { http_req_failed: ["rate<0.01"], shopper_failed: ["rate<0.01"], ...latency },
  summaryTrendStats: ["med", "p(95)", "p(99)", "max"],
};

export function setup() {
  const page = http.get(`${base}/sales/${slug}`);
  const id = /data-sale-id="([0-9a-f-]+)"/.exec(page.body || "");
  if (page.status !== 200 || !id) throw new Error(`${base}/sales/${slug} returns ${page.status}: is it a sale?`);
  return { sale: id[1], endsAt: Date.now() + seconds * 1000 };
}

const json = { "content-type": "application/json" };

/** Buys with the token of a turn. Whether it went well. */
function buy(sale, { token, quantity }) {
  const since = Date.now();
  const headers = { ...json, authorization: `Bearer ${token}` };
  const held = http.post(`${base}/api/flash-sales/${sale}/purchase`, JSON.stringify({ quantity }), { headers, tags: { name: "purchase" } });
  if (!check(held, { "the unit is held": ({ status }) => status === 200 || status === 201 })) return false;
  turning.add(Date.now() - since);
  const order = held.json("id");
  const paid = http.post(`${base}/api/orders/${order}/payment`, JSON.stringify({ payment_method: "tok_visa" }), { headers: json, tags: { name: "payment" } });
  const isPaid = check(paid, { "the order is paid": (answer) => (answer.status === 200 || answer.status === 202) && ["paid", "payment_pending"].includes(answer.json("status")) });
  if (isPaid) bought.add(quantity);
  return isPaid;
}

export default function ({ sale, endsAt }) {
  const page = http.get(`${base}/sales/${slug}`, { tags: { name: "page" } });
  const joined = http.get(`${base}/api/flash-sales/${sale}/line`, { headers: { accept: "application/json" }, tags: { name: "join" }, responseCallback: http.expectedStatuses(200, 409) });
  // A shopper who comes after the last unit is sold is notified immediately.
  if (joined.status === 409) {
    outcomes.add(1, { outcome: "too_late" });
    failed.add(page.status !== 200);
    return;
  }
  let outcome = check(joined, { "a place in the line": ({ status }) => status === 200 }) ? "waiting" : "refused";
  joining.add(joined.timings.duration);
  if (outcome === "waiting") {
    const socket = ws.connect(`${base.replace(/^http/, "ws")}/api/flash-sales/${sale}/line?join=false`, { jar: http.cookieJar() }, (line) => {
      let received = false;
      line.on("message", (text) => {
        const message = JSON.parse(text);
        received = true;
        if (message.type === "turn") {
          line.send(JSON.stringify({ type: "claim" }));
          outcome = buy(sale, message) ? "bought" : "failed";
          line.close();
        } else if (message.type === "over") {
          outcome = message.outcome;
          line.close();
        }
      });
      line.on("error", () => { outcome = outcome === "waiting" ? "cut_off" : outcome; });
      const leaves = (how) => () => { outcome = how; line.send(JSON.stringify({ type: "leave" })); line.close(); };
      // The last arrivals also have time to receive a message.
      if (scenario.stay) line.setTimeout(() => leaves(received ? "stayed" : "silent")(), Math.max(5_000, endsAt - Date.now()));
      else line.setTimeout(leaves("gave_up"), patience * 1000);
    });
    if (!check(socket, { "a socket": (answer) => answer && answer.status === 101 }) && outcome === "waiting") outcome = "no_socket";
  }
  outcomes.add(1, { outcome });
  // Each shopper has to receive an outcome; under stress, to be in line until the end.
  failed.add(page.status !== 200 || !["bought", "sold_out", "closed", ...(scenario.stay ? ["stayed"] : [])].includes(outcome));
}
