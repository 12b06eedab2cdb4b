//! Tests of codes and refresh tokens with a real database: single use, expiry, and the end of grants.

use super::*;
use crate::auth::registration::{NewMemberLogin, add_member_login, new_client, register};
use crate::auth::{ClientDoc, JtiReplay};
use crate::config::{Config, PasswordCost};
use crate::plan::Member;
use crate::store::accounts::MemberLogin;
use crate::store::oauth::AuthorizationCode;
use crate::store::retention::Expiring;
use serde_json::json;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "https://app.example/cb";

struct Fixture {
    store: Store,
    client: Client,
    grant: Grant,
    now: DateTime<Utc>,
    _folder: tempfile::TempDir,
}

/// A member who allowed an app to read data. The app has just received the code `c`.
async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::defaults().unwrap();
    config.database = format!("sqlite:{}", folder.path().join("a.db").display());
    let store = Store::open(&config).await.unwrap();
    let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
    let doc = ClientDoc {
        public: true,
        redirect_uris: vec![REDIRECT.to_owned()],
        scopes: vec!["patient/*.rs".to_owned(), "offline_access".to_owned()],
        ..ClientDoc::default()
    };
    let client = new_client("app", "An app", doc, now);
    register(&store, client.clone(), now).await.unwrap();
    let login = store_member(&store, now).await;
    let grant = store_grant(&store, &client, &login, now).await;
    Fixture {
        store,
        client,
        grant,
        now,
        _folder: folder,
    }
}

async fn store_member(store: &Store, now: DateTime<Utc>) -> MemberLogin {
    let member = Member {
        id: crate::clock::new_id(now),
        member_id: "M1".to_owned(),
        family: "doe".to_owned(),
        given: "jane".to_owned(),
        birth_date: None,
        gender: None,
        doc: json!({"resourceType": "Patient"}),
    };
    store
        .write((member, now), |tx, (member, now)| {
            Box::pin(async move { tx.put_member(member, *now).await })
        })
        .await
        .unwrap();
    let new = NewMemberLogin {
        username: "jane".to_owned(),
        member_id: "M1".to_owned(),
        email: None,
        password: "a long enough password".to_owned(),
    };
    add_member_login(store, new, PasswordCost::Minimal, now)
        .await
        .unwrap()
}

/// Stores a grant and the code `c`.
async fn store_grant(store: &Store, client: &Client, login: &MemberLogin, now: DateTime<Utc>) -> Grant {
    let grant = Grant {
        id: crate::clock::new_id(now),
        client: client.id,
        login: login.id,
        member: login.member,
        scope: "launch/patient patient/ExplanationOfBenefit.rs patient/Patient.rs offline_access".to_owned(),
        sensitive: false,
        created: now,
        last_used: None,
        ended: None,
    };
    let code = AuthorizationCode {
        code_hash: fingerprint("c"),
        grant_id: grant.id,
        redirect_uri: REDIRECT.to_owned(),
        challenge: fingerprint(VERIFIER),
        expires: now + Duration::seconds(60),
        used: None,
    };
    store
        .write((grant.clone(), code), |tx, (grant, code)| {
            Box::pin(async move {
                tx.add_grant(grant).await?;
                tx.add_authorization_code(code).await
            })
        })
        .await
        .unwrap();
    grant
}

impl Fixture {
    /// A request with this code or refresh token, `seconds` after the code was issued. The new tokens end with `new`.
    fn request(&self, presented: &str, new: &str, seconds: i64) -> AppTokenRequest {
        AppTokenRequest {
            client: self.client.clone(),
            jti: None,
            presented_hash: fingerprint(presented),
            new_tokens: NewTokens {
                access: format!("access {new}"),
                refresh: format!("refresh {new}"),
            },
            audience: "https://pa.example/fhir/pdex".to_owned(),
            now: self.now + Duration::seconds(seconds),
        }
    }

