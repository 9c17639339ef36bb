//! Promise 6, money: checkout's real payments over a real Postgres, and a model of the gateway
//! whose calls a seeded scheduler loses, delays, repeats and reorders.
//!
//! `FAIRLINE_MONEY_SEEDS=1000` runs more seeds, `FAIRLINE_MONEY_SEEDS=7..8` repeats one.

mod gateway;
mod shop;
mod story;

use std::{env, ops::Range};

use fairline_simulate::story::kind;

use crate::{shop::Shop, story::Broken};

const SEEDS: u64 = 40;
/// Seeds within which the bug of each control must be found.
const CONTROL_SEEDS: u64 = 400;

/// A wrong transition, made by the database.
struct Control {
    what: &'static str,
    breaks: &'static str,
    trigger: &'static str,
}

const CONTROLS: [Control; 7] = [
    Control {
        what: "a payment that has ended, and is not settled yet, is begun again",
        breaks: "begun too late",
        trigger: "BEFORE UPDATE ON payments FOR EACH ROW WHEN (OLD.state = 'voided' AND NEW.state = 'voided' \
            AND OLD.settle_at < NEW.settle_at) EXECUTE FUNCTION wrong('started')",
    },
    Control {
        what: "the end of a payment is reported while a process that read it before may still call the gateway",
        breaks: "begun too late",
        trigger: "BEFORE UPDATE OF state ON payments FOR EACH ROW WHEN (NEW.state = 'voided') EXECUTE FUNCTION wrong('reported')",
    },
    Control {
        what: "a withdrawn payment that was authorised meanwhile is captured",
        breaks: "charged after notice",
        trigger: "BEFORE UPDATE ON payments FOR EACH ROW WHEN (OLD.state = 'voided' AND NEW.state = 'voided' \
            AND NEW.gateway_ref IS NOT NULL AND OLD.settle_no < NEW.settle_no) EXECUTE FUNCTION wrong('authorised')",
    },
    Control {
        what: "the authorisation of a payment that has ended is not released",
        breaks: "not released",
        trigger: "BEFORE UPDATE OF state ON payments FOR EACH ROW WHEN (NEW.state IN ('voided', 'declined')) \
            EXECUTE FUNCTION wrong('settled')",
    },
    Control {
        what: "an empty search settles a payment that began two minutes ago, though a call may be under way",
        breaks: "not released",
        trigger: "BEFORE UPDATE OF state ON payments FOR EACH ROW WHEN (NEW.state IN ('voided', 'declined')) \
            EXECUTE FUNCTION wrong('as begun')",
    },
    Control {
        what: "a captured payment without a unit ends without a refund",
        breaks: "captured without an order",
        trigger: "BEFORE UPDATE OF state ON payments FOR EACH ROW WHEN (NEW.state = 'refund_due') \
            EXECUTE FUNCTION wrong('voided')",
    },
    Control {
        what: "a payment is taken as captured before the gateway has captured it",
        breaks: "order without a capture",
        trigger: "AFTER UPDATE OF state ON payments FOR EACH ROW WHEN (OLD.state = 'started' AND NEW.state = 'authorised') \
            EXECUTE FUNCTION sell_early()",
    },
];

/// What the triggers of the controls call.
const FUNCTIONS: &str = "CREATE FUNCTION wrong() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF TG_ARGV[0] = 'settled' THEN NEW.settle_at := NULL; \
    ELSIF TG_ARGV[0] = 'reported' THEN NEW.call_until := NULL; \
    ELSIF TG_ARGV[0] = 'as begun' THEN NEW.updated_at := NEW.created_at; \
    ELSIF TG_ARGV[0] = 'voided' OR NOT EXISTS (SELECT FROM payments WHERE hold_id = NEW.hold_id AND id <> NEW.id \
        AND state IN ('started', 'authorised')) THEN NEW.state := TG_ARGV[0]; NEW.settle_at := NULL; END IF; \
    RETURN NEW; END $$; \
    CREATE FUNCTION sell_early() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    INSERT INTO orders (id, sale_id, payment_id, visitor, quantity, amount_minor, currency) \
    SELECT id, sale_id, NEW.id, visitor, quantity, NEW.amount_minor, NEW.currency FROM holds WHERE id = NEW.hold_id \
    AND state = 'held' ON CONFLICT DO NOTHING; RETURN NULL; END $$; ";

fn seeds() -> Range<u64> {
    let Ok(text) = env::var("FAIRLINE_MONEY_SEEDS") else { return 0..SEEDS };
    let number = |text: &str| text.parse().unwrap_or_else(|error| panic!("FAIRLINE_MONEY_SEEDS: {text}: {error}"));
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}

#[tokio::test]
async fn every_captured_payment_is_an_order_or_refunded_and_no_shopper_is_charged_after_notice() {
    let shop = Shop::open(String::new()).await;
    for seed in seeds() {
        if let Some(Broken { why, steps }) = story::run(&shop, seed).await {
            panic!("seed {seed}: {why}\n{}", steps.join("\n"));
        }
    }
    let state = shop.gateway.state();
    println!("{} calls to the gateway, {} faults, payments {:?}", state.calls, state.faults, state.ended);
}

#[tokio::test]
async fn wrong_transitions_are_found() {
    for Control { what, breaks, trigger } in CONTROLS {
        let shop = Shop::open(format!("{FUNCTIONS} CREATE TRIGGER control {trigger}")).await;
        let (mut found, mut last) = (None, None);
        for seed in 0..CONTROL_SEEDS {
            let Some(Broken { why, .. }) = story::run(&shop, seed).await else { continue };
            if kind(&why) == breaks {
                found = Some((seed, why));
                break;
            }
            last = Some(why);
        }
        let (seed, why) =
            found.unwrap_or_else(|| panic!("{what}: not found within {CONTROL_SEEDS} seeds; seen last: {last:?}"));
        println!("{what}: seed {seed}, {why}");
    }
}
