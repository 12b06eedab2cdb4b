//! A server with the demo plan in an empty database, and what is needed to call it: tokens, keys and a session.

use crate::client::{Figures, HttpClient, Load, Template};
use crate::database::{Database, Kind};
use crate::requests;
use crate::server::Server;
use crate::signing::{Signing, new_rsa_key};
use assent::app::App;
use assent::auth::fingerprint;
use assent::clock::{Clock, new_id, new_secret};
use assent::config::{Config, MailTransport, PasswordCost};
use assent::demo::{keys, seed, walk::messages::Messages};
use assent::error::{Error, Result};
use assent::store::oauth::{Grant, Token, TokenKind};
use assent::store::sessions::{Session, SessionKind};
use assent::store::{Store, Tx};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// How long tokens and sessions are valid: longer than the measurement.
const VALID_HOURS: i64 = 24;

/// An installation of the server. The server runs only while it is measured.
pub struct Installation<'a> {
    pub runtime: &'a Runtime,
    pub database: Database,
    pub access: Access,
    data: PathBuf,
    address: String,
}

/// The secrets of those who call.
pub struct Access {
    /// The access token of the demo EHR.
    pub backend: String,
    /// The access token of a member's app.
    pub app: String,
    /// The cookie of a nurse.
    pub cookie: String,
    /// The canonical URL of the oxygen form.
    pub form: String,
    elliptic: String,
    rsa: (String, String, Value),
}

impl<'a> Installation<'a> {
    /// Creates the database and fills it with the demo plan.
    pub fn new(runtime: &'a Runtime, kind: &Kind, folder: &Path) -> Result<Self> {
        let data = folder.join(new_id(Clock::System.now()).simple().to_string());
        assent::store::create_private_folder(&data)?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::internal)?;
        let address = listener.local_addr().map_err(Error::internal)?.to_string();
        drop(listener);
        let database = runtime.block_on(Database::create(kind, folder))?;
        let access = runtime.block_on(fill(config(&database.url, &data, &address)?, &data))?;
        Ok(Self {
            runtime,
            database,
            access,
            data,
            address,
        })
    }

    /// The messages that are sent.
    pub fn messages() -> Messages {
        Messages::new(Clock::System.now())
    }

    /// Starts the server.
    pub fn start(&self) -> Result<Server> {
        Server::start(&self.database.url, &self.data, &self.address, "memory")
    }

    /// Starts the server so that it writes mail into files: mail that stays in memory would count as its memory.
    pub fn start_with_mail_files(&self) -> Result<Server> {
        Server::start(&self.database.url, &self.data, &self.address, "file")
    }

    /// Opens the store. The server must not be running.
    pub fn store(&self) -> Result<Store> {
        let config = config(&self.database.url, &self.data, &self.address)?;
        self.runtime.block_on(Store::open(&config))
    }

    /// Deletes everything.
    pub fn delete(self) -> Result<()> {
        // A failure is harmless: the operating system cleans up its folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.data);
        self.runtime.block_on(self.database.delete())
    }

    /// How the EHR signs its hook calls.
    pub fn signing(&self, algorithm: &str) -> Signing {
        let (key, key_id) = if algorithm == "ES384" {
            (self.access.elliptic.clone(), seed::EHR.to_owned())
        } else {
            (self.access.rsa.0.clone(), self.access.rsa.1.clone())
        };
        Signing {
            algorithm: algorithm.to_owned(),
            key,
            key_id,
            issuer: "https://ehr.demo.example".to_owned(),
            audience: format!("http://{}{}", self.address, requests::HOOK),
        }
    }

    /// A request that is approved at once.
    pub fn submit(&self, items: usize, size: usize) -> Template {
        requests::submit(
            &Self::messages(),
            &self.access.form,
            &self.access.backend,
            items,
            size,
        )
    }

    /// Sends one request and returns its answer.
    pub fn send(&self, template: &Template) -> Result<String> {
        let answer = self
            .runtime
            .block_on(HttpClient::new().send(&self.address, template, None))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Sends one kind of request to the server from a client process.
    pub fn load(&self, template: &Template, connections: usize, count: usize) -> Result<Figures> {
        load(&self.address, template, connections, count)
    }

    /// Several kinds of requests in turn, and at fixed times if there is a rate.
    pub fn mixed_load(
        &self,
        requests: Vec<Template>,
        count: usize,
        per_second: Option<f64>,
    ) -> Result<Figures> {
        crate::client::run(&Load {
            address: self.address.clone(),
            requests,
            connections: 32,
            warm_up: 0,
            count,
            per_second,
        })
    }
}

/// Sends one kind of request from a client process.
pub fn load(address: &str, template: &Template, connections: usize, count: usize) -> Result<Figures> {
    crate::client::run(&Load {
        address: address.to_owned(),
        requests: vec![template.clone()],
        connections,
        warm_up: (count / 5).max(100),
        count,
        per_second: None,
    })
}

