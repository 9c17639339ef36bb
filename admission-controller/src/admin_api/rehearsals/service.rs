//! Begins, stops and lists rehearsals.

use std::sync::Arc;

use uuid::Uuid;

use super::{error::RehearsalError, responses::Rehearsal};
use crate::{
    admin_api::sales::service::Sales,
    controller::schedule::TickNow,
    db::Author,
    error::{CommonError, check_field},
    jobs::rehearsals::{RehearsalCrowd, RehearsalStage, store::RehearsalStore},
};

/// Dependencies of the routes of rehearsals.
#[derive(Clone)]
pub(crate) struct Rehearsals {
    pub(crate) store: RehearsalStore,
    pub(crate) sales: Sales,
    pub(crate) tick_now: TickNow,
    /// Where rehearsals are held, if this controller is set up for them.
    pub(crate) stage: Option<Arc<RehearsalStage>>,
}

impl Rehearsals {
    /// Copies a sale, and sends a crowd to the copy.
    pub(super) async fn begin(
        &self,
        by: &Author,
        sale: &str,
        crowd: RehearsalCrowd,
    ) -> Result<Rehearsal, RehearsalError> {
        check_field("shoppers", (1..=20_000).contains(&crowd.shoppers), "be between 1 and 20000")?;
        check_field("arrival_s", crowd.arrival_s <= 3600, "be at most 3600")?;
        check_field("abandon", (0.0..=1.0).contains(&crowd.abandon), "be between 0 and 1")?;
        let stage = self.stage.as_ref().ok_or(RehearsalError::NoRehearsals)?;
        let sale = self.sales.find(sale).await?;
        if !sale.row.can_open {
            return Err(CommonError::SeveralItems.into());
        }
        let begun = self.store.begin_rehearsal(by, &sale, crowd).await?.ok_or(RehearsalError::RehearsalRuns)?;
        self.tick_now.all();
        stage.begin(self.store.clone(), begun.clone(), crowd);
        Ok(begun.into())
    }

    pub(super) async fn list(&self, sale: &str) -> Result<Vec<Rehearsal>, RehearsalError> {
        let sale = self.sales.find(sale).await?.row.sale();
        Ok(self.store.rehearsals(sale).await?.into_iter().map(Rehearsal::from).collect())
    }

    pub(super) async fn stop(&self, by: &Author, id: Uuid) -> Result<(), RehearsalError> {
        if self.store.stop_rehearsal(by, id).await? { Ok(()) } else { Err(RehearsalError::RehearsalNotFound) }
    }
}
