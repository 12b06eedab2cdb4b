//! Codes and refresh tokens on a real database: what is used up, what ends what.

use super::*;
use crate::auth::registration::{NewLogin, enroll_member, new_client, register};
use crate::auth::{ClientDoc, JtiReplay};
use crate::config::{Config, PasswordWork};
use crate::plan::Member;
use crate::store::oauth::Code;
use serde_json::json;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "https://app.example/cb";

struct House {
    store: Store,
    client: Client,
    grant: Grant,
    now: DateTime<Utc>,
    _folder: tempfile::TempDir,
}

/// A member who allowed an app; the code `c` was sent to it a moment ago.
async fn house() -> House {
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
    let new = NewLogin {
        username: "jane".to_owned(),
        member_id: "M1".to_owned(),
        email: None,
        password: "long enough it is".to_owned(),
    };
    let login = enroll_member(&store, new, PasswordWork::Quick, now)
        .await
        .unwrap();
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
    let code = Code {
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
                tx.add_code(code).await
            })
        })
        .await
        .unwrap();
    House {
        store,
        client,
        grant,
        now,
        _folder: folder,
    }
}

impl House {
    fn bringing(&self, what: &str, new: &str, after: i64) -> Bringing {
        Bringing {
            client: self.client.clone(),
            jti: None,
            brought: fingerprint(what),
            new: NewTokens {
                access: format!("access {new}"),
                refresh: format!("refresh {new}"),
            },
            audience: "https://pa.example/fhir/pdex".to_owned(),
            now: self.now + Duration::seconds(after),
        }
    }

    async fn code(&self, verifier: &str, after: i64) -> Outcome {
        let bringing = self.bringing("c", "1", after);
        of_code(&self.store, bringing, REDIRECT.to_owned(), verifier.to_owned())
            .await
            .unwrap()
    }

    async fn refresh(&self, what: &str, new: &str, asked: Option<&str>) -> Outcome {
        let bringing = self.bringing(what, new, 30);
        of_refresh(&self.store, bringing, asked.map(str::to_owned))
            .await
            .unwrap()
    }

    async fn token_holds(&self, secret: &str) -> bool {
        let at = self.now + Duration::seconds(40);
        self.store
            .read((fingerprint(secret), at), |tx, (hash, at)| {
                Box::pin(async move { Ok(tx.token(hash).await?.is_some_and(|token| token.holds(*at))) })
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
                Box::pin(async move { Ok(tx.live_grants(*member, *now).await?.len()) })
            })
            .await
            .unwrap()
    }
}

fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(_))
}

#[tokio::test]
async fn a_code_gives_tokens_once_and_a_second_use_takes_them_back() {
    let house = house().await;
    assert_eq!(house.live_grants().await, 0, "a code alone opens nothing");
    let Outcome::Given(given) = house.code(VERIFIER, 5).await else {
        panic!("no tokens")
    };
    assert_eq!(given.scopes.to_string(), house.grant.scope);
    assert!(given.refresh && given.member == house.grant.member);
    assert!(house.token_holds("access 1").await);
    assert_eq!(house.live_grants().await, 1);
    assert!(is_refused(&house.code(VERIFIER, 6).await));
    assert!(!house.token_holds("access 1").await);
    assert!(!house.token_holds("refresh 1").await);
    assert!(house.grant_is_ended().await);
    assert_eq!(house.live_grants().await, 0);
}

#[tokio::test]
async fn a_wrong_verifier_burns_the_code() {
    let house = house().await;
    assert!(is_refused(&house.code(&VERIFIER.replace('d', "e"), 5).await));
    assert!(is_refused(&house.code(VERIFIER, 6).await));
    assert!(!house.token_holds("access 1").await);
}

