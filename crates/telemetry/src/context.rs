//! The W3C trace context (<https://www.w3.org/TR/trace-context/>, level 1): a trace id and the id
//! of the parent span. Pure.

use std::{fmt, str::FromStr};

/// The header, and the CloudEvents attribute, of the trace context.
pub const TRACEPARENT: &str = "traceparent";

/// A trace, and a span in it.
///
/// Whether a trace is reported follows from its id and the configured share, identically in every
/// service. The flag of incoming contexts is therefore ignored, and outgoing ones state the
/// decision of a service with the default share.
///
/// ```
/// use fairline_telemetry::TraceContext;
///
/// let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let context: TraceContext = header.parse().expect("a traceparent");
/// assert_eq!(context.to_string(), header);
/// assert_eq!(context.next(2).trace, context.trace);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace id. Never 0.
    pub trace: u128,
    /// The span id. Never 0.
    pub step: u64,
}

impl TraceContext {
    /// Starts a trace, from two random numbers.
    #[must_use]
    pub fn root(trace: u128, step: u64) -> Self {
        // 0 is invalid; replace it with 1.
        Self { trace: trace.max(1), step: step.max(1) }
    }

    /// The next span of the same trace, from a random number.
    #[must_use]
    pub fn next(self, step: u64) -> Self {
        Self::root(self.trace, step)
    }

    /// Whether this trace is among the `share` (0 to 1) that is kept: by the low 56 bits of its id,
    /// which level 2 requires to be random.
    #[must_use]
    pub fn is_kept(self, share: f64) -> bool {
        const BITS: u32 = 56;
        let low = self.trace & ((1 << BITS) - 1);
        (low as f64) < share * (1_u64 << BITS) as f64
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Always flagged as recorded: the decision does not concern callers.
        write!(formatter, "00-{:032x}-{:016x}-01", self.trace, self.step)
    }
}

/// Not a valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
pub struct InvalidTraceContext;

impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    /// Parses version 00, and the compatible part of later versions.
    fn from_str(text: &str) -> Result<Self, InvalidTraceContext> {
        let mut parts = text.split('-');
        let mut next = |digits: usize| {
            let is_hex = |part: &&str| {
                part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            };
            parts.next().filter(is_hex).ok_or(InvalidTraceContext)
        };
        let (version, trace, step, _flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        if version == "ff" || version == "00" && parts.next().is_some() {
            return Err(InvalidTraceContext);
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| InvalidTraceContext)?;
        let step = u64::from_str_radix(step, 16).map_err(|_| InvalidTraceContext)?;
        if trace == 0 || step == 0 { Err(InvalidTraceContext) } else { Ok(Self { trace, step }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_example_of_the_w3c_round_trips() {
        let context: TraceContext = EXAMPLE.parse().expect("the W3C's own");
        assert_eq!((context.trace, context.step), (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331));
        assert_eq!(context.to_string(), EXAMPLE);
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes-later";
        assert_eq!(later.parse(), Ok(context));
    }

    #[test]
    fn other_text_is_rejected() {
        let zeros = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let no_step = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        let upper = EXAMPLE.to_uppercase();
        let (long, version) = (format!("{EXAMPLE}-more"), EXAMPLE.replacen("00", "ff", 1));
        for text in ["", "00", "00-1-2-01", zeros, no_step, &upper, &long, &version, &EXAMPLE[..54], "ä"] {
            assert_eq!(text.parse::<TraceContext>(), Err(InvalidTraceContext), "{text}");
        }
    }

    #[test]
    fn every_process_samples_the_same_traces() {
        let nth = |nth: u128| TraceContext::root(nth << 46, 1);
        let kept = (0..1024).filter(|&number| nth(number).is_kept(0.1)).count();
        assert_eq!(kept, 103);
        assert!((0..1024).all(|number| nth(number).is_kept(1.0) && !nth(number).is_kept(0.0)));
        let context = nth(7);
        assert_eq!(context.next(9).is_kept(0.1), context.is_kept(0.1), "a step is kept as its trace is");
    }

    #[test]
    fn invalid_contexts_are_rejected() {
        assert_eq!(TraceContext::root(0, 0).to_string().parse(), Ok(TraceContext::root(1, 1)));
    }
}
