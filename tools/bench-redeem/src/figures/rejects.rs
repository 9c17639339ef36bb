//! `rejects_vs_hello`: the cost of rejecting requests.

use fairline_admission_token::SigningKey;

use crate::{
    Bench, Failure,
    client::run,
    figure::{Measured, median, number},
    shop::{AdmittedShopper, BenchShop, mint, start_hello},
};

/// Requests per second: ours, the baseline with the same requests, and with small ones.
struct RejectRound {
    forged: f64,
    forged_once: f64,
    without_ticket: f64,
    expired: f64,
    replayed: f64,
    all: f64,
    hello: f64,
    small: f64,
}

pub(super) fn measure(bench: &mut Bench, found: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
    let (shop, size) = (BenchShop::start(bench)?, bench.size.clone());
    let (_hello, hello) = start_hello(bench)?;
    let third = size.rejected / 3;
    // Redeemed once, then repeatedly.
    let used = shop.admit(third.min(1_000))?;
    let first = run(shop.checkout_address, size.few, shop.requests(&used))?.all_are(201)?;
    let forger = SigningKey::generate();
    // The best possible forgery: the right key id, the forger's own ticket, and a foreign
    // signature.
    let forge = |shopper: &AdmittedShopper, ttl_s: i64| {
        let (genuine, wrong) = (shop.token(shopper, ttl_s), mint(&forger, shopper, ttl_s));
        let (signed, _) = genuine.rsplit_once('.').unwrap_or_default();
        let (_, signature) = wrong.rsplit_once('.').unwrap_or_default();
        shop.request(shopper, &format!("{signed}.{signature}"))
    };
    let waiting = shop.admit(third)?;
    shop.run_out(&waiting)?;
    // Some hundreds of forgers with tickets of their own, and one forgery for each token.
    let forgers = &waiting[..third.min(200)];
    let forged: Vec<Vec<u8>> = (0..third).map(|nth| forge(&forgers[nth % forgers.len()], 3_600 + nth as i64)).collect();
    let forged_once: Vec<Vec<u8>> = waiting.iter().map(|shopper| forge(shopper, 3_600)).collect();
    let expired: Vec<Vec<u8>> = waiting.iter().map(|shopper| shop.request(shopper, &shop.token(shopper, -1))).collect();
    // Most forgers have no ticket of the visitor that they name.
    let without_ticket: Vec<Vec<u8>> = forged.iter().map(|request| without_ticket(request)).collect();
    let replayed: Vec<Vec<u8>> = shop.requests(&used).into_iter().cycle().take(third).collect();
    let mixed: Vec<Vec<u8>> = (0..third).flat_map(|at| [&forged[at], &expired[at], &replayed[at]]).cloned().collect();
    let small = vec![b"GET / HTTP/1.1\r\nHost: hello\r\n\r\n".to_vec(); mixed.len()];

    let mut rounds = Vec::new();
    for _ in 0..size.rounds {
        let ours = |requests: &[Vec<u8>], status| {
            let run = run(shop.checkout_address, size.few, requests.to_vec())?;
            if status > 0 { run.all_are(status) } else { Ok(run) }.map(|run| run.per_s())
        };
        rounds.push(RejectRound {
            hello: run(hello, size.few, mixed.clone())?.all_are(200)?.per_s(),
            all: ours(&mixed, 0)?,
            small: run(hello, size.few, small.clone())?.all_are(200)?.per_s(),
            forged: ours(&forged, 401)?,
            forged_once: ours(&forged_once, 401)?,
            without_ticket: ours(&without_ticket, 401)?,
            expired: ours(&expired, 410)?,
            replayed: ours(&replayed, 409)?,
        });
    }
    bench.note(shop.audit(&used, &[&first])?);
    let middle = |of: fn(&RejectRound) -> f64| median(rounds.iter().map(of).collect());
    let ratio = |ours: fn(&RejectRound) -> f64, baseline: fn(&RejectRound) -> f64| {
        median(rounds.iter().map(|round| ours(round) / baseline(round)).collect())
    };
    let note = format!(
        "a third each, {} clients: forged alone {} (by as many forgers as tokens {}, by some without tickets {}), expired alone {}, replayed alone {}. Hello answers the same requests; against \
         hello with requests of 30 bytes the ratio is {}",
        size.few,
        number(ratio(|round| round.forged, |round| round.hello)),
        number(ratio(|round| round.forged_once, |round| round.hello)),
        number(ratio(|round| round.without_ticket, |round| round.hello)),
        number(ratio(|round| round.expired, |round| round.hello)),
        number(ratio(|round| round.replayed, |round| round.hello)),
        number(ratio(|round| round.all, |round| round.small)),
    );
    let value = ratio(|round| round.all, |round| round.hello);
    found(Measured::ratio("rejects_vs_hello", value, middle(|round| round.all), middle(|round| round.hello), note));
    Ok(())
}

/// The request without a ticket of its visitor.
fn without_ticket(request: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(request).replacen("Cookie: fairline_ticket_", "Cookie: of_another_shopper_", 1).into_bytes()
}
