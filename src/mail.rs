//! Mail: a knock on the door, never the message. The one room with `lettre`.
//!
//! A mail holds a sentence from a closed list and a link that wants sign-in. Its types leave no place for a name, an
//! id, a code or a service: [`Knock`] has none to give.

use crate::config::{self, MailTransport};
use crate::error::{Error, Result};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Why we knock. Subject and text are fixed per kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knock {
    /// A member has something new to read.
    Member,
    /// A provider has something new to read.
    Provider,
    /// Staff: cases whose due time comes near.
    WorkDue,
}

impl Knock {
    fn subject(self) -> &'static str {
        match self {
            Self::Member => "You have a new message from your health plan",
            Self::Provider => "There is news on a request you sent",
            Self::WorkDue => "An item needs your attention",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Member => {
                "There is something new for you to read. For your privacy it is not in this e-mail."
            }
            Self::Provider => "There is an answer for you. For privacy it is not in this e-mail.",
            Self::WorkDue => "An item in the work queue is close to its due time.",
        }
    }
}

/// One mail to send.
#[derive(Debug)]
pub struct Letter<'a> {
    /// The receiver's address.
    pub to: &'a str,
    /// Why.
    pub knock: Knock,
    /// An address of ours that wants sign-in; its only variable part is an opaque token.
    pub link: &'a str,
    /// Sets Message-ID, so that a receiver can drop a double.
    pub id: uuid::Uuid,
}

/// What became of a mail that was not taken.
#[derive(Debug)]
pub enum NotSent {
    /// Worth another try.
    Later(String),
    /// The relay says never.
    Never(String),
}

/// The way out for mail.
#[derive(Debug, Clone)]
pub struct Mailer {
    from: Mailbox,
    phone: String,
    transport: Transport,
}

#[derive(Debug, Clone)]
enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    File(AsyncFileTransport<Tokio1Executor>),
    Memory(Arc<Mutex<Vec<String>>>),
}

impl Mailer {
    /// The transport that the config names; `data` is where the file transport writes (`mail/`).
    pub fn new(mail: &config::Mail, payer: &config::Payer, data: &Path) -> Result<Self> {
        let from = mail
            .from
            .parse()
            .map_err(|_| Error::malformed("mail.from is no address"))?;
        let transport = match mail.transport {
            MailTransport::Smtp => Transport::Smtp(
                AsyncSmtpTransport::<Tokio1Executor>::from_url(&mail.url)
                    .map_err(|e| Error::malformed("mail.url is no usable smtps:// address").logged(e))?
                    .build(),
            ),
            MailTransport::File => {
                let folder = data.join("mail");
                crate::store::private_folder(&folder)?;
                Transport::File(AsyncFileTransport::new(folder))
            }
            MailTransport::Memory => Transport::Memory(Arc::default()),
        };
        Ok(Self {
            from,
            phone: payer.phone.clone(),
            transport,
        })
    }

    /// Sends one mail.
    pub async fn send(&self, letter: &Letter<'_>) -> Result<(), NotSent> {
        let message = self.message(letter).map_err(NotSent::Never)?;
        match &self.transport {
            Transport::Smtp(smtp) => smtp.send(message).await.map(drop).map_err(|e| {
                if e.is_permanent() {
                    NotSent::Never(smtp_word(&e))
                } else {
                    NotSent::Later(smtp_word(&e))
                }
            }),
            Transport::File(file) => file
                .send(message)
                .await
                .map(drop)
                .map_err(|e| NotSent::Later(e.to_string())),
            Transport::Memory(kept) => {
                let text = String::from_utf8_lossy(&message.formatted()).into_owned();
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                Ok(())
            }
        }
    }

    /// What the memory transport holds.
    pub fn kept(&self) -> Vec<String> {
        match &self.transport {
            Transport::Memory(kept) => kept.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            _ => Vec::new(),
        }
    }

    fn message(&self, letter: &Letter<'_>) -> Result<Message, String> {
        let to: Mailbox = letter
            .to
            .parse()
            .map_err(|_| "the address cannot be used".to_owned())?;
        let host = self.from.email.domain().to_owned();
        let body = format!(
            "{}\n\nSign in to read it:\n{}\n\nQuestions? Call {}.\n",
            letter.knock.sentence(),
            letter.link,
            self.phone
        );
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.knock.subject())
            .message_id(Some(format!("<{}@{host}>", letter.id)))
            .header(ContentType::TEXT_PLAIN)
            .body(body)
            .map_err(|_| "the message could not be built".to_owned())
    }
}

/// The relay's answer without its text, which may repeat the address.
fn smtp_word(error: &lettre::transport::smtp::Error) -> String {
    error.status().map_or_else(
        || {
            if error.is_timeout() {
                "no answer in time"
            } else {
                "the relay could not be used"
            }
            .to_owned()
        },
        |code| format!("the relay answered {code}"),
    )
}
