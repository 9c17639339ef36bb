//! Web Push: messages to browsers through the push services of their makers (RFC 8030), encrypted
//! end to end (RFC 8291) and authenticated (RFC 8292).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use fairline_http_client::{HttpClient, web_address};
use fairline_server::{Secret, StartError};
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{Request, Uri, header};
use ring::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand::{SecureRandom as _, SystemRandom},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::json;
use time::OffsetDateTime;

use crate::message::{Channel, Message, SendError};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a push service keeps a message for a closed browser, in seconds.
const TTL_S: u32 = 600;
/// Lifetime of a signed authorisation, in seconds; at most a day (RFC 8292, section 2).
const VOUCHED_FOR_S: i64 = 12 * 3600;
/// The longest text, in bytes: every push service accepts messages of 4096 bytes.
const TEXT_BYTES_MAX: usize = 2000;
/// The size of the only record of a message; larger than any message (RFC 8188, section 2).
const RECORD_BYTES: u32 = 4096;

/// The push subscription of a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    endpoint: String,
    p256dh: Vec<u8>,
    auth: Vec<u8>,
}

impl Subscription {
    /// Parses the fields of `PushSubscription.toJSON`.
    #[must_use]
    pub fn new(endpoint: &str, p256dh: &str, auth: &str) -> Option<Self> {
        let bytes = |text: &str, length| BASE64.decode(text).ok().filter(|bytes| bytes.len() == length);
        let (p256dh, auth) = (bytes(p256dh, 65)?, bytes(auth, 16)?);
        let is_one =
            endpoint.len() <= 1000 && !endpoint.contains(char::is_whitespace) && web_address(endpoint).is_some();
        is_one.then(|| Self { endpoint: endpoint.to_owned(), p256dh, auth })
    }

    /// Parses a subscription from its stored address.
    fn read(address: &str) -> Option<Self> {
        let mut parts = address.split(' ');
        Self::new(parts.next()?, parts.next()?, parts.next()?)
    }
}

/// The permitted push services. A client chooses its endpoint, and could name any host.
#[derive(Debug, Clone)]
pub struct PushServices(Vec<String>);

impl PushServices {
    /// Hosts, with a leading `*.` for all subdomains; or a whole origin, for tests.
    #[must_use]
    pub fn new(hosts: &[String]) -> Self {
        Self(hosts.iter().map(|host| host.trim().to_ascii_lowercase()).filter(|host| !host.is_empty()).collect())
    }

    /// Whether a subscription at this endpoint is permitted.
    #[must_use]
    pub fn include(&self, endpoint: &str) -> bool {
        let Ok(uri) = endpoint.parse::<Uri>() else { return false };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
        let host = authority.host().to_ascii_lowercase();
        let by_default = scheme == "https" && authority.port().is_none() && !authority.as_str().contains('@');
        self.0.iter().any(|permitted| match permitted.strip_prefix('*') {
            Some(below) => by_default && host.ends_with(below),
            None => by_default && host == *permitted || format!("{scheme}://{authority}") == *permitted,
        })
    }
}

/// The channel to browsers.
pub struct Push {
    client: HttpClient,
    key: EcdsaKeyPair,
    public_key: String,
    contact: String,
    random: SystemRandom,
}

impl Push {
    /// Takes a VAPID key pair, as `npx web-push generate-vapid-keys` prints it, and a contact for
    /// push services.
    pub(crate) fn new(public_key: &str, private_key: &Secret, contact: &str) -> Result<Self, StartError> {
        let wrong =
            || StartError::new("The push keys are not a VAPID pair: make one with `npx web-push generate-vapid-keys`.");
        let decoded = |text: &str| BASE64.decode(text.trim()).map_err(|_| wrong());
        let (public, private, random) = (decoded(public_key)?, decoded(private_key.expose())?, SystemRandom::new());
        let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key =
            EcdsaKeyPair::from_private_key_and_public_key(signing, &private, &public, &random).map_err(|_| wrong())?;
        if !contact.starts_with("mailto:") && !contact.starts_with("https://") {
            return Err(StartError::new("The push contact is not a mailto: or https:// address."));
        }
        let (public_key, contact) = (BASE64.encode(public), contact.to_owned());
        Ok(Self { client: HttpClient::new(CALL_TIMEOUT), key, public_key, contact, random })
    }

