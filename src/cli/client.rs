//! `assent client`: registers, lists and disables clients (client systems and members' apps).

use crate::auth::registration::{new_client, register, set_new_secret};
use crate::auth::{ClientDoc, JtiReplay};
use crate::error::{Error, Result};
use crate::store::Store;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Subcommands of `client`.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Register a client: an EHR, a clearinghouse, a member's app
    Add(Box<AddClient>),
    /// List the registered clients
    List,
    /// Disable a client and revoke its tokens
    Disable {
        /// OAuth `client_id`
        client_id: String,
    },
}

/// Options of `client add`.
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command")]
#[derive(Debug, Args)]
pub struct AddClient {
    /// OAuth `client_id`
    client_id: String,
    /// Name that members and staff see
    #[arg(long)]
    name: String,
    /// Issuer (iss) in the tokens of its CDS Hooks calls
    #[arg(long, value_name = "ISS")]
    issuer: Option<String>,
    /// File with its public keys (JWK set)
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    jwks: Option<PathBuf>,
    /// URL of its public keys (JWK set), which its tokens may name as jku
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// Scope that it may request, such as system/Claim.c or patient/*.rs (repeatable)
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// FHIR base URL that its hooks may name as fhirServer (repeatable)
    #[arg(long = "fhir-host", value_name = "URL")]
    fhir_hosts: Vec<String>,
    /// Sending system id (X12 ISA06) for which it submits requests and subscribes (repeatable)
    #[arg(long = "sender", value_name = "ID")]
    senders: Vec<String>,
    /// NPI of a provider for which it acts (repeatable)
    #[arg(long = "npi", value_name = "NPI")]
    npis: Vec<String>,
    /// Host to which its subscriptions may send notifications (repeatable)
    #[arg(long = "callback-host", value_name = "HOST")]
    callback_hosts: Vec<String>,
    /// Redirect URI of an app (repeatable)
    #[arg(long = "redirect-uri", value_name = "URL")]
    redirect_uris: Vec<String>,
    /// Origin from which its browser app calls: scheme, host and port, without a path. Origins of redirect URIs are
    /// included (repeatable)
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Company that makes the app; members see it
    #[arg(long)]
    company: Option<String>,
    /// Website of the app
    #[arg(long, value_name = "URL")]
    client_uri: Option<String>,
    /// Privacy policy of the app
    #[arg(long, value_name = "URL")]
    policy_uri: Option<String>,
    /// Public app: it cannot keep a secret, so PKCE alone protects its codes
    #[arg(long, conflicts_with = "secret")]
    public: bool,
    /// Generate a client secret for a confidential app and print it once
    #[arg(long)]
    secret: bool,
    /// Guide version that it uses, such as crd-2.2 (repeatable)
    #[arg(long = "guide-version", value_name = "GUIDE-VERSION")]
    versions: Vec<String>,
    /// Allow http on loopback addresses, for tests on one machine
    #[arg(long)]
    loopback_http: bool,
    /// Never send the code withpa to it in CRD coverage information
    #[arg(long)]
    without_withpa: bool,
    /// Accept a coverage whose payer has none of this plan's identifiers
    #[arg(long)]
    any_payer_identifier: bool,
    /// Whether a hook call may repeat the jti of an earlier call
    #[arg(long, value_enum, default_value = "strict")]
    jti_replay: Replay,
    /// Maximum lifetime of its hook tokens, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    max_token_lifetime: u32,
}

/// [`JtiReplay`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Replay {
    /// Each token is accepted once
    Strict,
    /// A token is accepted again at the same endpoint within 60 seconds
    #[value(name = "same-endpoint-60s")]
    SameEndpoint60s,
    /// A token is accepted any number of times until it expires
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

/// Runs a subcommand and returns the text to print.
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
    let mut client = new_client(&client_id, &name, client_doc(new)?, now);
    let secret = secret.then(|| set_new_secret(&mut client));
    register(store, client, now).await?;
    let mut text = format!("Client {client_id} is registered.\n");
    if let Some(secret) = secret {
        let _ = writeln!(
            text,
            "client_secret: {secret}\nThe secret is shown only now; Assent stores only its hash."
        );
    }
    Ok(text)
}

fn client_doc(new: AddClient) -> Result<ClientDoc> {
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
        origins: new.origins,
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
        "No clients are registered.\n".to_owned()
    } else {
        lines
    })
}

async fn disable(client_id: String, store: &Store, now: DateTime<Utc>) -> Result<String> {
    let text = format!("Client {client_id} is disabled and its tokens are revoked.\n");
    let not_found = Error::not_found("client", &client_id);
    let found = store
        .write((client_id, now), |tx, (id, now)| {
            Box::pin(async move { tx.disable_client(id, *now).await })
        })
        .await?;
    if found { Ok(text) } else { Err(not_found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct TestCommand {
        #[command(subcommand)]
        command: ClientCommand,
    }

    fn parse(arguments: &[&str]) -> Result<ClientDoc, String> {
        let parsed =
            TestCommand::try_parse_from(["client", "add", "ehr", "--name", "EHR"].iter().chain(arguments));
        match parsed.map_err(|e| e.to_string())?.command {
            ClientCommand::Add(new) => client_doc(*new).map_err(|e| e.message().to_owned()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_client_without_options_has_the_safe_defaults() {
        assert_eq!(parse(&[]).unwrap(), ClientDoc::default());
    }

    #[test]
    fn options_are_stored_in_the_client_document() {
        let doc = parse(&[
            "--scope",
            "system/Claim.c",
            "--scope",
            "system/Library.rs",
            "--origin",
            "https://forms.ehr.example",
            "--jti-replay",
            "same-endpoint-60s",
            "--without-withpa",
            "--max-token-lifetime",
            "60",
        ])
        .unwrap();
        assert_eq!(doc.scopes, ["system/Claim.c", "system/Library.rs"]);
        assert_eq!(doc.origins, ["https://forms.ehr.example"]);
        assert_eq!(doc.jti_replay, JtiReplay::SameEndpoint60s);
        assert!(!doc.emit_withpa);
        assert_eq!(doc.max_token_lifetime_s, 60);
    }

    #[test]
    fn a_public_app_cannot_have_a_secret_and_a_missing_key_file_is_named() {
        assert!(parse(&["--public", "--secret"]).is_err());
        assert!(
            parse(&["--jwks", "no-such-file"])
                .unwrap_err()
                .contains("no-such-file")
        );
    }
}
