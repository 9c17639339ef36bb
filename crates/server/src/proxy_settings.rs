//! Settings of the proxies in front of a service.

use clap::Args;

use crate::{Origins, StartError, TrustedProxies, forwarded::ForwardedHeader};

/// The proxies in front of a service, and its public origins.
#[derive(Debug, Clone, Default, Args)]
pub struct ProxySettings {
    /// Trusted proxies, which may report a client's address: addresses and networks,
    /// comma-separated.
    #[arg(long, env = "FAIRLINE_TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: TrustedProxies,
    /// Header in which trusted proxies report the client's address. They must set it or append to
    /// it; the other header is never read.
    #[arg(long, env = "FAIRLINE_FORWARDED_HEADER", value_enum, default_value_t)]
    pub forwarded_header: ForwardedHeader,
    /// Public origins of the pages, comma-separated: `https://sale.example`. Required if a proxy
    /// rewrites the Host header. By default, pages of the requested host are accepted.
    #[arg(long, env = "FAIRLINE_PUBLIC_ORIGINS", value_delimiter = ',')]
    pub public_origins: Vec<String>,
}

impl ProxySettings {
    /// The trusted proxies.
    #[must_use]
    pub fn proxies(&self) -> TrustedProxies {
        self.trusted_proxies.clone().by(self.forwarded_header)
    }

    /// The origins whose pages may use the service: its own, and these allowed ones.
    ///
    /// # Errors
    /// When an origin is invalid, or when HTTPS-only cookies are to be set over HTTP.
    pub fn origins(&self, allowed: &[String], secure_cookies: bool) -> Result<Origins, StartError> {
        let origins = Origins::new(&self.public_origins, allowed)?;
        match self.public_origins.iter().find(|origin| secure_cookies && origin.trim().starts_with("http://")) {
            Some(origin) => Err(StartError::new(format!(
                "Browsers keep no secure cookie of the public origin {origin}: serve the pages over https://, or, for trials alone, set \
                 FAIRLINE_SECURE_COOKIES=false."
            ))),
            None => Ok(origins),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_cookies_need_https() {
        let front =
            |origin: &str| ProxySettings { public_origins: vec![origin.to_owned()], ..ProxySettings::default() };
        assert!(front("https://sale.example").origins(&[], true).is_ok());
        assert!(front("http://sale.example").origins(&[], false).is_ok());
        let error = front("http://sale.example").origins(&[], true).expect_err("no secure cookie over HTTP");
        assert!(error.to_string().contains("FAIRLINE_SECURE_COOKIES"), "{error}");
    }
}