    async fn redeem_code(&self, verifier: &str, seconds: i64) -> TokenOutcome {
        let request = self.request("c", "1", seconds);
        redeem_code(&self.store, request, REDIRECT.to_owned(), verifier.to_owned())
            .await
            .unwrap()
    }

    async fn refresh(&self, refresh_token: &str, new: &str, scope: Option<&str>) -> TokenOutcome {
        let request = self.request(refresh_token, new, 30);
        redeem_refresh_token(&self.store, request, scope.map(str::to_owned))
            .await
            .unwrap()
    }

    async fn token_is_valid(&self, secret: &str) -> bool {
        let at = self.now + Duration::seconds(40);
        self.store
            .read((fingerprint(secret), at), |tx, (hash, at)| {
                Box::pin(async move { Ok(tx.token(hash).await?.is_some_and(|token| token.is_valid_at(*at))) })
            })
            .await
            .unwrap()
    }

    async fn grant_is_ended(&self) -> bool {
        let found = self
            .store
            .read(self.grant.id, |tx, id| {
                Box::pin(async move { tx.grant(*id).await })
            })
            .await
            .unwrap();
        found.unwrap().ended.is_some()
    }

    async fn live_grants(&self) -> usize {
        self.store
            .read((self.grant.member, self.now), |tx, (member, now)| {
                Box::pin(async move { Ok(tx.active_grants(*member, *now).await?.len()) })
            })
            .await
            .unwrap()
    }
}

fn is_refused(outcome: &TokenOutcome) -> bool {
    matches!(outcome, TokenOutcome::InvalidGrant(_))
}

#[tokio::test]
async fn a_code_gives_tokens_once_and_a_second_use_revokes_them() {
    let fixture = fixture().await;
    assert_eq!(
        fixture.live_grants().await,
        0,
        "a code alone is not an active grant"
    );
    let TokenOutcome::Issued(issued) = fixture.redeem_code(VERIFIER, 5).await else {
        panic!("no tokens")
    };
    assert_eq!(issued.scopes.to_string(), fixture.grant.scope);
    assert!(issued.has_refresh_token && issued.member == fixture.grant.member);
    assert!(fixture.token_is_valid("access 1").await);
    assert_eq!(fixture.live_grants().await, 1);
    assert!(is_refused(&fixture.redeem_code(VERIFIER, 6).await));
    assert!(!fixture.token_is_valid("access 1").await);
    assert!(!fixture.token_is_valid("refresh 1").await);
    assert!(fixture.grant_is_ended().await);
    assert_eq!(fixture.live_grants().await, 0);
}

#[tokio::test]
async fn a_wrong_verifier_uses_up_the_code() {
    let fixture = fixture().await;
    assert!(is_refused(
        &fixture.redeem_code(&VERIFIER.replace('d', "e"), 5).await
    ));
    assert!(is_refused(&fixture.redeem_code(VERIFIER, 6).await));
    assert!(!fixture.token_is_valid("access 1").await);
}

#[tokio::test]
async fn an_expired_code_and_a_wrong_redirect_uri_are_refused() {
    assert!(is_refused(&fixture().await.redeem_code(VERIFIER, 60).await));
    let fixture = fixture().await;
    let other_uri = "https://app.example/other".to_owned();
    let outcome = redeem_code(
        &fixture.store,
        fixture.request("c", "1", 5),
        other_uri,
        VERIFIER.to_owned(),
    )
    .await;
    assert!(is_refused(&outcome.unwrap()));
}

#[tokio::test]
async fn another_clients_code_is_unknown_and_stays_valid() {
    let fixture = fixture().await;
    let mut other_client = fixture.request("c", "1", 5);
    other_client.client.id = crate::clock::new_id(fixture.now);
    let outcome = redeem_code(
        &fixture.store,
        other_client,
        REDIRECT.to_owned(),
        VERIFIER.to_owned(),
    )
    .await
    .unwrap();
    assert!(is_refused(&outcome));
    assert!(matches!(
        fixture.redeem_code(VERIFIER, 5).await,
        TokenOutcome::Issued(_)
    ));
}

