//! `assent client`: partner systems come in, are listed and shut out.

use crate::auth::registration::{give_secret, new_client, register};
use crate::auth::{ClientDoc, JtiReplay};
use crate::error::{Error, Result};
use crate::store::Store;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What can be done with clients.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Registers a partner system: an EHR, a clearinghouse, a member's app
    Add(Box<AddClient>),
    /// Lists the registered clients
    List,
    /// Shuts a client out; its tokens end at once
    Disable {
        /// The `client_id`
        client_id: String,
    },
}

/// A client on the command line.
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the operator")]
#[derive(Debug, Args)]
pub struct AddClient {
    /// The OAuth `client_id`
    client_id: String,
    /// The name that members and staff see
    #[arg(long)]
    name: String,
    /// `iss` of its CDS Hooks calls
    #[arg(long, value_name = "ISS")]
    issuer: Option<String>,
    /// A file with its public keys, a JWK set
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    jwks: Option<PathBuf>,
    /// Where its public keys are; also the `jku` that its tokens may name
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// A scope, such as system/Claim.c or patient/*.rs (may be repeated)
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A FHIR base that a hook's fhirServer may name (may be repeated)
    #[arg(long = "fhir-host", value_name = "URL")]
    fhir_hosts: Vec<String>,
    /// A sending-system id that it submits and subscribes for (may be repeated)
    #[arg(long = "sender", value_name = "ID")]
    senders: Vec<String>,
    /// An NPI of a provider that it acts for (may be repeated)
    #[arg(long = "npi", value_name = "NPI")]
    npis: Vec<String>,
    /// A host that notifications may be sent to (may be repeated)
    #[arg(long = "callback-host", value_name = "HOST")]
    callback_hosts: Vec<String>,
    /// An app's redirect address (may be repeated)
    #[arg(long = "redirect-uri", value_name = "URL")]
    redirect_uris: Vec<String>,
    /// Who makes the app; members see it
    #[arg(long)]
    company: Option<String>,
    /// The app's site
    #[arg(long, value_name = "URL")]
    client_uri: Option<String>,
    /// The app's privacy policy
    #[arg(long, value_name = "URL")]
    policy_uri: Option<String>,
    /// An app that can keep no secret
    #[arg(long, conflicts_with = "secret")]
    public: bool,
    /// Makes a secret for a confidential app and prints it once
    #[arg(long)]
    secret: bool,
    /// A guide version that it speaks, such as crd-2.2 (may be repeated)
    #[arg(long = "guide-version", value_name = "GUIDE-VERSION")]
    versions: Vec<String>,
    /// Allows http on loopback, for tests on one machine
    #[arg(long)]
    loopback_http: bool,
    /// Never answers "withpa" in CRD
    #[arg(long)]
    without_withpa: bool,
    /// Takes a coverage whose payer carries none of our identifiers
    #[arg(long)]
    any_payer_identifier: bool,
    /// What a repeated jti of a hook call means
    #[arg(long, value_enum, default_value = "strict")]
    jti_replay: Replay,
    /// How long its hook tokens may live, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    max_token_lifetime: u32,
}

/// [`JtiReplay`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Replay {
    /// Each token once
    Strict,
    /// Again to the same endpoint within a minute
    #[value(name = "same-endpoint-60s")]
    SameEndpoint60s,
    /// As often as the client likes until it ends
    Off,
}

impl From<Replay> for JtiReplay {
    fn from(replay: Replay) -> Self {
        match replay {
            Replay::Strict => Self::Strict,
            Replay::SameEndpoint60s => Self::SameEndpoint60s,
            Replay::Off => Self::Off,
        }
    }
}

/// Does it and gives what to print.
pub async fn run(command: ClientCommand, store: &Store, now: DateTime<Utc>) -> Result<String> {
    match command {
        ClientCommand::Add(new) => add(*new, store, now).await,
        ClientCommand::List => list(store).await,
        ClientCommand::Disable { client_id } => disable(client_id, store, now).await,
    }
}

