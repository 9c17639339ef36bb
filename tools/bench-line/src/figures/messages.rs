//! `messages_vs_1hz`: messages of a whole sale, divided by one per second and waiting shopper.
//!
//! Such a sale takes half an hour. The simulation in virtual time, `line-messages`,
//! uses the waiting room's own rules, and takes seconds.

use std::process::Command;

use serde_json::Value;

use crate::{
    Bench, Failure,
    figure::{Measured, number},
};

pub(super) fn measure(bench: &Bench, found: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
    let program = bench.binaries.join("line-messages");
    let mut sales = Vec::new();
    for seed in 1..=bench.size.sales {
        let output = Command::new(&program).args([seed.to_string(), bench.size.sale_share.to_string()]).output();
        let output = output.map_err(|error| Failure::new(format!("{}: {error}", program.display())))?;
        if !output.status.success() {
            return Err(Failure::new(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        sales.push(serde_json::from_slice(&output.stdout)?);
    }
    let mean = |at: &str| {
        let values = sales.iter().map(|sale: &Value| sale.pointer(at).and_then(Value::as_f64));
        let sum = values.sum::<Option<f64>>().ok_or_else(|| Failure::new(format!("the simulation says no {at}")));
        Ok::<_, Failure>(sum? / sales.len() as f64)
    };
    let each = mean("/messages")? / mean("/shoppers")?;
    let note = format!(
        "{} sales; {} messages for each shopper in {} s of waiting; in 99 of 100 looks at a page its place was wrong by at \
         most {} %",
        sales.len(),
        number(each),
        number(mean("/waiting_s_each")?),
        number(mean("/error_at_any_moment/p99_percent")?)
    );
    found(Measured::plain("messages_vs_1hz", mean("/messages_vs_1hz")?, note));
    Ok(())
}