fn config(database: &str, data: &Path, address: &str) -> Result<Config> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = Config::defaults()?;
    config.database = database.to_owned();
    config.data = data.to_owned();
    config.public_url = format!("http://{address}");
    config.mail.transport = MailTransport::Memory;
    config.rules = root.join("rules");
    config.forms = root.join("questionnaires");
    config.password_cost = PasswordCost::Minimal;
    Ok(config)
}

/// Stores the demo plan, the tokens, a session and a second key of the EHR.
async fn fill(config: Config, data: &Path) -> Result<Access> {
    let app = App::build(config, Clock::System).await?;
    seed::fill_plan(&app.state, data).await?;
    let state = &app.state;
    let form = state
        .policy_set()
        .forms
        .canonical("home-oxygen|1.0.0", &state.config.public_url)
        .ok_or_else(|| Error::not_found("form", "home-oxygen|1.0.0"))?;
    let rsa = new_rsa_key()?;
    let secrets = Secrets {
        backend: new_secret(),
        app: new_secret(),
        session: new_secret(),
        public_url: state.config.public_url.clone(),
        rsa: rsa.2.clone(),
    };
    let access = Access {
        backend: secrets.backend.clone(),
        app: secrets.app.clone(),
        cookie: format!("assent_session={}", secrets.session),
        form,
        elliptic: URL_SAFE_NO_PAD.encode(&keys::client_key(data, seed::EHR)?.pkcs8),
        rsa,
    };
    let unit = state.store.write((secrets, state.now()), |tx, (secrets, now)| {
        Box::pin(async move {
            add_second_key(tx, &secrets.rsa, *now).await?;
            add_tokens(tx, secrets, *now).await?;
            add_session(tx, &secrets.session, *now).await
        })
    });
    unit.await?;
    app.state.store.close().await;
    Ok(access)
}

/// What the units of work store as fingerprints.
struct Secrets {
    backend: String,
    app: String,
    session: String,
    public_url: String,
    /// The public key.
    rsa: Value,
}

async fn add_second_key(tx: &mut Tx, key: &Value, now: DateTime<Utc>) -> Result<()> {
    let client = tx.client_by_client_id(seed::EHR).await?;
    let mut client = client.ok_or_else(|| Error::not_found("client", seed::EHR))?;
    let known = client
        .doc
        .jwks
        .as_ref()
        .and_then(|set| set.get("keys")?.as_array().cloned());
    let keys: Vec<Value> = known.into_iter().flatten().chain([key.clone()]).collect();
    client.doc.jwks = Some(json!({ "keys": keys }));
    tx.put_client(&client, now).await?;
    Ok(())
}

async fn add_tokens(tx: &mut Tx, secrets: &Secrets, now: DateTime<Utc>) -> Result<()> {
    let ehr = tx.client_by_client_id(seed::EHR).await?;
    let ehr = ehr.ok_or_else(|| Error::not_found("client", seed::EHR))?;
    let app = tx.client_by_client_id(seed::APP).await?;
    let app = app.ok_or_else(|| Error::not_found("client", seed::APP))?;
    let login = tx.login_by_username("joe").await?;
    let login = login.ok_or_else(|| Error::not_found("sign-in", "joe"))?;
    let grant = Grant {
        id: new_id(now),
        client: app.id,
        login: login.id,
        member: login.member,
        scope: "patient/ExplanationOfBenefit.rs".to_owned(),
        sensitive: true,
        created: now,
        last_used: None,
        ended: None,
    };
    tx.add_grant(&grant).await?;
    let token = |secret: &str, client: Uuid, scope: &str, base: &str| Token {
        hash: fingerprint(secret),
        kind: TokenKind::Access,
        client,
        grant: None,
        scope: scope.to_owned(),
        aud: format!("{}{base}", secrets.public_url),
        created: now,
        expires: now + Duration::hours(VALID_HOURS),
        ended: None,
    };
    tx.add_token(&token(&secrets.backend, ehr.id, "system/Claim.cruds", "/pas/2.2"))
        .await?;
    let of_app = Token {
        grant: Some(grant.id),
        ..token(&secrets.app, app.id, &grant.scope, "/fhir/pdex")
    };
    tx.add_token(&of_app).await
}

async fn add_session(tx: &mut Tx, secret: &str, now: DateTime<Utc>) -> Result<()> {
    let nurse = tx.staff_member_by_username("nora").await?;
    let nurse = nurse.ok_or_else(|| Error::not_found("staff member", "nora"))?;
    tx.open_session(&Session {
        hash: fingerprint(secret),
        kind: SessionKind::Staff,
        subject: nurse.id,
        csrf: new_secret(),
        created: now,
        seen: now,
        expires: now + Duration::hours(VALID_HOURS),
    })
    .await
}