async fn add(new: AddClient, store: &Store, now: DateTime<Utc>) -> Result<String> {
    let AddClient {
        client_id,
        name,
        secret,
        ..
    } = &new;
    let (client_id, name, secret) = (client_id.clone(), name.clone(), *secret);
    let mut client = new_client(&client_id, &name, document(new)?, now);
    let secret = secret.then(|| give_secret(&mut client));
    register(store, client, now).await?;
    let mut told = format!("Client {client_id} is registered.\n");
    if let Some(secret) = secret {
        let _ = writeln!(
            told,
            "client_secret: {secret}\nIt is not stored and not shown again."
        );
    }
    Ok(told)
}

fn document(new: AddClient) -> Result<ClientDoc> {
    Ok(ClientDoc {
        issuer: new.issuer,
        jwks: new.jwks.as_deref().map(read_keys).transpose()?,
        jwks_uri: new.jwks_uri,
        scopes: new.scopes,
        fhir_hosts: new.fhir_hosts,
        senders: new.senders,
        npis: new.npis,
        callback_hosts: new.callback_hosts,
        redirect_uris: new.redirect_uris,
        company: new.company,
        client_uri: new.client_uri,
        policy_uri: new.policy_uri,
        public: new.public,
        secret_hash: None,
        versions: new.versions,
        loopback_http: new.loopback_http,
        emit_withpa: !new.without_withpa,
        payer_identifier_strict: !new.any_payer_identifier,
        jti_replay: new.jti_replay.into(),
        max_token_lifetime_s: new.max_token_lifetime,
    })
}

fn read_keys(path: &Path) -> Result<serde_json::Value> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::malformed(format!("{} cannot be read: {e}", path.display())))?;
    serde_json::from_str(&text).map_err(|e| Error::malformed(format!("{} is not JSON: {e}", path.display())))
}

async fn list(store: &Store) -> Result<String> {
    let clients = store
        .read((), |tx, ()| Box::pin(async move { tx.clients().await }))
        .await?;
    let mut lines = String::new();
    for client in clients {
        let state = if client.disabled { "disabled" } else { "enabled" };
        let _ = writeln!(
            lines,
            "{}\t{state}\t{}\t{}",
            client.client_id,
            client.name,
            client.doc.scopes.join(" ")
        );
    }
    Ok(if lines.is_empty() {
        "No client is registered.\n".to_owned()
    } else {
        lines
    })
}

async fn disable(client_id: String, store: &Store, now: DateTime<Utc>) -> Result<String> {
    let told = format!("Client {client_id} is shut out.\n");
    let unknown = Error::not_found("client", &client_id);
    let found = store
        .write((client_id, now), |tx, (id, now)| {
            Box::pin(async move { tx.disable_client(id, *now).await })
        })
        .await?;
    if found { Ok(told) } else { Err(unknown) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: ClientCommand,
    }

    fn read(words: &[&str]) -> Result<ClientDoc, String> {
        let line = Line::try_parse_from(["client", "add", "ehr", "--name", "EHR"].iter().chain(words));
        match line.map_err(|e| e.to_string())?.command {
            ClientCommand::Add(new) => document(*new).map_err(|e| e.message().to_owned()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_bare_client_has_the_safe_defaults() {
        assert_eq!(read(&[]).unwrap(), ClientDoc::default());
    }

    #[test]
    fn words_of_the_line_become_the_document() {
        let doc = read(&[
            "--scope",
            "system/Claim.c",
            "--scope",
            "system/Library.rs",
            "--jti-replay",
            "same-endpoint-60s",
            "--without-withpa",
            "--max-token-lifetime",
            "60",
        ])
        .unwrap();
        assert_eq!(doc.scopes, ["system/Claim.c", "system/Library.rs"]);
        assert_eq!(doc.jti_replay, JtiReplay::SameEndpoint60s);
        assert!(!doc.emit_withpa);
        assert_eq!(doc.max_token_lifetime_s, 60);
    }

    #[test]
    fn a_public_app_gets_no_secret() {
        assert!(read(&["--public", "--secret"]).is_err());
        assert!(
            read(&["--jwks", "no-such-file"])
                .unwrap_err()
                .contains("no-such-file")
        );
    }
}
