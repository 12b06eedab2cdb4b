//! Pages of reviewers: the queue, the case, and who may decide.

use super::{FORM, denial, pended};
use crate::support::both;
use serde_json::json;
use uuid::Uuid;

both! {
    async fn the_queue_is_sorted_by_due_time_and_counts_hidden_cases(app: &TestApp) {
        let standard = pended(app, "normal").await;
        let urgent = pended(app, "stat").await;
        let mut nurse = app.staff("nora").await;
        let queue = nurse.page("/staff").await.text;
        let position = |id: Uuid| queue.find(&format!("/staff/cases/{id}")).unwrap();
        assert!(position(urgent) < position(standard), "the case due in 72 hours comes before the one due in 7 days");
        let filtered = nurse.page("/staff?urgency=urgent").await.text;
        assert!(filtered.contains("1 shown, 1 hidden by filters"), "{filtered}");
        let table = nurse.page("/staff/queue?urgency=standard").await.text;
        assert!(!table.contains("<html") && table.contains(&standard.to_string()));
        app.leaves_work();
    }

    async fn the_case_page_shows_criteria_and_links_to_their_evidence(app: &TestApp) {
        let case = pended(app, "normal").await;
        let page = app.staff("nora").await.page(&format!("/staff/cases/{case}")).await.text;
        for expected in [
            "Hypoxemia as defined by group I or group II",
            "CMS NCD 240.2",
            "href=\"#entry-1\">Observation 1",
            "<tr id=\"entry-1\">",
            "Was the test ordered and evaluated by the treating practitioner?",
            "1 criterion is not met. To approve, explain in the note",
            "Lakeside EHR",
        ] {
            assert!(page.contains(expected), "the page does not show: {expected}");
        }
        app.leaves_work();
    }

    async fn a_denial_by_a_nurse_is_refused_and_stores_nothing(app: &TestApp) {
        let case = pended(app, "normal").await;
        let mut nurse = app.staff("nora").await;
        let form = nurse.form(&format!("/staff/cases/{case}"), "version").await;
        let before = app.row_counts().await;
        let refused = nurse.send(&form, &denial()).await;
        assert_eq!(refused.status, 403, "{}", refused.text);
        assert!(refused.text.contains("Only a physician reviewer"), "{}", refused.text);
        assert_eq!(nurse.send(&form, &[("decision", "deny")]).await.status, 403);
        assert_eq!(app.row_counts().await, before);
        app.leaves_work();
    }

    async fn users_who_may_only_view_cases_cannot_decide(app: &TestApp) {
        let case = pended(app, "normal").await;
        let path = format!("/staff/cases/{case}");
        let mut nurse = app.staff("nora").await;
        let mut form = nurse.form(&path, "version").await;
        for username in ["sam", "ivy"] {
            let mut reader = app.staff(username).await;
            let page = reader.page(&path).await.text;
            assert!(page.contains("You can view this case") && !page.contains("name=\"version\""));
            let own = reader.form(&path, "csrf").await;
            form.fields.retain(|(name, _)| name != "csrf");
            form.fields.extend(own.fields.into_iter().filter(|(name, _)| name == "csrf"));
            let approval = [("item", "1"), ("decision", "approve"), ("note", "I would approve")];
            assert_eq!(reader.send(&form, &approval).await.status, 403, "{username}");
        }
        app.leaves_work();
    }

    async fn the_modifiers_of_an_item_are_shown(app: &TestApp) {
        let mut bundle = app.messages().oxygen_request(FORM, None, 91, "normal");
        let modifier = |code: &str| json!({ "coding": [{ "system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": code }] });
        crate::pas::resource_mut(&mut bundle, "Claim")["item"][0]["modifier"] = json!([modifier("RR"), modifier("KX")]);
        let response = app.ehr().await.submitted(&bundle).await;
        let page = app.staff("nora").await.page(&format!("/staff/cases/{}", response["id"].as_str().unwrap())).await.text;
        assert!(page.contains("<dt>Modifiers</dt><dd>HCPCS RR, HCPCS KX</dd>"), "{page}");
        app.leaves_work();
    }

    async fn an_unknown_case_is_a_404_page_that_does_not_repeat_the_id(app: &TestApp) {
        let mut nurse = app.staff("nora").await;
        for path in ["/staff/cases/no-such-case", "/staff/cases/00000000-0000-0000-0000-000000000000"] {
            let reply = nurse.get(path).await;
            assert_eq!(reply.status, 404);
            assert!(reply.text.contains("This page does not exist") && !reply.text.contains("no-such"));
        }
    }

    async fn the_page_of_a_case_with_a_thousand_items_stays_small(app: &TestApp) {
        let mut request = app.messages().oxygen_request(FORM, None, 91, "normal");
        let claim = crate::pas::resource_mut(&mut request, "Claim");
        let item = claim["item"][0].clone();
        let items = (1..=1000).map(|sequence| {
            let mut item = item.clone();
            item["sequence"] = json!(sequence);
            item
        });
        claim["item"] = items.collect();
        let response = app.ehr().await.submitted(&request).await;
        let path = format!("/staff/cases/{}", response["id"].as_str().unwrap());
        let mut nurse = app.staff("nora").await;
        let page = nurse.page(&path).await.text;
        assert!(page.len() < 2_000_000, "{} bytes", page.len());
        assert_eq!(page.matches("The same criteria and values as item 1.").count(), 999);
        assert!(page.contains("801 older events are not shown"));
        let whole = nurse.page(&format!("{path}?history=all")).await.text;
        assert!(whole.contains("Request received") && !whole.contains("older events are not shown"));
        let queue = nurse.page("/staff").await.text;
        assert!(queue.contains("+ 999 more"), "{queue}");
        app.leaves_work();
    }
}