#[tokio::test]
async fn a_refresh_token_is_replaced_and_its_reuse_ends_the_grant() {
    let fixture = fixture().await;
    fixture.redeem_code(VERIFIER, 5).await;
    assert!(matches!(
        fixture.refresh("refresh 1", "2", None).await,
        TokenOutcome::Issued(_)
    ));
    assert!(fixture.token_is_valid("access 2").await && fixture.token_is_valid("refresh 2").await);
    assert!(!fixture.token_is_valid("refresh 1").await);
    assert!(is_refused(&fixture.refresh("refresh 1", "3", None).await));
    assert!(fixture.grant_is_ended().await);
    assert!(!fixture.token_is_valid("access 2").await && !fixture.token_is_valid("refresh 2").await);
    assert!(is_refused(&fixture.refresh("refresh 2", "4", None).await));
}

#[tokio::test]
async fn a_refresh_may_request_fewer_scopes_and_keeps_the_grant() {
    let fixture = fixture().await;
    fixture.redeem_code(VERIFIER, 5).await;
    assert_eq!(
        fixture
            .refresh("refresh 1", "2", Some("patient/Coverage.rs"))
            .await,
        TokenOutcome::InvalidScope
    );
    let TokenOutcome::Issued(fewer) = fixture.refresh("refresh 1", "2", Some("patient/Patient.r")).await
    else {
        panic!("no tokens")
    };
    assert_eq!(fewer.scopes.to_string(), "patient/Patient.r");
    let TokenOutcome::Issued(all) = fixture.refresh("refresh 2", "3", None).await else {
        panic!("no tokens")
    };
    assert_eq!(all.scopes.to_string(), fixture.grant.scope);
}

#[tokio::test]
async fn a_disabled_member_account_gets_no_new_tokens() {
    let fixture = fixture().await;
    fixture.redeem_code(VERIFIER, 5).await;
    let login = fixture.grant.login;
    fixture
        .store
        .write(login, |tx, id| {
            Box::pin(async move {
                let mut login = tx.login(*id).await?.unwrap();
                login.disabled = true;
                tx.put_login(&login).await
            })
        })
        .await
        .unwrap();
    assert!(is_refused(&fixture.refresh("refresh 1", "2", None).await));
}

#[tokio::test]
async fn a_jti_is_spent_as_the_client_is_registered() {
    let fixture = fixture().await;
    let spend = async |replay: JtiReplay, id: &str, seconds: i64| {
        let jti = Jti {
            issuer: "ehr".to_owned(),
            jti: id.to_owned(),
            expires: fixture.now + Duration::seconds(300),
            replay,
            seen: fixture.now + Duration::seconds(seconds),
        };
        fixture
            .store
            .write(jti, |tx, jti| Box::pin(async move { tx.spend_jti(jti).await }))
            .await
            .is_ok()
    };
    assert!(spend(JtiReplay::Strict, "a", 0).await);
    assert!(!spend(JtiReplay::Strict, "a", 1).await);
    assert!(spend(JtiReplay::SameEndpoint60s, "b", 0).await);
    assert!(spend(JtiReplay::SameEndpoint60s, "b", 59).await);
    assert!(!spend(JtiReplay::SameEndpoint60s, "b", 60).await);
    assert!(spend(JtiReplay::Off, "c", 0).await && spend(JtiReplay::Off, "c", 1).await);
    let purged = fixture
        .store
        .write(fixture.now + Duration::seconds(301), |tx, now| {
            let kind = Expiring::TokenIds;
            Box::pin(async move { tx.delete_expired(kind, *now, Uuid::nil()).await })
        })
        .await
        .unwrap();
    assert!(purged.count >= 3, "the three spent ids should be deleted");
}
