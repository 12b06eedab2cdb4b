//! The public list over HTTP: the page, the CSV file, caching, and lists of earlier days.

use super::log;
use crate::support::{Reply, TestApp, both};
use assent::publication;
use assent::store::policy_sets::PublicationMethod;
use axum::body::Body;
use axum::http::{Request, header};
use chrono::Duration;

const LIST: &str = "/prior-authorization-list";

async fn get_if_none_match(app: &TestApp, path: &str, etag: &str) -> Reply {
    let request = Request::get(path).header(header::IF_NONE_MATCH, etag);
    app.call(request.body(Body::empty()).unwrap()).await
}

fn header_value<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.headers[name].to_str().unwrap()
}

both! {
    async fn anybody_can_search_for_a_code_with_its_policy_form_and_source(app: &TestApp) {
        let all = app.get(LIST, None).await;
        assert_eq!(all.status, 200);
        assert!(all.text.contains("E0424") && all.text.contains("33510"), "{}", all.text);
        assert!(!all.text.contains("B4184"), "a code that needs no authorization must not be listed");
        assert!(all.headers.get(header::SET_COOKIE).is_none());
        let one = app.get(&format!("{LIST}?code=e04&line_of_business=MA"), None).await.text;
        assert!(one.contains("E0424") && one.contains("E0439") && !one.contains("33510"), "{one}");
        for part in ["Home oxygen", "home-oxygen|1.0.0", "NCD 240.2", "https://www.cms.gov/", "Jul 1, 2026"] {
            assert!(one.contains(part), "{part}: {one}");
        }
        let none = app.get(&format!("{LIST}?code=ZZZ"), None).await.text;
        assert!(none.contains("No services match your search"), "{none}");
        let odd = app.get(&format!("{LIST}?page=99999999999&line_of_business=%3Cb%3E&code=%22%3E"), None).await;
        assert!(odd.status == 200 && !odd.text.contains("<b>"), "{}", odd.text);
    }

    async fn the_csv_file_holds_the_same_list(app: &TestApp) {
        let table = app.get(&format!("{LIST}.csv"), None).await;
        assert_eq!((table.status.as_u16(), header_value(&table, "content-type")), (200, "text/csv; charset=utf-8; header=present"));
        assert!(header_value(&table, "content-disposition").contains("prior-authorization-list-2026-11-20.csv"));
        let lines: Vec<&str> = table.text.lines().collect();
        assert_eq!(lines[0], "code,system,name,line_of_business,state,from,to,form,policy_title,source,url");
        assert_eq!(lines.len() - 1, app.state.policy_set().public_list().rows().len());
        assert!(lines.iter().any(|line| line.starts_with("E0424,") && line.contains(",MA,,2026-07-01,")));
    }

    async fn a_caller_with_a_current_copy_gets_304(app: &TestApp) {
        for path in [LIST.to_owned(), format!("{LIST}.csv"), format!("{LIST}?code=E0424")] {
            let first = app.get(&path, None).await;
            let etag = header_value(&first, "etag").to_owned();
            assert!(header_value(&first, "cache-control").starts_with("public"), "{path}");
            let again = get_if_none_match(app, &path, &etag).await;
            assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""), "{path}");
            assert_eq!(get_if_none_match(app, &path, "\"other\"").await.status, 200, "{path}");
        }
        assert_eq!(header_value(&app.get(LIST, None).await, "x-frame-options"), "DENY");
    }

    async fn the_list_of_an_earlier_day_stays_available(app: &TestApp) {
        app.folders.make_editable();
        let before = app.get(&format!("{LIST}.csv"), None).await.text;
        app.clock.advance(Duration::days(3));
        app.folders.edit(
            "lists/2026.csv",
            "B4184,http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets,,,2026-01-01,,covered-nutrition-supply,",
            "B4185,http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets,,,2026-01-01,,auth-needed-home-care,\n\
             B4184,http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets,,,2026-01-01,,covered-nutrition-supply,",
        );
        let reloaded = publication::reload(&app.state, PublicationMethod::Signal).await.unwrap();
        assert!(matches!(reloaded, publication::ReloadOutcome::Published(_)), "{reloaded:?}");
        let after = app.get(&format!("{LIST}.csv"), None).await.text;
        assert!(after.contains("B4185") && !before.contains("B4185"));
        let log = log(app).await;
        let (new, old) = (log[0].id, log[1].id);
        for (name, expected) in [
            (old.to_string(), &before),
            ("2026-11-20".to_owned(), &before),
            ("2026-11-22".to_owned(), &before),
            ("2026-11-23".to_owned(), &after),
            (new.to_string(), &after),
        ] {
            let table = app.get(&format!("{LIST}/{name}.csv"), None).await;
            assert_eq!((table.status.as_u16(), &table.text), (200, expected), "{name}");
        }
        let page = app.get(&format!("{LIST}/{old}"), None).await.text;
        assert!(page.contains("This is an earlier list") && !page.contains("B4185"), "{page}");
        assert!(app.get(LIST, None).await.text.contains(&format!("{LIST}/{old}")), "the page must link to the earlier list");
        for unknown in ["2026-11-19", "0190a6f3-0000-7000-8000-000000000000", "yesterday", "2026-11-19.csv", "2099-12-31"] {
            assert_eq!(app.get(&format!("{LIST}/{unknown}"), None).await.status, 404, "{unknown}");
        }
    }
}
