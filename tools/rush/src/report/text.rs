//! The report as text.

use std::fmt;

use super::Report;
use crate::statistics::counted;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { joined, admitted, redeemed, paid, .. } = self;
        let shoppers = counted(self.shoppers, "shopper", "shoppers");
        writeln!(f, "Rush of {shoppers}, seed {}, {:.1} s", self.seed, self.elapsed_s)?;
        writeln!(f, "  funnel         joined {joined} · admitted {admitted} · redeemed {redeemed} · paid {paid}")?;
        writeln!(
            f,
            "  other outcomes sold out {} · closed {} · token expired {} · hold expired {} · refunded {} · left {} · disconnected {} · without outcome {}",
            self.sold_out,
            self.closed,
            self.expired,
            self.hold_expired,
            self.refunded,
            self.left,
            self.disconnected,
            self.unresolved
        )?;
        let stock = counted(self.stock, "unit", "units");
        writeln!(f, "  stock          {stock} · sold {} · oversold {}", self.sold, self.oversold)?;
        writeln!(
            f,
            "  tokens         accepted twice {} · forged {} of {} · stolen {} of {} · expired {} · turned away {}",
            self.double_used,
            self.forged_accepted,
            self.forged_tried,
            self.stolen_accepted,
            self.stolen_tried,
            self.expired_accepted,
            self.turned_away
        )?;
        writeln!(
            f,
            "  order          {} among {} who stayed · places lost {} · reconnects {} · record {}",
            counted(self.inversions, "inversion", "inversions"),
            self.stayed,
            self.places_lost,
            self.reconnects,
            match self.order_honest {
                Some(true) => "honest",
                Some(false) => "NOT HONEST",
                None => "not read",
            }
        )?;
        self.write_latency(f)?;
        self.write_database(f)?;
        self.write_sentences(f)
    }
}

impl Report {
    fn write_latency(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1} ms"));
        writeln!(
            f,
            "  latency        join p50 {} p99 {} · admission to browser p50 {} p99 {} · redeem p50 {} p99 {}",
            ms(self.join_p50_ms),
            ms(self.join_p99_ms),
            ms(self.admission_p50_ms),
            ms(self.admission_p99_ms),
            ms(self.redeem_p50_ms),
            ms(self.redeem_p99_ms)
        )
    }

    fn write_database(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.database {
            Some(database) => writeln!(
                f,
                "  database       admissions {} · holds {} · orders {} ({} of other shoppers) · promised {} · held {} · sold {} · refunded {} · captured without an order {}",
                database.admissions,
                database.holds,
                database.orders,
                database.orders_of_others,
                database.promised,
                database.held,
                database.sold,
                database.refunded,
                database.captured_without_order
            ),
            None => writeln!(f, "  database       not compared (no --postgres-url)"),
        }
    }

    fn write_sentences(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, times) in &self.unexpected {
            writeln!(f, "  unexpected     {what} ({})", counted(*times, "time", "times"))?;
        }
        for sentence in &self.unresolved_shoppers {
            writeln!(f, "  unresolved     {sentence}")?;
        }
        for sentence in self.broken.iter().chain(&self.mismatches) {
            writeln!(f, "  ✗ {sentence}")?;
        }
        write!(f, "{}", if self.ok { "  ✓ every promise was kept" } else { "  ✗ not every promise was kept" })
    }
}
