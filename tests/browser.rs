//! The pages in a real browser: headless Chromium through chromedriver, on a running server. The test is skipped where
//! chromedriver is not installed; in CI it must be. It is one test, because starting a browser takes seconds.

use crate::support::{chromedriver, config, free_port, unique};
use assent::app::App;
use assent::clock::Clock;
use assent::demo::{keys, seed, walk};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::json;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A chromedriver process that ends with the test.
struct Driver {
    child: Child,
    port: u16,
    profile: TempDir,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server on a free port with demo data and the system clock.
struct Server {
    url: String,
    data: TempDir,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let data = TempDir::new().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = config(&data);
        config.public_url = format!("http://{}", listener.local_addr().unwrap());
        config.database = format!("sqlite:{}", data.path().join("browser.db").display());
        config.mail.transport = assent::config::MailTransport::File;
        let url = config.public_url.clone();
        let app = App::build(config, Clock::System).await.unwrap();
        seed::fill_plan(&app.state, data.path()).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = app.serve(listener, async {
            let _ = stopped.await;
        });
        #[expect(clippy::disallowed_methods, reason = "stopped by Server::stop")]
        let running = tokio::spawn(async { serving.await.unwrap() });
        Self {
            url,
            data,
            stop,
            running,
        }
    }

    /// Runs the end-to-end check once. It leaves two cases open.
    async fn walk(&self) {
        let report = walk::check_server(&self.url, self.data.path(), |_| {})
            .await
            .unwrap();
        let failed: Vec<_> = report.steps.iter().filter(|step| !step.passed).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.running.await.unwrap();
    }
}

fn drive(chromedriver: &Path) -> Driver {
    let port = free_port();
    let child = Command::new(chromedriver)
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Driver {
        child,
        port,
        profile: TempDir::new().unwrap(),
    }
}

