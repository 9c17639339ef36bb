//! E-mail, over SMTP.
//!
//! lettre can't set socket options, and its own timeout covers only the TCP connection. So each
//! call has a deadline, and each has its own connection, which no other can find silent.

use std::{future::Future, time::Duration};

use fairline_server::{Secret, StartError};
use futures_util::future::BoxFuture;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use tokio::time::timeout;

use crate::message::{Channel, Message, SendError};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A mail server, over SMTP.
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    call_timeout: Duration,
}

impl Smtp {
    pub(crate) fn new(url: &Secret, from: &str) -> Result<Self, StartError> {
        let wrong = |_| {
            StartError::new(
                "Invalid mail server URL: write smtps://user:password@host, or smtp://host:25 inside your own network.",
            )
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose()).map_err(wrong)?;
        let wrong = |_| StartError::new(format!("Invalid e-mail sender `{from}`: write `Shop <shop@example.org>`."));
        Ok(Self { transport: transport.build(), from: from.parse().map_err(wrong)?, call_timeout: CALL_TIMEOUT })
    }

    async fn send(&self, about: &str, to: &str, message: &Message) -> Result<(), SendError> {
        let refused = |error: &dyn std::error::Error| SendError::Refused(error.to_string());
        let domain = self.from.email.domain();
        let mail = lettre::Message::builder()
            .from(self.from.clone())
            .to(to.parse().map_err(|error: lettre::address::AddressError| refused(&error))?)
            // The same id for the same notification, so that a recipient can recognise a duplicate.
            .message_id(Some(format!("<{}@{domain}>", about.replace('/', "."))))
            .header(AutoSubmitted)
            .subject(&message.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(message.text.clone())
            .map_err(|error| refused(&error))?;
        // Up to here, no failure leaves anything at the server.
        match self.in_time(self.transport.test_connection()).await.map_err(SendError::NotNow)? {
            Ok(true) => {}
            Ok(false) => return Err(SendError::NotNow("the mail server does not take mail now".to_owned())),
            Err(error) => return Err(SendError::NotNow(reason(&error))),
        }
        match self.in_time(self.transport.send(mail)).await.map_err(SendError::Silent)? {
            Ok(_) => Ok(()),
            Err(error) if error.is_transient() => Err(SendError::NotNow(reason(&error))),
            Err(error) if error.is_permanent() || error.is_client() => Err(SendError::Refused(reason(&error))),
            Err(error) => Err(SendError::Silent(reason(&error))),
        }
    }

    async fn in_time<T>(&self, call: impl Future<Output = T>) -> Result<T, String> {
        let late = |_| format!("the mail server did not respond within {} s", self.call_timeout.as_secs_f64());
        timeout(self.call_timeout, call).await.map_err(late)
    }
}

/// The reply of a mail server, reduced to its code: the text may contain the recipient, and is
/// logged.
fn reason(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server returned {code}"),
        None => error.to_string(),
    }
}

/// Marks the mail as automatic (RFC 3834), so that out-of-office replies are suppressed.
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Channel for Smtp {
    fn send<'a>(&'a self, about: &'a str, to: &'a str, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.send(about, to, message))
    }
}

#[cfg(test)]
mod tests {
    use std::{io, net::SocketAddr};

    use futures_util::future::join_all;
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// A mail server that falls silent at a command, and after a mail.
    async fn mail_server(silent_at: &'static str) -> Smtp {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, silent_at));
            }
        });
        Smtp::new(&Secret::new(format!("smtp://{address}")), "Shop <shop@example.org>").expect("a mail server")
    }

    async fn converse(stream: TcpStream, silent_at: &str) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 ready\r\n").await?;
        let (mut line, mut is_text, mut has_mail) = (String::new(), false, false);
        while stream.read_line(&mut line).await? > 0 {
            let command = line.trim_end();
            let answer = match command {
                "." => {
                    (is_text, has_mail) = (false, true);
                    "250 queued\r\n"
                }
                _ if is_text => "",
                "QUIT" => "221 closed\r\n",
                _ if has_mail || command.starts_with(silent_at) => std::future::pending().await,
                "DATA" => {
                    is_text = true;
                    "354 go on\r\n"
                }
                _ => "250 done\r\n",
            };
            stream.write_all(answer.as_bytes()).await?;
            line.clear();
        }
        Ok(())
    }

    async fn send(smtp: &Smtp) -> Result<(), SendError> {
        let (subject, text, link) = ("Your turn".to_owned(), "It is your turn.".to_owned(), String::new());
        smtp.send("turn/1", "ada@example.org", &Message { subject, text, link }).await
    }

    #[tokio::test]
    async fn a_mail_server_that_falls_silent_ends_the_call() {
        let calls = [("EHLO", true), ("MAIL", false), ("DATA", false)].map(async |(silent_at, is_retried)| {
            let mut smtp = mail_server(silent_at).await;
            smtp.call_timeout = Duration::from_secs(2);
            let failed = send(&smtp).await.expect_err("the server is silent");
            assert_eq!(matches!(failed, SendError::NotNow(_)), is_retried, "{silent_at}: {failed:?}");
        });
        join_all(calls).await;
    }

    #[tokio::test]
    async fn each_mail_has_its_own_connection() {
        let smtp = mail_server("(never)").await;
        for _ in 0..3 {
            send(&smtp).await.expect("sent, though the last connection is silent");
        }
    }
}
