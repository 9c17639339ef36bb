//! What stands in front of a service, as its operator says.

use clap::Args;

use crate::{Origins, StartError, TrustedProxies, forwarded::ForwardedHeader};

/// The proxies in front of a service, and the addresses that they give it.
#[derive(Debug, Clone, Default, Args)]
pub struct FrontSettings {
    /// Proxies whose word on a client's address is believed: addresses and networks, comma-separated.
    #[arg(long, env = "FAIRLINE_TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: TrustedProxies,
    /// The header in which they say it. They have to set it, or append to it: the other one is never read.
    #[arg(long, env = "FAIRLINE_FORWARDED_HEADER", value_enum, default_value_t)]
    pub forwarded_header: ForwardedHeader,
    /// Where browsers find the pages, comma-separated: https://sale.example. Needed where a proxy rewrites the Host header; without
    /// it, pages of the host that a request names are ours.
    #[arg(long, env = "FAIRLINE_PUBLIC_ORIGINS", value_delimiter = ',')]
    pub public_origins: Vec<String>,
}

impl FrontSettings {
    /// Who is believed about clients' addresses.
    #[must_use]
    pub fn proxies(&self) -> TrustedProxies {
        self.trusted_proxies.clone().by(self.forwarded_header)
    }

    /// Whose pages may use the service: our own, and those of these other sites.
    ///
    /// # Errors
    /// When one of them is no origin, or cookies that travel over HTTPS only are to be set over HTTP.
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
            |origin: &str| FrontSettings { public_origins: vec![origin.to_owned()], ..FrontSettings::default() };
        assert!(front("https://sale.example").origins(&[], true).is_ok());
        assert!(front("http://sale.example").origins(&[], false).is_ok());
        let error = front("http://sale.example").origins(&[], true).expect_err("no secure cookie over HTTP");
        assert!(error.to_string().contains("FAIRLINE_SECURE_COOKIES"), "{error}");
    }
}
