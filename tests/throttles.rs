//! Limits for guessed passwords, client secrets and codes: they count before anything is checked, on both databases.

use crate::support::{Browser, Reply, both};
use assent::auth::ClientDoc;
use assent::auth::registration::{new_client, register, set_new_secret};
use assent::demo::seed::{APP, APP_REDIRECT};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use chrono::Duration;
use futures_util::future::join_all;
use std::net::SocketAddr;

/// How many replies have this status.
fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

/// The request as if it came from this address.
fn from(address: &str, mut request: Request<Body>) -> Request<Body> {
    let peer: SocketAddr = format!("{address}:40000").parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

both! {
    async fn of_300_passwords_at_once_ten_are_checked(app: &TestApp) {
        let mut browser = Browser::new(app);
        let form = browser.form("/staff/sign-in", "password").await;
        let guesses = (0..300).map(|n| {
            let password = format!("not the password {n}");
            app.call(browser.post(&form, &[("login", "nora"), ("password", &password)]))
        });
        let replies = join_all(guesses).await;
        assert_eq!((count(&replies, 401), count(&replies, 429)), (10, 290));
        let right = app.sign_ins["nora"].password.clone();
        let fields = [("login", "nora"), ("password", right.as_str())];
        assert_eq!(app.call(browser.post(&form, &fields)).await.status, 429);
        let elsewhere = from("198.51.100.7", browser.post(&form, &fields));
        assert_eq!(app.call(elsewhere).await.status, 303, "the owner of the account is not locked out elsewhere");
        app.clock.advance(Duration::minutes(15));
        assert_eq!(app.call(browser.post(&form, &fields)).await.status, 303);
    }

    async fn guesses_from_many_addresses_do_not_lock_out_an_owner_who_has_signed_in_before(app: &TestApp) {
        app.staff("nora").await;
        let mut browser = Browser::new(app);
        let form = browser.form("/staff/sign-in", "password").await;
        let wrong = [("login", "nora"), ("password", "not the password")];
        let guesses = (0..30).flat_map(|n| (0..10).map(move |_| format!("198.51.100.{n}")));
        let guesses = guesses.map(|address| app.call(from(&address, browser.post(&form, &wrong))));
        let replies = join_all(guesses).await;
        assert_eq!((count(&replies, 401), count(&replies, 429)), (100, 200));
        let right = app.sign_ins["nora"].password.clone();
        let fields = [("login", "nora"), ("password", right.as_str())];
        let unknown_address = from("203.0.113.1", browser.post(&form, &fields));
        assert_eq!(app.call(unknown_address).await.status, 429);
        assert_eq!(app.call(browser.post(&form, &fields)).await.status, 303);
    }

    async fn one_address_cannot_try_the_names_of_many_accounts(app: &TestApp) {
        let mut browser = Browser::new(app);
        let form = browser.form("/me/sign-in", "password").await;
        let guesses = (0..320).map(|n| {
            app.call(browser.post(&form, &[("login", &format!("member{n}")), ("password", "Spring2026!")]))
        });
        let replies = join_all(guesses).await;
        assert_eq!((count(&replies, 401), count(&replies, 429)), (300, 20));
    }

    async fn a_right_password_takes_the_tries_back(app: &TestApp) {
        let mut browser = Browser::new(app);
        let form = browser.form("/me/sign-in", "password").await;
        let right = app.sign_ins["ruth"].password.clone();
        for _ in 0..3 {
            for _ in 0..9 {
                let wrong = browser.post(&form, &[("login", "ruth"), ("password", "not the password")]);
                assert_eq!(app.call(wrong).await.status, 401);
            }
            let fields = [("login", "ruth"), ("password", right.as_str())];
            assert_eq!(app.call(browser.post(&form, &fields)).await.status, 303);
        }
        assert_eq!(app.number("SELECT MAX(tries) FROM throttle").await, 27, "the failures of the address stay counted");
    }

    async fn a_long_name_is_refused_and_its_key_is_short(app: &TestApp) {
        let mut browser = Browser::new(app);
        let form = browser.form("/staff/sign-in", "password").await;
        let name = "x".repeat(10_000);
        let reply = app.call(browser.post(&form, &[("login", &name), ("password", "not the password")])).await;
        assert!(reply.status.is_client_error(), "{}", reply.status);
        assert_eq!(app.number("SELECT COUNT(*) FROM throttle WHERE LENGTH(key) > 43").await, 0);
    }

    async fn of_300_client_secrets_at_once_ten_are_checked(app: &TestApp) {
        let doc = ClientDoc {
            redirect_uris: vec!["https://app.example/cb".to_owned()],
            scopes: vec!["patient/*.rs".to_owned()],
            ..ClientDoc::default()
        };
        let mut client = new_client("confidential", "An app", doc, app.state.now());
        let secret = set_new_secret(&mut client);
        register(&app.state.store, client, app.state.now()).await.unwrap();
        let fields = |secret: &str| {
            [
                ("grant_type", "refresh_token"),
                ("refresh_token", "nothing"),
                ("client_id", "confidential"),
                ("client_secret", secret),
            ]
            .map(|(name, value)| (name, value.to_owned()))
        };
        let guesses = (0..300).map(|n| {
            let fields = fields(&format!("guess {n}"));
            async move {
                let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                app.token_request(&fields).await
            }
        });
        let replies = join_all(guesses).await;
        assert_eq!((count(&replies, 401), count(&replies, 429)), (10, 290));
        app.clock.advance(Duration::minutes(15));
        let right = fields(&secret);
        let right: Vec<_> = right.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for _ in 0..12 {
            let reply = app.token_request(&right).await;
            assert_eq!(reply.status, 400, "the client is authenticated, and its refresh token is wrong: {}", reply.text);
        }
    }

    async fn of_300_codes_at_once_a_hundred_are_looked_up(app: &TestApp) {
        let guesses = (0..300).map(|n| async move {
            let code = format!("guess {n}");
            let fields = [
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", APP_REDIRECT),
                ("code_verifier", "a-verifier-of-more-than-forty-three-letters-1"),
                ("client_id", APP),
            ];
            app.token_request(&fields).await
        });
        let replies = join_all(guesses).await;
        assert_eq!((count(&replies, 400), count(&replies, 429)), (100, 200));
    }
}
