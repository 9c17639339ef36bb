//! `oversold`, `lost_acks`, `double_used`: checkout and Postgres are killed while shoppers redeem;
//! a shopper without a response retries with the same token.

use std::time::{Duration, Instant};

use fairline_figures::bench::pause;

use crate::{
    Bench, Failure,
    client::{run, start},
    figure::{Measured, number},
    shop::BenchShop,
};

const POLL_INTERVAL: Duration = Duration::from_millis(5);
const MOVES_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn measure(bench: &mut Bench, found: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
    let (mut shop, size) = (BenchShop::start(bench)?, bench.size.clone());
    let shoppers = shop.admit(size.through_crashes)?;
    let under_way = start(shop.checkout_address, size.few, shop.requests(&shoppers), true);
    let crashes = 2 * size.crashes;
    let mut happened = 0;
    for crash in 0..crashes {
        // Crashes are spread over the run by the number of completed requests.
        let due = (crash + 1) * shoppers.len() / (crashes + 2);
        let deadline = Instant::now() + MOVES_WITHIN;
        while under_way.answered() < due && !under_way.has_ended() {
            if Instant::now() > deadline {
                return Err(Failure::new(format!("nothing moved for a minute after crash {crash}")));
            }
            pause(POLL_INTERVAL);
        }
        if under_way.has_ended() {
            break;
        }
        if crash.is_multiple_of(2) {
            shop.crash_checkout(bench)?
        } else {
            shop.crash_postgres()?
        }
        happened += 1;
    }
    let redeemed = under_way.ended()?;
    // Each token once more: the response must name the same order, and no other.
    let again = run(shop.checkout_address, size.few, shop.requests(&shoppers))?.all_are(409)?;
    if redeemed.answers.iter().any(|answer| !matches!(answer.status, 201 | 409) || answer.order.is_none()) {
        return Err(Failure::new("a token that is good was refused"));
    }
    let here = shop.audit(&shoppers, &[&redeemed, &again])?;
    bench.note(here);
    let committed = redeemed.answers.iter().filter(|answer| answer.status == 409).count();
    let note = format!(
        "{} shoppers of this scene, and those of every scene before it in this run; {} requests were sent again, {} of which found \
         that the first had been committed",
        number(shoppers.len() as f64),
        number(redeemed.retries as f64),
        number(committed as f64)
    );
    found(Measured::plain("oversold", bench.wrongs.oversold as f64, note));
    found(Measured::plain("lost_acks", bench.wrongs.lost_acks as f64, String::new()));
    found(Measured::plain("double_used", bench.wrongs.double_used as f64, String::new()));
    found(Measured::plain(
        "crashes",
        f64::from(happened),
        "of checkout and of Postgres in turn, with SIGKILL".to_owned(),
    ));
    Ok(())
}