#[tokio::test]
async fn a_code_that_is_over_or_was_sent_elsewhere_gives_nothing() {
    assert!(is_refused(&house().await.code(VERIFIER, 60).await));
    let house = house().await;
    let elsewhere = "https://app.example/other".to_owned();
    let outcome = of_code(
        &house.store,
        house.bringing("c", "1", 5),
        elsewhere,
        VERIFIER.to_owned(),
    )
    .await;
    assert!(is_refused(&outcome.unwrap()));
}

#[tokio::test]
async fn another_clients_code_is_unknown_and_stays_good() {
    let house = house().await;
    let mut stranger = house.bringing("c", "1", 5);
    stranger.client.id = crate::clock::new_id(house.now);
    let outcome = of_code(&house.store, stranger, REDIRECT.to_owned(), VERIFIER.to_owned())
        .await
        .unwrap();
    assert!(is_refused(&outcome));
    assert!(matches!(house.code(VERIFIER, 5).await, Outcome::Given(_)));
}

#[tokio::test]
async fn a_refresh_rotates_and_a_reused_one_ends_the_whole_grant() {
    let house = house().await;
    house.code(VERIFIER, 5).await;
    assert!(matches!(
        house.refresh("refresh 1", "2", None).await,
        Outcome::Given(_)
    ));
    assert!(house.token_holds("access 2").await && house.token_holds("refresh 2").await);
    assert!(!house.token_holds("refresh 1").await);
    assert!(is_refused(&house.refresh("refresh 1", "3", None).await));
    assert!(house.grant_is_ended().await);
    assert!(!house.token_holds("access 2").await && !house.token_holds("refresh 2").await);
    assert!(is_refused(&house.refresh("refresh 2", "4", None).await));
}

#[tokio::test]
async fn a_refresh_may_ask_for_less_and_gets_all_back_next_time() {
    let house = house().await;
    house.code(VERIFIER, 5).await;
    assert_eq!(
        house.refresh("refresh 1", "2", Some("patient/Coverage.rs")).await,
        Outcome::TooMuch
    );
    let Outcome::Given(less) = house.refresh("refresh 1", "2", Some("patient/Patient.r")).await else {
        panic!("no tokens")
    };
    assert_eq!(less.scopes.to_string(), "patient/Patient.r");
    let Outcome::Given(all) = house.refresh("refresh 2", "3", None).await else {
        panic!("no tokens")
    };
    assert_eq!(all.scopes.to_string(), house.grant.scope);
}

#[tokio::test]
async fn a_shut_sign_in_gets_no_new_tokens() {
    let house = house().await;
    house.code(VERIFIER, 5).await;
    let login = house.grant.login;
    house
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
    assert!(is_refused(&house.refresh("refresh 1", "2", None).await));
}

#[tokio::test]
async fn the_id_of_an_assertion_is_spent_as_its_client_is_registered() {
    let house = house().await;
    let spent = async |replay: JtiReplay, id: &str, after: i64| {
        let jti = Jti {
            issuer: "ehr".to_owned(),
            jti: id.to_owned(),
            expires: house.now + Duration::seconds(300),
            replay,
            seen: house.now + Duration::seconds(after),
        };
        house
            .store
            .write(jti, |tx, jti| Box::pin(async move { tx.spend_jti(jti).await }))
            .await
            .is_ok()
    };
    assert!(spent(JtiReplay::Strict, "a", 0).await);
    assert!(!spent(JtiReplay::Strict, "a", 1).await);
    assert!(spent(JtiReplay::SameEndpoint60s, "b", 0).await);
    assert!(spent(JtiReplay::SameEndpoint60s, "b", 59).await);
    assert!(!spent(JtiReplay::SameEndpoint60s, "b", 60).await);
    assert!(spent(JtiReplay::Off, "c", 0).await && spent(JtiReplay::Off, "c", 1).await);
    let purged = house
        .store
        .write(house.now + Duration::seconds(301), |tx, now| {
            Box::pin(async move { tx.purge(*now, *now).await })
        })
        .await
        .unwrap();
    assert!(purged >= 3, "the three spent ids are gone");
}