/// Opens a browser window, with or without JavaScript.
async fn open_window(driver: &Driver, javascript: bool) -> Client {
    let profile = driver.profile.path().join(unique().to_string());
    let mut arguments: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1300,900",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    let mut options = json!({ "args": arguments });
    if !javascript {
        options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
    }
    let capabilities = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
    let capabilities = capabilities.as_object().unwrap().clone();
    let url = format!("http://127.0.0.1:{}", driver.port);
    for _ in 0..100 {
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        if let Ok(client) = builder.capabilities(capabilities.clone()).connect(&url).await {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("chromedriver does not answer")
}

async fn sign_in(browser: &Client, server: &Server, path: &str, who: &str) {
    let sign_ins = keys::read_sign_ins(server.data.path()).unwrap();
    if !path.is_empty() {
        browser.goto(&format!("{}{path}", server.url)).await.unwrap();
    }
    browser
        .find(Locator::Css("input[name=login]"))
        .await
        .unwrap()
        .send_keys(who)
        .await
        .unwrap();
    let password = browser.find(Locator::Css("input[name=password]")).await.unwrap();
    password.send_keys(&sign_ins[who].password).await.unwrap();
    click(browser, "main form button").await;
    // A click does not wait until the next page is loaded.
    for _ in 0..200 {
        let found = browser.find_all(Locator::Css("input[name=password]")).await;
        if found.is_ok_and(|fields| fields.is_empty()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("signing in as {who} does not leave the sign-in page");
}

async fn count(browser: &Client, css: &str) -> usize {
    browser.find_all(Locator::Css(css)).await.unwrap().len()
}

/// Clicks the first element that the selector finds.
async fn click(browser: &Client, css: &str) {
    let element = browser.find(Locator::Css(css)).await.unwrap();
    element.click().await.unwrap();
}

/// Waits until the page shows this text.
async fn wait_for_text(browser: &Client, expected: &str) {
    let mut last = String::new();
    for _ in 0..200 {
        if let Ok(body) = browser.find(Locator::Css("body")).await
            && let Ok(text) = body.text().await
        {
            if text.contains(expected) {
                return;
            }
            last = text;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the page does not show {expected:?}: {last}");
}

#[tokio::test]
async fn the_pages_work_in_a_browser_with_and_without_javascript() {
    let Some(chromedriver) = chromedriver() else {
        return;
    };
    let server = Server::start().await;
    server.walk().await;
    let driver = drive(&chromedriver);
    a_reviewer_uses_the_keyboard_and_sees_new_cases_appear(&server, &driver).await;
    a_physician_denies_without_javascript(&server, &driver).await;
    an_auditor_reads_who_opened_the_case(&server, &driver).await;
    a_member_allows_an_app(&server, &driver).await;
    server.stop().await;
}

async fn a_reviewer_uses_the_keyboard_and_sees_new_cases_appear(server: &Server, driver: &Driver) {
    let browser = open_window(driver, true).await;
    sign_in(&browser, server, "/staff", "nora").await;
    browser
        .wait()
        .for_element(Locator::Css("a.case-link"))
        .await
        .unwrap();
    assert_eq!(count(&browser, "a.case-link").await, 2);
    let body = browser.find(Locator::Css("body")).await.unwrap();
    body.send_keys("j").await.unwrap();
    let focused = "return document.activeElement === document.querySelectorAll('a.case-link')[0]";
    assert_eq!(
        browser.execute(focused, vec![]).await.unwrap(),
        json!(true),
        "the key j moves to the first case"
    );
    let left = browser
        .find(Locator::Css("[data-due]"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(left.ends_with("left"), "{left}");

    server.walk().await;
    let mut shown = 0;
    for _ in 0..300 {
        shown = count(&browser, "a.case-link").await;
        if shown == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(shown, 4, "the queue did not refresh automatically");

    click(&browser, "a.case-link").await;
    browser
        .wait()
        .for_element(Locator::Css("input[name=version]"))
        .await
        .unwrap();
    assert_eq!(
        count(&browser, "[value=deny]").await,
        0,
        "a nurse does not see the denial form"
    );
    browser.close().await.unwrap();
}

async fn a_physician_denies_without_javascript(server: &Server, driver: &Driver) {
    let browser = open_window(driver, false).await;
    sign_in(&browser, server, "/staff", "petra").await;
    let before = count(&browser, "a.case-link").await;
    click(&browser, "a.case-link").await;
    browser
        .wait()
        .for_element(Locator::Css("select[name=reason]"))
        .await
        .unwrap();
    for checkbox in browser.find_all(Locator::Css("input[name=item]")).await.unwrap() {
        if !checkbox.is_selected().await.unwrap() {
            checkbox.click().await.unwrap();
        }
    }
    click(&browser, "details summary").await;
    let reason = browser.find(Locator::Css("select[name=reason]")).await.unwrap();
    reason.select_by_value("0U").await.unwrap();
    let text = browser.find(Locator::Css("textarea[name=text]")).await.unwrap();
    text.send_keys("The operative plan that was asked for did not come with the request.")
        .await
        .unwrap();
    click(&browser, "[value=deny]").await;
    wait_for_text(&browser, "Nothing is recorded yet").await;
    wait_for_text(&browser, "did not come with the request").await;
    click(&browser, "[value=deny]").await;
    wait_for_text(&browser, "You denied item").await;
    wait_for_text(&browser, "Assent sends no letter").await;
    browser.goto(&format!("{}/staff", server.url)).await.unwrap();
    assert_eq!(count(&browser, "a.case-link").await, before - 1);
    browser.close().await.unwrap();
}

/// The auditor searches without JavaScript and sees from where the physician opened the case.
async fn an_auditor_reads_who_opened_the_case(server: &Server, driver: &Driver) {
    let browser = open_window(driver, false).await;
    sign_in(&browser, server, "/staff", "uma").await;
    let person = browser.find(Locator::Css("input[name=person]")).await.unwrap();
    person.send_keys("petra").await.unwrap();
    click(&browser, "main form button").await;
    wait_for_text(&browser, "Petra Hale MD").await;
    wait_for_text(&browser, "127.0.0.1").await;
    let url = browser.current_url().await.unwrap();
    assert_eq!(url.query(), None, "the filters are not in the address");
    browser.close().await.unwrap();
}

/// The content security policy of the consent page lets the browser follow the redirect to the app.
async fn a_member_allows_an_app(server: &Server, driver: &Driver) {
    let browser = open_window(driver, true).await;
    let authorize = crate::support::authorize_path(
        "a-verifier-of-more-than-forty-three-letters-in-all",
        crate::support::SCOPE,
    );
    let authorize = authorize.replace(
        "127.0.0.1%3A8642",
        server
            .url
            .trim_start_matches("http://")
            .replace(':', "%3A")
            .as_str(),
    );
    browser.goto(&format!("{}{authorize}", server.url)).await.unwrap();
    sign_in(&browser, server, "", "ruth").await;
    browser
        .wait()
        .for_element(Locator::Css("[name=answer]"))
        .await
        .unwrap();
    wait_for_text(&browser, "My Health Binder").await;
    // No server runs at the app's address. The test only checks that the browser goes there.
    let _ = browser
        .find(Locator::Css("[name=answer][value=allow]"))
        .await
        .unwrap()
        .click()
        .await;
    let mut reached = String::new();
    for _ in 0..200 {
        reached = browser.current_url().await.unwrap().to_string();
        if reached.starts_with(seed::APP_REDIRECT) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        reached.starts_with(seed::APP_REDIRECT) && reached.contains("code="),
        "the browser stayed at {reached} instead of going to the app"
    );
    browser.close().await.unwrap();
}
