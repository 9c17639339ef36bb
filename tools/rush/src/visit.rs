//! A visit at human speed: the shopper model of the control law's benchmark, over real sockets.

use std::time::Duration;

use fairline_shopper_model::{Visit, VisitStep};
use tokio::time::{Instant, sleep};

use crate::{
    line::LineConnection,
    messages::Claims,
    record::{RedeemedHold, VisitOutcome},
    shopper::{NextAction, Shopper},
};

impl Shopper<'_> {
    /// From a turn on: claims, redeems and pays, or gives up at one of these. `None`: it waits
    /// until its time runs out.
    pub(crate) async fn make_visit(
        &mut self,
        visit: &Visit,
        token: &str,
        claims: &Claims,
        line: &mut LineConnection,
    ) -> Option<NextAction> {
        let [called, claimed, shopping] = visit.steps;
        // The shopper does not see the turn.
        let VisitStep::GoesOn(after_s) = called else { return Some(self.walk_out()) };
        stay(line, after_s).await;
        if let Err(lost) = line.claim().await {
            return Some(self.lost(lost));
        }
        match claimed {
            VisitStep::GoesOn(after_s) => stay(line, after_s).await,
            VisitStep::Leaves(after_s) => {
                stay(line, after_s).await;
                return Some(self.leave(line).await);
            }
            VisitStep::FallsSilent => return None,
        }
        let VisitStep::GoesOn(after_s) = shopping else {
            let started = Instant::now();
            let order = match self.redeem(token, claims).await {
                Ok(order) => order.id,
                Err(step) => return Some(step),
            };
            let took_ms = started.elapsed().as_secs_f64() * 1_000.0;
            self.record.redemption = Some(RedeemedHold { admission: claims.jti, order, took_ms });
            return Some(self.walk_out());
        };
        self.plan.thinks = [Duration::ZERO, Duration::from_secs_f64(after_s)];
        tokio::select! {
            step = self.check_out(token, claims) => Some(step),
            never = line.stay_open() => match never {},
        }
    }

    /// Disconnects permanently.
    fn walk_out(&mut self) -> NextAction {
        self.record.walked_out = true;
        NextAction::Done(VisitOutcome::Disconnected)
    }
}

/// Stays in line for a time.
async fn stay(line: &mut LineConnection, time_s: f64) {
    tokio::select! {
        () = sleep(Duration::from_secs_f64(time_s)) => {}
        never = line.stay_open() => match never {},
    }
}
