//! A minimal SMTP server for a shop that sends e-mail.

use std::time::Duration;

use fairline_server::Shutdown;
use mail_parser::MessageParser;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tracing::debug;

use crate::{Notification, NotificationSandbox, SendScenario};

const MAIL_BYTES_MAX: u64 = 256 * 1024;
/// Maximum duration of a session.
const SESSION_MAX: Duration = Duration::from_secs(300);
const LATE_BY: Duration = Duration::from_secs(2);

pub(crate) async fn serve(listener: TcpListener, sandbox: NotificationSandbox, shutdown: Shutdown) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.triggered() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (sandbox, stop) = (sandbox.clone(), shutdown.clone());
        tokio::spawn(async move {
            tokio::select! {
                ended = timeout(SESSION_MAX, converse(stream, sandbox)) => debug!(?ended, "smtp session ended"),
                () = stop.triggered() => {}
            }
        });
    }
}

async fn converse(stream: TcpStream, sandbox: NotificationSandbox) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read.take(MAIL_BYTES_MAX));
    write.write_all(b"220 sandbox mail server\r\n").await?;
    let (mut to, mut line) = (None, String::new());
    loop {
        line.clear();
        if read.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end();
        let word = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_str() {
            "EHLO" => "250-sandbox\r\n250 8BITMIME\r\n",
            "HELO" | "NOOP" | "RSET" | "MAIL" => "250 OK\r\n",
            "RCPT" => {
                let address = command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                let outcome = sandbox.outcome(&address);
                to = Some((address, outcome));
                match outcome {
                    SendScenario::Busy => "451 Simulated failure, try again\r\n",
                    SendScenario::Rejected => "550 No such user\r\n",
                    _ => "250 OK\r\n",
                }
            }
            "DATA" => {
                write.write_all(b"354 Start mail input\r\n").await?;
                let data = data(&mut read).await?;
                let Some((to, outcome)) = to.take() else { return Ok(()) };
                sandbox.keep(notification(to, &data));
                match outcome {
                    SendScenario::AcceptedSilently => return Ok(()),
                    SendScenario::AcceptedLate => sleep(LATE_BY).await,
                    _ => {}
                }
                "250 OK\r\n"
            }
            "QUIT" => {
                write.write_all(b"221 Goodbye\r\n").await?;
                return Ok(());
            }
            _ => "502 Command not implemented\r\n",
        };
        read.get_mut().set_limit(MAIL_BYTES_MAX);
        write.write_all(answer.as_bytes()).await?;
    }
}

/// Reads up to the line with a single dot; lines that begin with a dot have one more (RFC 5321,
/// section 4.5.2).
async fn data(read: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let (mut data, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if read.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.as_slice() {
            b".\r\n" => return Ok(data),
            [b'.', rest @ ..] => data.extend(rest),
            line => data.extend(line),
        }
    }
}

fn notification(to: String, data: &[u8]) -> Notification {
    let parsed = MessageParser::default().parse(data);
    let field =
        |get: fn(&mail_parser::Message<'_>) -> Option<String>| parsed.as_ref().and_then(get).unwrap_or_default();
    Notification {
        to,
        id: field(|message| message.message_id().map(str::to_owned)),
        subject: field(|message| message.subject().map(str::to_owned)),
        text: field(|message| message.body_text(0).map(|text| text.replace("\r\n", "\n"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_email_is_parsed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = Shutdown::new();
        let sandbox = NotificationSandbox::open(listener, &shutdown);
        let mut stream = BufReader::new(TcpStream::connect(address).await.expect("connected"));
        let mut command = async |words: &str, expected: &str| {
            stream.get_mut().write_all(words.as_bytes()).await.expect("written");
            let mut line = String::new();
            stream.read_line(&mut line).await.expect("read");
            assert!(line.starts_with(expected), "{words}: {line}");
        };
        command("", "220").await;
        command("HELO shop\r\n", "250").await;
        command("MAIL FROM:<shop@example.org>\r\n", "250").await;
        command("RCPT TO:<unknown@example.org>\r\n", "550").await;
        command("RCPT TO:<busy@example.org>\r\n", "451").await;
        command("RCPT TO:<busy@example.org>\r\n", "250").await;
        command("DATA\r\n", "354").await;
        let notification = "Subject: =?utf-8?b?w5xiZXI=?=\r\nMessage-ID: <1@x>\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\n..2 =C3=97 lamps=\r\n!\r\n.\r\n";
        command(notification, "250").await;
        command("VRFY\r\n", "502").await;
        command("QUIT\r\n", "221").await;
        let expected = Notification {
            to: "busy@example.org".to_owned(),
            id: "1@x".to_owned(),
            subject: "Über".to_owned(),
            text: ".2 × lamps!\n".to_owned(),
        };
        assert_eq!(sandbox.notifications_to("busy@example.org"), [expected]);
        shutdown.trigger();
    }
}
