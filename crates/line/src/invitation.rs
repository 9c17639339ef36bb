//! The invitation: what a shopper needs to join a lane.
//!
//! - It is a number and the Ed25519 signature (RFC 8032) of the lane's id and this number, by a key
//!   that only the controller has. Waiting rooms verify it with the lane's public key.
//! - There is no list of invitations: the number is the account of the shopper who joins, so an
//!   invitation has one place, on any device.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{SIGNATURE_LENGTH, Signature, Signer as _, VerifyingKey};
use fairline_sale::SaleId;

/// Bytes of the number.
const NUMBER: usize = 4;

/// The private key that signs invitations to one lane. It is never printed.
///
/// ```
/// use fairline_line::invitation::{InvitationKey, verify};
/// use fairline_sale::SaleId;
///
/// let lane: SaleId = "3c6f7a52-0f5e-4c0e-9a39-6b8d3f5f6f10".parse().expect("a UUID");
/// let key = InvitationKey::new(&[7; 32]);
/// let code = key.invite(lane, 41);
/// assert_eq!(verify(lane, &key.public(), &code), Some(41));
/// assert_eq!(verify(lane, &InvitationKey::new(&[8; 32]).public(), &code), None);
/// ```
pub struct InvitationKey(ed25519_dalek::SigningKey);

impl InvitationKey {
    /// A key of 32 random bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(secret))
    }

    /// The public key that verifies invitations: 43 characters of base64url.
    #[must_use]
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.verifying_key())
    }

    /// The code of an invitation to a lane: 91 characters of base64url.
    #[must_use]
    pub fn invite(&self, lane: SaleId, number: u32) -> String {
        let signature = self.0.sign(&signed(lane, number));
        URL_SAFE_NO_PAD.encode([&number.to_be_bytes()[..], &signature.to_bytes()[..]].concat())
    }
}

/// The number of an invitation to this lane, if the code is genuine.
#[must_use]
pub fn verify(lane: SaleId, public: &str, code: &str) -> Option<u32> {
    let mut key = [0; 32];
    let mut bytes = [0; NUMBER + SIGNATURE_LENGTH];
    let read = |text: &str, into: &mut [u8]| {
        URL_SAFE_NO_PAD.decode_slice(text, into).ok().filter(|&length| length == into.len())
    };
    read(public, &mut key)?;
    read(code, &mut bytes)?;
    let (number, signature) = bytes.split_at(NUMBER);
    let number = u32::from_be_bytes(number.try_into().ok()?);
    let signature = Signature::from_slice(signature).ok()?;
    VerifyingKey::from_bytes(&key).ok()?.verify_strict(&signed(lane, number), &signature).ok()?;
    Some(number)
}

fn signed(lane: SaleId, number: u32) -> Vec<u8> {
    [b"fairline invitation", &lane.0.as_bytes()[..], &number.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_invitation_is_to_one_lane_and_cannot_be_altered() {
        let (key, other) = (InvitationKey::new(&[7; 32]), InvitationKey::new(&[8; 32]));
        let (lane, elsewhere) = (SaleId(Uuid::from_u128(1)), SaleId(Uuid::from_u128(2)));
        let code = key.invite(lane, 41);
        assert_eq!((code.len(), key.public().len()), (91, 43));
        assert_eq!(verify(lane, &key.public(), &code), Some(41));
        assert_eq!(verify(elsewhere, &key.public(), &code), None);
        assert_eq!(verify(lane, &other.public(), &code), None);
        assert_eq!(verify(lane, "no key", &code), None);
        for at in 0..code.len() {
            let altered = |by: char| format!("{}{by}{}", &code[..at], &code[at + 1..]);
            let altered = if code.as_bytes()[at] == b'B' { altered('C') } else { altered('B') };
            assert_eq!(verify(lane, &key.public(), &altered), None, "{altered}");
        }
        for wrong in ["", "é", &code[1..], &format!("{code}A"), &"A".repeat(91), &"A".repeat(10_000)] {
            assert_eq!(verify(lane, &key.public(), wrong), None, "{wrong}");
        }
    }
}