    /// The key that browsers subscribe with.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    async fn send(&self, about: &str, to: &str, message: &Message) -> Result<(), SendError> {
        let refused = |why: &str| SendError::Refused(why.to_owned());
        let subscription = Subscription::read(to).ok_or_else(|| refused("it is not a subscription"))?;
        let text = json!({ "about": about, "subject": message.subject, "link": message.link }).to_string();
        let body =
            self.encrypt(&subscription, &text).ok_or_else(|| refused("it can't be encrypted for that browser"))?;
        let vouching =
            self.authorisation(&subscription.endpoint).ok_or_else(|| refused("its push service has no origin"))?;
        let request = Request::post(&subscription.endpoint)
            .header(header::AUTHORIZATION, vouching)
            .header(header::CONTENT_ENCODING, "aes128gcm")
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header("ttl", TTL_S)
            .header("urgency", "high")
            .body(Full::from(body))
            .map_err(|error| SendError::Refused(error.to_string()))?;
        match self.client.call(request).await {
            Ok(answered) if answered.status.is_success() => Ok(()),
            Ok(answered) => {
                let why = format!("the push service returned {}", answered.status.as_u16());
                Err(match answered.status.as_u16() {
                    404 | 410 => SendError::Gone(why),
                    429 | 503 => SendError::NotNow(why),
                    500..=599 => SendError::Silent(why),
                    _ => SendError::Refused(why),
                })
            }
            Err(unanswered) if unanswered.never_left => Err(SendError::NotNow(unanswered.why)),
            Err(unanswered) => Err(SendError::Silent(unanswered.why)),
        }
    }

    /// The `Authorization` for a push service (RFC 8292, section 3).
    fn authorisation(&self, endpoint: &str) -> Option<String> {
        let uri: Uri = endpoint.parse().ok()?;
        let origin = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
        let exp = OffsetDateTime::now_utc().unix_timestamp() + VOUCHED_FOR_S;
        let part = |value: serde_json::Value| BASE64.encode(value.to_string());
        let signed = format!(
            "{}.{}",
            part(json!({ "typ": "JWT", "alg": "ES256" })),
            part(json!({ "aud": origin, "exp": exp, "sub": self.contact }))
        );
        let signature = self.key.sign(&self.random, signed.as_bytes()).ok()?;
        Some(format!("vapid t={signed}.{}, k={}", BASE64.encode(signature), self.public_key))
    }

    /// Encrypts a text for a browser (RFC 8291, section 3.4, as one record of RFC 8188).
    fn encrypt(&self, subscription: &Subscription, text: &str) -> Option<Vec<u8>> {
        let ours = EphemeralPrivateKey::generate(&ECDH_P256, &self.random).ok()?;
        let our_key = ours.compute_public_key().ok()?;
        let mut salt = [0; 16];
        self.random.fill(&mut salt).ok()?;
        let theirs = UnparsedPublicKey::new(&ECDH_P256, &subscription.p256dh);
        let key =
            agree_ephemeral(ours, &theirs, |secret| derive(secret, subscription, our_key.as_ref(), &salt)).ok()??;
        seal(&key, &salt, our_key.as_ref(), text)
    }
}

/// What encrypts one message.
struct MessageKey {
    key: [u8; 16],
    nonce: [u8; 12],
}

/// A message with its header (RFC 8188, section 2.1).
fn seal(MessageKey { key, nonce }: &MessageKey, salt: &[u8; 16], ours: &[u8], text: &str) -> Option<Vec<u8>> {
    let mut sealed = text.as_bytes().get(..text.len().min(TEXT_BYTES_MAX))?.to_vec();
    // The delimiter of the last record, without padding.
    sealed.push(2);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).ok()?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut sealed).ok()?;
    let length = u8::try_from(ours.len()).ok()?;
    Some([salt, &RECORD_BYTES.to_be_bytes()[..], &[length], ours, &sealed].concat())
}

/// The length of an HKDF output.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// The key and the nonce of a message (RFC 8291, section 3.4).
fn derive(secret: &[u8], subscription: &Subscription, ours: &[u8], salt: &[u8]) -> Option<MessageKey> {
    fn expand<const N: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        Salt::new(HKDF_SHA256, salt).extract(secret).expand(&[info], Bytes(N)).ok()?.fill(&mut bytes).ok()?;
        Some(bytes)
    }
    let info = [b"WebPush: info\0", subscription.p256dh.as_slice(), ours].concat();
    let input: [u8; 32] = expand(&subscription.auth, secret, &info)?;
    Some(MessageKey {
        key: expand(salt, &input, b"Content-Encoding: aes128gcm\0")?,
        nonce: expand(salt, &input, b"Content-Encoding: nonce\0")?,
    })
}

impl Channel for Push {
    fn send<'a>(&'a self, about: &'a str, to: &'a str, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.send(about, to, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_message_equals_the_example_of_the_rfc() {
        // RFC 8291, appendix A.
        let bytes = |text: &str| BASE64.decode(text).expect("base64");
        let secret = bytes("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
        let ours = bytes("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8");
        let subscription = Subscription {
            endpoint: String::new(),
            p256dh: bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
            auth: bytes("BTBZMqHH6r4Tts7J_aSIgg"),
        };
        let salt: [u8; 16] = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().expect("16 bytes");
        let key = derive(&secret, &subscription, &ours, &salt).expect("derived");
        assert_eq!(
            (BASE64.encode(key.key).as_str(), BASE64.encode(key.nonce).as_str()),
            ("oIhVW04MRdy2XN9CiKLxTg", "4h_95klXJ5E_qnoN")
        );
        let sealed = seal(&key, &salt, &ours, "When I grow up, I want to be a watermelon").expect("sealed");
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_\
            yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(BASE64.encode(sealed), expected);
    }

    #[test]
    fn only_permitted_push_services_are_used() {
        let push_services = PushServices::new(&[
            "fcm.googleapis.com".to_owned(),
            "*.push.apple.com".to_owned(),
            "http://127.0.0.1:9".to_owned(),
        ]);
        for (endpoint, included) in [
            ("https://fcm.googleapis.com/fcm/send/x", true),
            ("https://web.push.apple.com/x", true),
            ("http://127.0.0.1:9/x", true),
            ("http://fcm.googleapis.com/x", false),
            ("https://fcm.googleapis.com:8443/x", false),
            ("https://fcm.googleapis.com.evil.example/x", false),
            ("https://me@fcm.googleapis.com/x", false),
            ("https://evil-push.apple.com/x", false),
            ("https://10.0.0.1/x", false),
            ("http://127.0.0.1:10/x", false),
            ("nonsense", false),
        ] {
            assert_eq!(push_services.include(endpoint), included, "{endpoint}");
        }
    }
}
