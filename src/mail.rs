//! Email notices. The only module that uses `lettre`.
//!
//! A notice is one of three fixed sentences and a link to a page that requires sign-in. Its types have no field for a
//! name, an id, a code or a service, so a notice cannot contain health information.

use crate::config::{self, MailTransport};
use crate::error::{Error, Result};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Why a notice is sent. Each kind has a fixed subject and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// A decision is available to a member.
    Member,
    /// A decision is available to a provider.
    Provider,
    /// Cases in the staff queue are close to their due time.
    WorkDue,
}

impl NoticeKind {
    fn subject(self) -> &'static str {
        match self {
            Self::Member => "There is an update from your health plan",
            Self::Provider => "There is an update on a request you sent",
            Self::WorkDue => "A case needs your attention",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Member => {
                "There is an update on your health plan's website. To protect your privacy, it is not in this email."
            }
            Self::Provider => {
                "There is an update on a request you sent. To protect the patient's privacy, it is not in this email. Look \
                 it up in the system that you sent the request with."
            }
            Self::WorkDue => "A case in the review queue is close to its due time.",
        }
    }

    /// What the link is for. Providers have no sign-in.
    fn link_label(self) -> &'static str {
        match self {
            Self::Member | Self::WorkDue => "Sign in to see it:",
            Self::Provider => "About this email:",
        }
    }
}

/// One email to send.
#[derive(Debug)]
pub struct Email<'a> {
    /// The recipient's address.
    pub to: &'a str,
    /// Why it is sent.
    pub kind: NoticeKind,
    /// The link in the text. It leads to sign-in and contains only an opaque token.
    pub link: &'a str,
    /// Becomes the Message-ID, so that a receiver can recognize a duplicate.
    pub id: uuid::Uuid,
}

/// Why an email was not sent. The reasons hold no address.
#[derive(Debug)]
pub enum SendError {
    /// A retry may succeed.
    Retry(String),
    /// A retry will not help.
    Permanent(String),
}

/// Sends emails by the configured transport.
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
    /// Prepares the transport from the settings. The file transport writes to the folder `mail` in `data`.
    pub fn new(mail: &config::Mail, payer: &config::Payer, data: &Path) -> Result<Self> {
        let from = mail
            .from
            .parse()
            .map_err(|_| Error::malformed("mail.from is not a valid email address"))?;
        let transport = match mail.transport {
            MailTransport::Smtp => Transport::Smtp(
                AsyncSmtpTransport::<Tokio1Executor>::from_url(&mail.url)
                    .map_err(|e| Error::malformed("mail.url is not a valid smtps:// URL").with_log_detail(e))?
                    .build(),
            ),
            MailTransport::File => {
                let folder = data.join("mail");
                crate::store::create_private_folder(&folder)?;
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

    /// Sends one email.
    pub async fn send(&self, email: &Email<'_>) -> Result<(), SendError> {
        let message = self.message(email).map_err(SendError::Permanent)?;
        match &self.transport {
            Transport::Smtp(smtp) => smtp.send(message).await.map(drop).map_err(|e| {
                if e.is_permanent() {
                    SendError::Permanent(describe(&e))
                } else {
                    SendError::Retry(describe(&e))
                }
            }),
            Transport::File(file) => file
                .send(message)
                .await
                .map(drop)
                .map_err(|e| SendError::Retry(e.to_string())),
            Transport::Memory(sent) => {
                let text = String::from_utf8_lossy(&message.formatted()).into_owned();
                sent.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                Ok(())
            }
        }
    }

    /// The emails that the memory transport has sent, as RFC 5322 text; empty for other transports.
    pub fn sent(&self) -> Vec<String> {
        match &self.transport {
            Transport::Memory(sent) => sent.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            _ => Vec::new(),
        }
    }

    fn message(&self, email: &Email<'_>) -> Result<Message, String> {
        let to: Mailbox = email
            .to
            .parse()
            .map_err(|_| "the recipient's address is not valid".to_owned())?;
        let host = self.from.email.domain().to_owned();
        let body = format!(
            "{}\n\n{}\n{}\n\nQuestions? Call {}.\n",
            email.kind.sentence(),
            email.kind.link_label(),
            email.link,
            self.phone
        );
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(email.kind.subject())
            .message_id(Some(format!("<{}@{host}>", email.id)))
            .header(ContentType::TEXT_PLAIN)
            .body(body)
            .map_err(|_| "the message could not be built".to_owned())
    }
}

/// What went wrong, without the mail server's text, which may contain the address.
fn describe(error: &lettre::transport::smtp::Error) -> String {
    error.status().map_or_else(
        || {
            if error.is_timeout() {
                "the mail server did not respond in time"
            } else {
                "the mail server could not be used"
            }
            .to_owned()
        },
        |code| format!("the mail server returned {code}"),
    )
}
